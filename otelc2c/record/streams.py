"""Streams: from an attribute set to the cell that holds its numbers.

A stream is one metric as it leaves the process. It finds or makes the cell of a set, and counts
sets: the last place under the cardinality limit belongs to the overflow point, which takes every
further set (metrics SDK specification, "Cardinality limits"). An instrument feeds one stream or,
with views, several or none.
"""

import os
from _thread import RLock
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, Literal, TypeAlias

from otelc2c.record.attribute_sets import SetKey, clean, key_of
from otelc2c.record.cells import HistogramCell, LastCell, Store, SumCell
from otelc2c.record.exponential_cells import ExponentialCell, exponential_cell
from otelc2c.record.points import GAUGE_KINDS, OVERFLOW, Attributes, AttributeValue, Instrument
from otelc2c.record.views import StreamPlan

DEFAULT_LIMIT: Final = 2000
"""Attribute sets of one stream, the overflow point included."""

LARGEST_SHAPE: Final = 32
"""Attributes of a set that is still looked up the shortest way."""

Verb: TypeAlias = Literal["add", "set", "record"]
StreamCell: TypeAlias = SumCell | LastCell | HistogramCell | ExponentialCell

PLAIN: Final = frozenset({str, int, float, bool})
"""Types whose values compare with others only by value, so that a key of them cannot surprise."""


class _Registration:
    """The lock under which cells are made; a forked child gets a new one.

    It lets its own thread in again: a signal's handler that counts may come while a cell is being made.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.lock = RLock()


_registration: Final = _Registration()
os.register_at_fork(after_in_child=_registration.renew)


def verb_of(kind: str) -> Verb:
    """How a value reaches the cells of a stream of `kind`."""
    if kind == "histogram":
        return "record"
    return "set" if kind in GAUGE_KINDS else "add"


class Stream:
    """One metric of this process, and the cells of its attribute sets."""

    __slots__ = ("_cells", "_limit", "_overflow", "_store", "instrument")

    def __init__(self, store: Store, instrument: Instrument, limit: int = DEFAULT_LIMIT) -> None:
        """A stream of at most `limit` attribute sets, at least one of which is the overflow."""
        self.instrument = instrument
        self._store = store
        self._limit = limit
        self._cells: dict[SetKey, StreamCell] = {}
        self._overflow: StreamCell | None = None

    def cell(self, attributes: Attributes) -> tuple[StreamCell, bool]:
        """The cell of a cleaned set, and whether the set is one of its own (not the overflow)."""
        key = key_of(attributes)
        cell = self._cells.get(key)
        if cell is not None:
            return cell, True
        with _registration.lock:
            cell = self._cells.get(key)
            if cell is not None:
                return cell, True
            if len(self._cells) < self._limit - 1:
                made = self._make(attributes)
                # A signal's handler may have made it meanwhile, and counted.
                return self._cells.setdefault(key, made), True
            if self._overflow is None:
                self._overflow = self._make(OVERFLOW)
            return self._overflow, False

    def _make(self, attributes: Attributes) -> StreamCell:
        verb = verb_of(self.instrument.kind)
        if verb == "record":
            if self.instrument.buckets:
                return exponential_cell(self._store, self.instrument, attributes)
            return self._store.histogram_cell(self.instrument, attributes)
        if verb == "set":
            return self._store.gauge_cell(self.instrument, attributes)
        return self._store.counter_cell(self.instrument, attributes)


class Fan:
    """Several cells that take the same measurement, or none at all."""

    __slots__ = ("_exemplars", "_writes")

    def __init__(self, cells: Iterable[StreamCell]) -> None:
        """Write to all `cells`, each in its own way."""
        kept = list(cells)
        self._writes: list[Callable[[Any], None]] = [_write_of(cell) for cell in kept]
        self._exemplars = [cell for cell in kept if not isinstance(cell, LastCell)]

    def write(self, value: int | float) -> None:
        """Give `value` to every cell."""
        for write in self._writes:
            write(value)

    add = set = record = write

    @property
    def exemplar_due(self) -> int:
        """The first time (ns) at which one of the cells takes an exemplar."""
        return min((cell.exemplar_due for cell in self._exemplars), default=2**63)

    def exemplar(self, value: float, time_ns: int, trace_id: bytes, span_id: bytes) -> None:
        """Offer the measurement to every cell that keeps exemplars."""
        for cell in self._exemplars:
            cell.exemplar(value, time_ns, trace_id, span_id)


def _write_of(cell: StreamCell) -> Callable[[Any], None]:
    if isinstance(cell, SumCell):
        return cell.add
    if isinstance(cell, LastCell):
        return cell.set
    return cell.record


class Table:
    """Sinks by the values of a set, kept apart by the class of some of these.

    `at` is a position whose values are not all text. Python takes `1`, `True` and `1.0` for equal,
    so their class chooses the next table; text is equal to nothing but text and needs no choice.
    """

    __slots__ = ("_rest", "at", "tables")

    def __init__(self, ats: Sequence[int]) -> None:
        """Choose at the positions `ats`, of which there is at least one."""
        self.at = ats[0]
        self._rest = ats[1:]
        self.tables: dict[type, Table | dict[tuple[object, ...], Any]] = {}

    def __getitem__(self, values: tuple[Any, ...]) -> Any:
        """The sink for `values`, or KeyError. Hot paths write this out themselves."""
        return self.tables[values[self.at].__class__][values]

    def __setitem__(self, values: tuple[Any, ...], sink: Any) -> None:
        """Keep the sink for `values`, which are text wherever no table chooses."""
        kind = type(values[self.at])
        if kind not in self.tables:
            self.tables[kind] = Table(self._rest) if self._rest else {}
        self.tables[kind][values] = sink


class Shape(Table):
    """Sets with the same names. `values(attributes)` are their values in one order."""

    __slots__ = ("ats", "names", "values")

    def __init__(self, names: Sequence[str], ats: Sequence[int] = ()) -> None:
        """A shape for sets with `names`, in whatever order they come; `ats` as in `Table`, or none."""
        super().__init__(ats or (0,))
        self.names = names
        self.ats = ats
        # One name twice, because with a single one there would be no tuple.
        self.values = itemgetter(*names) if len(names) > 1 else itemgetter(names[0], names[0])

    def needs(self, values: tuple[Any, ...]) -> set[int]:
        """The positions of these values at which the shape does not choose and would have to."""
        odd = (at for at in range(len(self.names)) if type(values[at]) is not str)
        return set(odd).difference(self.ats)


class Feed:
    """The streams of one instrument: where a value with its attributes goes.

    Hot paths read two caches, `bare` (the sink without attributes, once there is one) and `shapes`
    (by number of attributes). Shapes that found their place taken are in `others`, by their names
    as they came. None of these holds the overflow, whose sets have no end. All are emptied when
    they have become twice as long as there may be sets: views that leave attributes out make many
    sets one.
    """

    __slots__ = ("_bound", "_kept", "_plans", "_single", "_streams", "bare", "others", "shapes")

    def __init__(
        self, plans: Sequence[StreamPlan], streams: Sequence[Stream], verb: Verb, limit: int
    ) -> None:
        """Feed `streams`, each under its plan, by the verb that the instrument calls."""
        self._plans = plans
        self._streams = streams
        self._bound = 2 * limit
        self._kept = 0
        self._single = (
            len(streams) == 1
            and verb_of(streams[0].instrument.kind) == verb
            and plans[0].keys is None
            and not plans[0].exclude
        )
        self.bare: list[Any] = []
        self.shapes: dict[int, Shape] = {}
        self.others: dict[tuple[str, ...], Shape] = {}

    def find(self, attributes: Any) -> Any:
        """The sink for `attributes` as an application passed them, cached where that is safe."""
        if attributes and self.others:
            try:
                shape = self.others[tuple(attributes)]
                return shape[shape.values(attributes)]
            except (KeyError, TypeError):
                pass  # not there, not hashable, no mapping
        sink, lasting = self.sink(clean(attributes))
        if lasting and _cachable(attributes):
            self._keep(attributes, sink)
        return sink

    def sink(self, cleaned: dict[str, AttributeValue]) -> tuple[Any, bool]:
        """The sink for a cleaned set, and whether it stays the right one."""
        if self._single:
            return self._streams[0].cell(cleaned)
        found = self.cells(cleaned)
        return Fan(cell for cell, _ in found), all(own for _, own in found)

    def cells(self, cleaned: dict[str, AttributeValue]) -> list[tuple[StreamCell, bool]]:
        """The cell of each stream for a cleaned set, and whether the set is one of its own."""
        return [
            stream.cell(plan.filtered(cleaned))
            for plan, stream in zip(self._plans, self._streams, strict=True)
        ]

    def _keep(self, attributes: Any, sink: Any) -> None:
        if not attributes:
            self.bare[:] = [sink]
            return
        with _registration.lock:
            if self._kept >= self._bound:
                self._kept = 0
                self.shapes.clear()
                self.others.clear()
            self._kept += 1
            self._shape(attributes, sink)

    def _shape(self, attributes: Any, sink: Any) -> None:
        names, size = tuple(attributes), len(attributes)
        shape = self.shapes.get(size)
        first = size <= LARGEST_SHAPE and (shape is None or set(shape.names) == set(names))
        if not first:
            shape = self.others.get(names)
        if shape is None:
            shape = Shape(names)
        values = shape.values(attributes)
        needed = shape.needs(values)
        if needed:
            # A new one, because others may be looking at this one: what was in it is found again.
            shape = Shape(shape.names, sorted(needed.union(shape.ats)))
        shape[values] = sink
        if first:
            self.shapes[size] = shape
        else:
            self.others[names] = shape


def _cachable(attributes: Any) -> bool:
    """Whether no other set can be found by these values.

    Sequences are not looked up: tables know nothing of the types of what is in them. Nor is a
    float that is no number, which would never be found again.
    """
    if not isinstance(attributes, Mapping):
        return attributes is None
    return all(type(name) is str and name for name in attributes) and all(
        type(value) in PLAIN and value == value  # noqa: PLR0124
        for value in attributes.values()
    )
