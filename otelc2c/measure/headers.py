"""Captured headers, by the variables of OpenTelemetry's instrumentations."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from otelc2c.measure.http import MOST_TEXT
from otelc2c.record import wire

REDACTED: Final = "[REDACTED]"


class Captured:
    """The request and response headers that become attributes of a span."""

    __slots__ = ("_hidden", "_request", "_response", "wanted")

    def __init__(self, request: Iterable[str], response: Iterable[str], hidden: Iterable[str]) -> None:
        """Regular expressions: of whole names, and (`hidden`) found in the names of sensitive headers."""
        self._request = _any_of(request)
        self._response = _any_of(response)
        self._hidden = _any_of(hidden)
        self.wanted: Final = self._request is not None or self._response is not None

    def encode(self, environ: Mapping[str, Any], response: Iterable[tuple[str, str]]) -> bytes:
        """The attributes of one request, encoded; several headers of a name are one list."""
        if self._request is None:
            return self.encode_pairs((), response)
        sent = [(key[5:].replace("_", "-"), value) for key, value in environ.items() if key[:5] == "HTTP_"]
        return self.encode_pairs(sent, response)

    def encode_pairs(self, request: Iterable[tuple[Any, Any]], response: Iterable[tuple[Any, Any]]) -> bytes:
        """The same of headers as pairs of name and value."""
        found: dict[str, list[str]] = {}
        for side, wanted, headers in (
            ("request", self._request, request),
            ("response", self._response, response),
        ):
            if wanted is not None:
                for name, value in headers:
                    self._take(found, side, wanted, _text(name), _text(value))
        return b"".join([wire.attribute(key, values) for key, values in found.items()])

    def _take(
        self, found: dict[str, list[str]], side: str, wanted: re.Pattern[str], name: str, value: str
    ) -> None:
        if wanted.fullmatch(name):
            hide = self._hidden is not None and self._hidden.search(name) is not None
            key = f"http.{side}.header.{name.lower()}"
            found.setdefault(key, []).append(REDACTED if hide else value[:MOST_TEXT])


def _text(value: Any) -> str:
    """A name or a value, which libraries take as bytes too."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    found = list(patterns)
    return re.compile("|".join(f"(?:{pattern})" for pattern in found), re.IGNORECASE) if found else None
