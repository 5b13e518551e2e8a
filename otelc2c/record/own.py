"""Instruments for the metrics of our own catalogue, keyed by the values in their declared order.

Who measures asks for the cell of a tuple of values and writes to it. That costs half of what
OpenTelemetry's API costs, because no mapping is made and the order is known (hot-path 2).
"""

from importlib import metadata
from typing import Final, Generic, Protocol, TypeAlias, TypeVar, cast

from otelc2c.catalog import Metric
from otelc2c.guard import swallowed
from otelc2c.record.attribute_sets import clean
from otelc2c.record.cells import Store
from otelc2c.record.points import Instrument, Scope
from otelc2c.record.streams import DEFAULT_LIMIT, Fan, Feed, Stream, verb_of
from otelc2c.record.views import Views


def _version() -> str:
    try:
        return metadata.version("otelc2c")
    except metadata.PackageNotFoundError:
        return ""


SCOPE: Final = Scope("otelc2c", _version())
"""The instrumentation scope of our own metrics."""

Values: TypeAlias = tuple[str | int | None, ...]


class Adds(Protocol):
    """A cell of a counter or of an up-down counter."""

    exemplar_due: int

    def add(self, value: int | float) -> None:
        """Add `value`."""

    def exemplar(self, value: float, time_ns: int, trace_id: bytes, span_id: bytes) -> None:
        """Keep one measurement with its trace; at most one a second."""


class Records(Protocol):
    """A cell of a histogram."""

    exemplar_due: int

    def record(self, value: float) -> None:
        """Count `value`."""

    def exemplar(self, value: float, time_ns: int, trace_id: bytes, span_id: bytes) -> None:
        """Keep one measurement with its trace; at most one a second."""


class Sets(Protocol):
    """A cell of a gauge."""

    def set(self, value: int | float) -> None:
        """Set the value."""


_CellT = TypeVar("_CellT")


class _Own(Generic[_CellT]):
    """The cells of one metric of ours, by its values.

    Values that are None are absent from the attribute set. An attribute's values are text or whole
    numbers: Python takes 1, True and 1.0 for equal, and telling them apart at each look would cost
    as much as all else. The cache never grows above the cardinality limit: sets
    beyond it share the overflow cell and are not kept.
    """

    __slots__ = ("_cells", "_feed", "_limit", "metric")

    def __init__(
        self, store: Store, metric: Metric, limit: int = DEFAULT_LIMIT, views: Views | None = None
    ) -> None:
        """Keep `metric` in `store`, at most `limit` sets of it, as `views` want it."""
        asked = Instrument(
            SCOPE, metric.name, metric.kind, metric.unit, metric.description, combine=metric.combine
        )
        plans = (views or Views()).plans(asked, metric.bounds or None)
        streams = [Stream(store, plan.instrument, limit) for plan in plans]
        self.metric = metric
        self._feed = Feed(plans, streams, verb_of(metric.kind), limit)
        self._limit = limit
        self._cells: dict[Values, _CellT] = {}

    def cell(self, values: Values) -> _CellT:
        """The cell of the set with `values`, in the order of the metric's attributes.

        Never raises: values that are too many or too few end in the guard, and in a cell that
        nobody reads.
        """
        try:
            return self._cells[values]
        except KeyError:
            return self._new(values)

    def _new(self, values: Values) -> _CellT:
        try:
            cleaned = clean(dict(zip(self.metric.attributes, values, strict=True)))
            found, lasting = self._feed.sink(cleaned)
            if lasting:
                if len(self._cells) >= self._limit:
                    self._cells.clear()
                self._cells[values] = found
        except Exception as error:
            swallowed("record.own", error)
            return cast(_CellT, Fan(()))
        return cast(_CellT, found)


class OwnHistogram(_Own[Records]):
    """A histogram of the catalogue: `histogram.cell(values).record(seconds)`."""


class OwnCounter(_Own[Adds]):
    """A counter of the catalogue: `counter.cell(values).add(1)`."""


class OwnUpDownCounter(_Own[Adds]):
    """An up-down counter of the catalogue: `counter.cell(values).add(-1)`."""


class OwnGauge(_Own[Sets]):
    """A gauge of the catalogue: `gauge.cell(values).set(7)`."""
