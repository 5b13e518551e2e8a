"""What a request asked of other systems, added up while it runs: an N+1 is seen on the request itself.

Totals are a list of whole numbers that the span at the top of this process' part of the trace keeps
(`Span.totals`). A list, because adding to one of its items is no call, so that threads of one
request lose nothing under the interpreter's lock, and because it costs a third of an object.
"""

from typing import Final, NamedTuple, TypeAlias

from otelc2c import catalog
from otelc2c.measure.http import Bounded, Where, route_text
from otelc2c.record import wire
from otelc2c.record.cells import Store
from otelc2c.record.own import OwnHistogram, Records
from otelc2c.record.streams import DEFAULT_LIMIT
from otelc2c.record.views import Views

Totals: TypeAlias = list[int]

SPANS: Final = 0
"""Where the number of leaf spans stands that were written."""
LEFT_OUT: Final = 1
"""Where the number of leaf spans stands that were not: too short, or too many."""
KINDS: Final = ("sql", "redis", "http")
"""Each has a number and then nanoseconds, from 2 on."""
NOTHING: Final[Totals] = [0] * (2 + 2 * len(KINDS))
KEY: Final = "otelc2c.totals"
"""Under which key of OpenTelemetry's context totals are found below spans that are not ours."""
_LEFT_OUT: Final = wire.Key("otelc2c.leaf_spans.left_out")


def place_of(kind: str) -> int:
    """Where the number of operations of `kind` stands. Raises ValueError for a kind that is none."""
    return 2 + 2 * KINDS.index(kind)


_Key: TypeAlias = tuple[str, Where, str | None]


class _Kind(NamedTuple):
    name: str
    place: int
    number: wire.Key
    seconds: wire.Key


class RequestTotals:
    """Writes the totals of requests that end: two histograms by route, and the server span's attributes."""

    __slots__ = ("_cells", "_count", "_duration", "_kinds")

    def __init__(self, store: Store, limit: int = DEFAULT_LIMIT, views: Views | None = None) -> None:
        """Keep the histograms in `store`, each with at most `limit` attribute sets, as `views` want them."""
        self._count = OwnHistogram(store, catalog.REQUEST_OPERATIONS, limit, views)
        self._duration = OwnHistogram(store, catalog.REQUEST_OPERATION_DURATION, limit, views)
        self._cells: Bounded[_Key, tuple[Records, Records]] = Bounded(self._new, 2000)
        self._kinds = tuple(
            _Kind(
                name,
                place_of(name),
                wire.Key(f"otelc2c.{name}.count"),
                wire.Key(f"otelc2c.{name}.duration"),
            )
            for name in KINDS
        )

    def _new(self, key: _Key) -> tuple[Records, Records]:
        name, where, root = key
        values = (name, route_text(where, root))
        return self._count.cell(values), self._duration.cell(values)

    def record(self, totals: Totals, where: Where, root: str | None) -> None:
        """Count a request that was routed to `where` below `root`, once for each kind that it used."""
        for name, place, _, _ in self._kinds:
            count = totals[place]
            if count:
                counts, durations = self._cells[name, where, root]
                counts.record(count)
                durations.record(totals[place + 1] * 1e-9)

    def attributes(self, totals: Totals) -> bytes:
        """The same as encoded attributes: count, and duration in seconds, of each kind that was used."""
        found = b""
        for _, place, number, seconds in self._kinds:
            if totals[place]:
                found += number.integer(totals[place]) + seconds.double(totals[place + 1] * 1e-9)
        if totals[LEFT_OUT]:
            found += _LEFT_OUT.integer(totals[LEFT_OUT])
        return found


def server_timing(totals: Totals | None, elapsed_ns: int) -> str:
    """The value of a `Server-Timing` header: milliseconds in all and by kind, with the operations' number."""
    parts = [f"total;dur={elapsed_ns * 1e-6:.1f}"]
    if totals is not None:
        for name in KINDS:
            place = place_of(name)
            if totals[place]:
                parts.append(f'{name};dur={totals[place + 1] * 1e-6:.1f};desc="{totals[place]}"')
    return ", ".join(parts)
