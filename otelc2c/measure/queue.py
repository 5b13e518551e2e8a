"""How long a request waited before the application: a proxy says when it took it, in `X-Request-Start`.

Proxies say it in different units: nginx in seconds with decimals (`t=${msec}`), haproxy and Heroku in
milliseconds, Apache (`t=%t`) in microseconds. The size of the number tells them apart until the year
5138. Whoever reaches the server without a proxy can write what it likes there: what cannot be is left
out, and nothing but a number comes of it.
"""

from typing import Any, Final

from otelc2c import catalog
from otelc2c.record.cells import Store
from otelc2c.record.own import OwnHistogram
from otelc2c.record.streams import DEFAULT_LIMIT
from otelc2c.record.views import Views
from otelc2c.record.wire import Key

HEADER: Final = "HTTP_X_REQUEST_START"
LONGEST: Final = 3600.0
"""Seconds; no request waited longer."""
_LONGEST_TEXT: Final = 64
_UNITS: Final = ((1e11, 1.0), (1e14, 1e-3), (1e17, 1e-6), (1e20, 1e-9))
"""Below which number it is how many seconds."""


class Queue:
    """Notes how long requests waited."""

    def __init__(self, store: Store, limit: int = DEFAULT_LIMIT, views: Views | None = None) -> None:
        """Count in `store`, by method."""
        self._durations = OwnHistogram(store, catalog.REQUEST_QUEUE_DURATION, limit, views)
        self._key = Key(catalog.REQUEST_QUEUE_DURATION.name)

    def note(self, environ: dict[str, Any], method: str, began_ns: int) -> bytes:
        """Count the wait of a request that began at `began_ns` (Unix nanoseconds).

        `method` is one of the closed set. Returned is the attribute of the server span, encoded; nothing
        where nothing that can be believed was told.
        """
        text = environ.get(HEADER)
        seconds = waited(text, began_ns * 1e-9) if type(text) is str else None
        if seconds is None:
            return b""
        self._durations.cell((method,)).record(seconds)
        return self._key.double(seconds)


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
