"""Captured headers, by the variables of OpenTelemetry's instrumentations."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from otelc2c.measure.http import MOST_TEXT
from otelc2c.record import wire

REDACTED: Final = "[REDACTED]"


class Captured:
    """The request and response headers that become attributes of the server span."""

    __slots__ = ("_hidden", "_request", "_response", "wanted")

    def __init__(self, request: Iterable[str], response: Iterable[str], hidden: Iterable[str]) -> None:
        """Regular expressions: of whole names, and (`hidden`) found in the names of sensitive headers."""
        self._request = _any_of(request)
        self._response = _any_of(response)
        self._hidden = _any_of(hidden)
        self.wanted: Final = self._request is not None or self._response is not None

    def encode(self, environ: Mapping[str, Any], response: Iterable[tuple[str, str]]) -> bytes:
        """The attributes of one request, encoded; several headers of a name are one list."""
        found: dict[str, list[str]] = {}
        if self._request is not None:
            for key, value in environ.items():
                if key[:5] == "HTTP_":
                    self._take(found, "request", self._request, key[5:].replace("_", "-"), value)
        if self._response is not None:
            for name, value in response:
                self._take(found, "response", self._response, name, value)
        return b"".join([wire.attribute(key, values) for key, values in found.items()])

    def _take(
        self, found: dict[str, list[str]], side: str, wanted: re.Pattern[str], name: str, value: str
    ) -> None:
        if wanted.fullmatch(name):
            hide = self._hidden is not None and self._hidden.search(name) is not None
            key = f"http.{side}.header.{name.lower()}"
            found.setdefault(key, []).append(REDACTED if hide else value[:MOST_TEXT])


def _any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    found = list(patterns)
    return re.compile("|".join(f"(?:{pattern})" for pattern in found), re.IGNORECASE) if found else None
