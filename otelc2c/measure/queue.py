"""How long a request waited before the application: a proxy says when it took it, in `X-Request-Start`.

Proxies say it in different units: nginx in seconds with decimals (`t=${msec}`), haproxy and Heroku in
milliseconds, Apache (`t=%t`) in microseconds. The size of the number tells them apart until the year
5138. Whoever reaches the server without a proxy can write what it likes there: what cannot be is left
out, and nothing but a number comes of it.
"""

from time import time
from typing import Any, Final, Protocol

from otelc2c import catalog
from otelc2c.record.own import OwnHistogram

HEADER: Final = "HTTP_X_REQUEST_START"
LONGEST: Final = 3600.0
"""Seconds; no request waited longer."""
_LONGEST_TEXT: Final = 64
_SECONDS_BELOW: Final = 1e11
_UNITS: Final = ((_SECONDS_BELOW, 1.0), (1e14, 1e-3), (1e17, 1e-6), (1e20, 1e-9))


class HasAttributes(Protocol):
    """A span that takes attributes."""

    def set_attribute(self, key: str, value: float) -> None:
        """Set one."""


class Queue:
    """Notes how long requests waited."""

    def __init__(self, durations: OwnHistogram) -> None:
        """Count in `durations`, by method."""
        self._durations = durations

    def note(self, environ: dict[str, Any], method: str, span: HasAttributes) -> None:
        """Count the wait of a request that begins now, and tell it to its server span.

        `method` is one of the closed set. To be called only where `HEADER` is in the environ.
        """
        seconds = waited(environ[HEADER], time())
        if seconds is not None:
            self._durations.cell((method,)).record(seconds)
            span.set_attribute(catalog.REQUEST_QUEUE_DURATION.name, seconds)


def waited(text: str, now: float) -> float | None:
    """Seconds from what a proxy wrote to `now` (seconds since 1970); None for what cannot be believed."""
    if len(text) > _LONGEST_TEXT:
        return None
    # Each of several proxies adds its own, the outermost one first.
    first = text.partition(",")[0].strip().removeprefix("t=")
    # `float` takes much more than digits and a point.
    if not (first.isascii() and first.replace(".", "", 1).isdigit()):
        return None
    number = float(first)
    for below, unit in _UNITS:
        if number < below:
            seconds = now - number * unit
            return seconds if 0.0 <= seconds <= LONGEST else None
    return None
