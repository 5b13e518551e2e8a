"""How an option is declared in a field, and read from an environment.

This file and its neighbours are the only place that knows the names of variables. Nothing here
looks at the process' own environment: the caller hands a mapping in.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast

from otelc2c.settings.parsers import Invalid, Syntax
from otelc2c.settings.values import MASK, Problem

T = TypeVar("T")
_KEY: Final = "option"
_SIGNAL: Final = "signal"


class Option(NamedTuple):
    """What is known of one field besides its default."""

    names: tuple[str, ...]
    """Variables in order of precedence; `{SIGNAL}` stands for the signal in a group of a signal."""
    syntax: Syntax[Any]
    says: str
    secret: bool = False
    show: Callable[[Any], str] | None = None
    """How a value with a secret part is shown."""
    unset: str = ""
    """What the reference says of the default where the default depends on something."""


class Row(NamedTuple):
    """One line of the reference."""

    variables: tuple[str, ...]
    takes: str
    default: str
    says: str
    secret: bool


def option(
    *names: str,
    syntax: Syntax[T],
    default: Any,
    says: str,
    secret: bool = False,
    show: Callable[[Any], str] | None = None,
    unset: str = "",
) -> Any:
    """A dataclass field for one option."""
    entry = Option(names, syntax, says, secret, show, unset)
    return dataclasses.field(default_factory=lambda: default, metadata={_KEY: entry})


def signal(name: str) -> Mapping[str, str]:
    """Metadata of a field whose value is a group of options of the signal `name`."""
    return {_SIGNAL: name}


def options(kind: type[Any], signal: str = "") -> Mapping[str, Option]:
    """Options of a settings class by field, those of its groups as `group.field`."""
    found: dict[str, Option] = {}
    for field in dataclasses.fields(kind):
        entry = field.metadata.get(_KEY)
        if entry is not None:
            names = tuple(name.format(SIGNAL=signal) for name in entry.names)
            found[field.name] = entry._replace(names=names)
        elif _SIGNAL in field.metadata:
            inner = options(cast(type[Any], field.default_factory), field.metadata[_SIGNAL])
            found.update({f"{field.name}.{name}": value for name, value in inner.items()})
    return found


class Reading(NamedTuple):
    """What was found in an environment, before values that depend on others are settled."""

    values: dict[str, Any]
    sources: dict[str, str]
    problems: list[Problem]


def read(entries: Mapping[str, Option], environ: Mapping[str, str]) -> Reading:
    """Values, sources and problems of the options that are set.

    Empty is unset, as the specification says. A variable that cannot be used counts as unset
    too, so that the next in the order of precedence is looked at.
    """
    reading = Reading({}, {}, [])
    said: set[Problem] = set()
    for field, entry in entries.items():
        for name in entry.names:
            text = environ.get(name, "").strip()
            if not text:
                continue
            complaints: list[str] = []
            try:
                value = entry.syntax.read(text, complaints.append)
            except Invalid as error:
                complaints.append(f"{error}; ignored")
            else:
                reading.values[field] = value
                reading.sources[field] = name
            for message in complaints:
                problem = Problem(name, message)
                if problem not in said:
                    said.add(problem)
                    reading.problems.append(problem)
            if field in reading.values:
                break
    return reading


def shown(entry: Option, value: Any) -> str:
    """A value as it may be printed: secrets masked, lists readable."""
    if value is None or value in ((), {}, frozenset()):
        return ""
    if entry.show is not None:
        return entry.show(value)
    return MASK if entry.secret else f"{plain(value)} {entry.syntax.unit}".rstrip()


def plain(value: Any) -> str:
    """A value in the words a variable would use."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ";".join(f"{key}={plain(item)}" for key, item in value.items())
    if isinstance(value, tuple | frozenset) and not hasattr(value, "_fields"):
        return ",".join(plain(item) for item in value)
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)
