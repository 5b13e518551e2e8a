"""From the text of a variable to its value.

A `Syntax` pairs a parser with the words that describe what it takes. A parser raises `Invalid`
when nothing of the text can be used; where one part of a list is wrong it says so through
`complain` and goes on without that part. Parsers raise nothing else, whatever the text.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import unquote

from otelc2c.settings.values import QueryPolicy, split_url

T = TypeVar("T")
Complain: TypeAlias = Callable[[str], None]

_MAX_NUMBER: Final = 2**53
_SIZE: Final = re.compile(r"([0-9]{1,15})\s*(B|KiB|MiB|GiB|K|M|G)?", re.IGNORECASE | re.ASCII)
_SIZE_FACTOR: Final = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Invalid(ValueError):
    """The text of a variable cannot be used; the message says what would have been right."""


class Syntax(NamedTuple, Generic[T]):
    """A parser and the words for what it takes."""

    words: str
    read: Callable[[str, Complain], T]
    unit: str = ""
    """The unit of the value, where a reader should see it."""


def _simple(words: str, read: Callable[[str], T], unit: str = "") -> Syntax[T]:
    return Syntax(words, lambda text, _: read(text), unit)


def _boolean(text: str) -> bool:
    lower = text.lower()
    if lower not in ("true", "false"):
        raise Invalid(f"must be true or false, not {text!r}")
    return lower == "true"


BOOLEAN: Final = _simple("`true` or `false`", _boolean)
TEXT: Final = _simple("text", str)


def choice(*values: str) -> Syntax[str]:
    """One of `values`, in any case of letters; the value is as written here."""
    by_lower = {value.lower(): value for value in values}

    def read(text: str) -> str:
        value = by_lower.get(text.lower())
        if value is None:
            raise Invalid(f"must be one of {', '.join(values)}, not {text!r}")
        return value

    return _simple("one of " + ", ".join(f"`{value}`" for value in values), read)


def number(text: str) -> float:
    """A finite number. Raises `Invalid`."""
    try:
        value = float(text)
    except ValueError:
        raise Invalid(f"must be a number, not {text!r}") from None
    if not math.isfinite(value):
        raise Invalid(f"must be a finite number, not {text!r}")
    return value


def whole(least: int, most: int = _MAX_NUMBER) -> Syntax[int]:
    """A whole number from `least` to `most`, both included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,16}", text, re.ASCII):
            raise Invalid(f"must be a whole number, not {text!r}")
        value = int(text)
        if not least <= value <= most:
            limits = f"from {least} to {most}" if most != _MAX_NUMBER else f"{least} or more"
            raise Invalid(f"must be {limits}, not {value}")
        return value

    return _simple("whole number", read)


def milliseconds(least: int = 0) -> Syntax[float]:
    """A whole number of milliseconds in the variable; seconds as the value."""
    count = whole(least)
    return Syntax("milliseconds", lambda text, complain: count.read(text, complain) / 1000, "s")


def seconds(least: float = 0.0, most: float = 3600.0) -> Syntax[float]:
    """Seconds, with fractions, from `least` to `most`."""

    def read(text: str) -> float:
        value = number(text)
        if not least <= value <= most:
            raise Invalid(f"must be from {least:g} to {most:g} seconds, not {text!r}")
        return value

    return _simple("seconds", read, "s")


def _otlp_timeout(text: str) -> float:
    """Seconds.

    The specification counts milliseconds and OpenTelemetry Python counts seconds. Nobody wants
    a limit below a tenth of a second or above a hundred seconds, so the number itself tells.
    """
    value = number(text)
    if value <= 0 or value > _MAX_NUMBER:
        raise Invalid(f"must be above 0, not {text!r}")
    return value if value < 100 else value / 1000


OTLP_TIMEOUT: Final = _simple(
    "milliseconds; below 100: seconds, as OpenTelemetry Python reads it", _otlp_timeout, "s"
)


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Invalid(f"must be a number of bytes, KiB, MiB or GiB, not {text!r}")
    return int(match[1]) * _SIZE_FACTOR[(match[2] or "")[:1].upper()]


SIZE: Final = _simple("bytes, or a number with KiB, MiB, GiB", _size, "bytes")


def parts(text: str, separator: str) -> Iterator[str]:
    """The parts of a list without spaces around them; empty ones are left out."""
    return (part.strip() for part in text.split(separator) if part.strip())


def _spelled(text: str, known: Sequence[str]) -> str:
    """A known value in any case of letters as it is written in `known`; any other text as it is."""
    return next((value for value in known if value.lower() == text.lower()), text)


def name(*known: str) -> Syntax[str]:
    """One of `known` in any case of letters, or the name of an entry point."""
    return _simple("name", lambda text: _spelled(text, known))


def names(*known: str, none: bool = False) -> Syntax[tuple[str, ...]]:
    """A comma list without repetitions. With `none`, that word alone is the empty list."""

    def read(text: str, complain: Complain) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(_spelled(part, ("none", *known)) for part in parts(text, ",")))
        if none and "none" in found:
            if len(found) > 1:
                complain("has `none` beside other names; `none` is ignored")
            return tuple(part for part in found if part != "none")
        return found

    return Syntax("comma list" + (", or `none`" if none else ""), read)


def one_of_each(*values: str) -> Syntax[tuple[str, ...]]:
    """A comma list of these values, or `none`."""

    def read(text: str, complain: Complain) -> tuple[str, ...]:
        found = []
        for part in names(*values, none=True).read(text, complain):
            if part in values:
                found.append(part)
            else:
                complain(f"{part!r} is none of {', '.join(values)}, and is ignored")
        return tuple(found)

    return Syntax("comma list of " + ", ".join(f"`{value}`" for value in values) + ", or `none`", read)


def _patterns(text: str, complain: Complain) -> tuple[str, ...]:
    found = []
    for pattern in names(none=True).read(text, complain):
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError):
            complain(f"{pattern!r} is not a regular expression, and is ignored")
        else:
            found.append(pattern)
    return tuple(found)


PATTERNS: Final = Syntax("comma list of regular expressions, or `none`", _patterns)


def _pairs(text: str, complain: Complain) -> Mapping[str, str]:
    found = {}
    for position, part in enumerate(parts(text, ","), 1):
        key, equals, value = part.partition("=")
        key = unquote(key.strip(), errors="replace")
        if not equals or not key:
            complain(f"part {position} is not key=value, and is ignored")
        else:
            found[key] = unquote(value.strip(), errors="replace")
    return found


PAIRS: Final = Syntax("`key=value,key=value`, percent-encoded", _pairs)


def _headers(text: str, complain: Complain) -> Mapping[str, str]:
    """Header names in small letters. No message repeats a part: a value is a secret, and so may be a name."""
    found = {}
    for position, (key, value) in enumerate(_pairs(text, complain).items(), 1):
        if not _HEADER_NAME.fullmatch(key):
            complain(f"the name of header {position} is not valid, and the header is ignored")
        elif not value.isprintable() or not value.isascii():
            complain(f"the value of header {position} is not printable ASCII, and the header is ignored")
        else:
            found[key.lower()] = value
    return found


HEADERS: Final = Syntax("`name=value,name=value`, percent-encoded", _headers)


def _endpoint(text: str) -> str:
    """A URL, or `host:port` for gRPC. No message repeats it, since it may hold a password."""
    bare = "://" not in text
    parts = split_url(f"http://{text}" if bare else text)
    if parts is None or parts.scheme not in ("http", "https") or not text.isprintable() or " " in text:
        raise Invalid("must be a URL with http or https and a host, such as http://localhost:4318")
    return text


ENDPOINT: Final = _simple("URL", _endpoint)


def _query_policy(text: str) -> QueryPolicy:
    lower = text.lower()
    if lower in ("all", "true"):
        return QueryPolicy()
    if lower in ("none", "false"):
        return QueryPolicy(everything=False)
    if lower.startswith("except:"):
        return QueryPolicy(True, frozenset(parts(text[len("except:") :], ",")))
    return QueryPolicy(False, frozenset(parts(text, ",")))


QUERY_POLICY: Final = _simple("`all`, `none`, `except:name,name`, or `name,name`", _query_policy)


def _folder(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise Invalid(f"must be an absolute path, not {text!r}")
    return text


FOLDER: Final = _simple("absolute path", _folder)
