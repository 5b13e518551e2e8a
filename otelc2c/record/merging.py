"""Merging: the values of several processes as one.

Counters and histograms are added, and stay added when their process is gone (the fold).
Up-down counters and gauges tell of what is: a process that is gone has no say in them,
except in a gauge whose most recent value counts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from otelc2c.record import layout
from otelc2c.record.cells import LARGEST_INT, SMALLEST_INT, Cell, HistogramCell, LastCell, Store, SumCell
from otelc2c.record.layout import (
    EXEMPLAR_SPAN,
    EXEMPLAR_TIME_NS,
    EXEMPLAR_TRACE,
    EXEMPLAR_VALUE,
    EXEMPLAR_WORDS,
    LAST_FLOAT,
    LAST_INT,
    LAST_TIME_NS,
    LAST_TYPE,
    LAST_TYPE_INT,
    LAST_TYPE_NONE,
    SUM_EXEMPLAR,
    SUM_FLOAT,
    SUM_INT,
)
from otelc2c.record.points import (
    GAUGE_KINDS,
    OVERFLOW,
    SUM_KINDS,
    Attributes,
    Distribution,
    Exemplar,
    Family,
    Instrument,
    Point,
)
from otelc2c.record.reading import CellsReader, Series

WORKER = "otelc2c.worker"
"""The attribute that tells the values of a gauge apart that is shown for each worker."""


def _exemplar(q: memoryview, d: "memoryview[float]", at: int) -> Exemplar | None:
    time_ns = q[at + EXEMPLAR_TIME_NS]
    if not time_ns:
        return None
    value = d[at + EXEMPLAR_VALUE]
    trace_id = bytes(q[at + EXEMPLAR_TRACE : at + EXEMPLAR_SPAN])
    span_id = bytes(q[at + EXEMPLAR_SPAN : at + EXEMPLAR_SPAN + 1])
    if q[at + EXEMPLAR_TIME_NS] != time_ns:
        return None  # it was just being replaced
    return Exemplar(time_ns, value, trace_id, span_id)


def _newer(one: Exemplar | None, other: Exemplar | None) -> Exemplar | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


class _Total:
    """One attribute set's value over all processes."""

    __slots__ = ("attributes", "present")

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self.clear()

    def clear(self) -> None:
        self.present = False

    def add(self, q: memoryview, d: "memoryview[float]", base: int) -> None:
        raise NotImplementedError

    def point(self) -> Point:
        raise NotImplementedError

    def keep(self, store: Store, instrument: Instrument) -> Cell:
        """Write this value into a store, for the fold."""
        raise NotImplementedError


class _SumTotal(_Total):
    __slots__ = ("exemplar", "fraction", "whole")

    def clear(self) -> None:
        super().clear()
        self.whole = 0
        self.fraction = 0.0
        self.exemplar: Exemplar | None = None

    def add(self, q: memoryview, d: "memoryview[float]", base: int) -> None:
        self.present = True
        self.whole += q[base + SUM_INT]
        self.fraction += d[base + SUM_FLOAT]
        if q[base + SUM_EXEMPLAR]:
            self.exemplar = _newer(self.exemplar, _exemplar(q, d, base + SUM_EXEMPLAR))

    def point(self) -> Point:
        value = self.whole + self.fraction if self.fraction else self.whole
        return Point(self.attributes, value, (self.exemplar,) if self.exemplar else ())

    def keep(self, store: Store, instrument: Instrument) -> Cell:
        cell: SumCell = store.counter_cell(instrument, self.attributes)
        if SMALLEST_INT <= self.whole <= LARGEST_INT:
            cell.add(self.whole)
            cell.add(self.fraction)
        else:
            cell.add(float(self.whole) + self.fraction)
        if self.exemplar:
            _keep_exemplar(cell, self.exemplar)
        return cell


class _LastTotal(_Total):
    __slots__ = ("combine", "time_ns", "value")

    def __init__(self, attributes: Attributes, combine: str) -> None:
        self.combine = combine
        super().__init__(attributes)

    def clear(self) -> None:
        super().clear()
        self.value: int | float = 0
        self.time_ns = 0

    def add(self, q: memoryview, d: "memoryview[float]", base: int) -> None:
        kind = q[base + LAST_TYPE]
        if kind == LAST_TYPE_NONE:
            return
        value = q[base + LAST_INT] if kind == LAST_TYPE_INT else d[base + LAST_FLOAT]
        time_ns = q[base + LAST_TIME_NS]
        if not self.present:
            self.value = value
        elif self.combine == "sum":
            self.value += value
        elif self.combine == "max":
            self.value = max(self.value, value)
        elif time_ns >= self.time_ns:
            self.value = value
        self.present = True
        self.time_ns = max(self.time_ns, time_ns)

    def point(self) -> Point:
        return Point(self.attributes, self.value, (), self.time_ns)

    def keep(self, store: Store, instrument: Instrument) -> Cell:
        cell: LastCell = store.gauge_cell(instrument, self.attributes)
        cell.set(self.value, self.time_ns)
        return cell


class _HistogramTotal(_Total):
    __slots__ = ("bounds", "counts", "exemplars", "max", "min", "sum")

    def __init__(self, attributes: Attributes, bounds: int) -> None:
        self.bounds = bounds
        super().__init__(attributes)

    def clear(self) -> None:
        super().clear()
        self.counts: list[int] = [0] * (self.bounds + 1)
        self.sum = 0.0
        self.min = float("inf")
        self.max = float("-inf")
        self.exemplars: dict[int, Exemplar] = {}

    def add(self, q: memoryview, d: "memoryview[float]", base: int) -> None:
        end = base + self.bounds + 1
        counts = q[base:end].tolist()
        if self.present:
            self.counts = [mine + its for mine, its in zip(self.counts, counts, strict=True)]
        else:
            self.counts = counts
            self.present = True
        self.sum += d[end]
        self.min = min(self.min, d[end + 1])
        self.max = max(self.max, d[end + 2])
        at = base + layout.histogram_exemplars(self.bounds)
        times = q[at : at + (self.bounds + 1) * EXEMPLAR_WORDS : EXEMPLAR_WORDS].tolist()
        if any(times):
            for bucket, time_ns in enumerate(times):
                if time_ns:
                    newest = _newer(self.exemplars.get(bucket), _exemplar(q, d, at + bucket * EXEMPLAR_WORDS))
                    if newest:
                        self.exemplars[bucket] = newest

    def point(self) -> Point:
        exemplars = tuple(self.exemplars[bucket] for bucket in sorted(self.exemplars))
        return Point(self.attributes, Distribution(self.counts, self.sum, self.min, self.max), exemplars)

    def keep(self, store: Store, instrument: Instrument) -> Cell:
        cell: HistogramCell = store.histogram_cell(instrument, self.attributes)
        q, d = cell.chunk.q, cell.chunk.d
        for bucket, count in enumerate(self.counts):
            q[cell.base + bucket] = count
        d[cell.sum_at], d[cell.sum_at + 1], d[cell.sum_at + 2] = self.sum, self.min, self.max
        for exemplar in self.exemplars.values():
            _keep_exemplar(cell, exemplar)
        return cell


class _HasExemplars(Protocol):
    exemplar_due: int

    def exemplar(self, value: float, time_ns: int, trace_id: bytes, span_id: bytes) -> None: ...


def _keep_exemplar(cell: _HasExemplars, exemplar: Exemplar) -> None:
    cell.exemplar_due = 0
    cell.exemplar(exemplar.value, exemplar.time_ns, exemplar.trace_id, exemplar.span_id)


def outlives(instrument: Instrument) -> bool:
    """Whether values count after their process is gone."""
    if instrument.kind in GAUGE_KINDS:
        return instrument.combine == "recent"
    return instrument.kind == "histogram" or instrument.monotonic


def _key(attributes: Attributes) -> tuple[tuple[str, str, Any], ...]:
    """The same for the same set in any order, and different for 1, 1.0 and True."""
    return tuple((name, type(value).__name__, _typed(value)) for name, value in sorted(attributes.items()))


def _typed(value: Any) -> Any:
    return tuple((type(item).__name__, item) for item in value) if isinstance(value, tuple) else value


class Source:
    """One process' series, each bound to the total it adds to."""

    def __init__(self, reader: CellsReader | None, worker: str = "") -> None:
        """Follow `reader`; `worker` tells its gauges apart where they are shown one by one.

        Without a reader it is complete as it is.
        """
        self.reader = reader
        self.worker = worker
        self.bound: list[tuple[_Total, Series]] = []

    def add(self) -> None:
        """Add every value to its total."""
        for total, series in self.bound:
            total.add(series.q, series.d, series.base)


class Merger:
    """All totals of a pod, and the sources that make them up."""

    def __init__(self, limit: int = 2000) -> None:
        """Merge at most `limit` attribute sets an instrument; further ones share the overflow set."""
        self._limit = limit
        self._totals: dict[Instrument, dict[Any, _Total]] = {}

    def collect(self, sources: Iterable[Source]) -> list[Family]:
        """What all sources say together, now. Raises BadFile for a source that cannot be read."""
        self.add_up(sources)
        families = []
        for instrument, totals in self._totals.items():
            points = [total.point() for total in totals.values() if total.present]
            if points:
                families.append(Family(instrument, points))
        return families

    def add_up(self, sources: Iterable[Source]) -> None:
        """Set all totals to what the sources say now."""
        for totals in self._totals.values():
            for total in totals.values():
                total.clear()
        for source in sources:
            self.bind(source)
            source.add()

    def bind(self, source: Source) -> None:
        """Find the totals of the series that are new in a source. Raises BadFile."""
        if source.reader is None:
            return
        source.reader.look()
        for series in source.reader.series[len(source.bound) :]:
            source.bound.append((self._total(series, source.worker), series))

    def _total(self, series: Series, worker: str) -> _Total:
        instrument, attributes = series.instrument, series.attributes
        if instrument.combine == "worker" and worker:
            attributes = {**attributes, WORKER: worker}
        totals = self._totals.setdefault(instrument, {})
        key = _key(attributes)
        total = totals.get(key)
        if total is None:
            if len(totals) >= self._limit:
                attributes, key = OVERFLOW, _key(OVERFLOW)
                if key in totals:
                    return totals[key]
            total = totals[key] = _new_total(instrument, attributes)
        return total

    def keep(self, names: Sequence[str], publish: Callable[[Store], None]) -> Source:
        """Write everything that outlives its process into a store, with the names it came from.

        `publish` puts the store where it shall be; what it raises is raised. Returned is a
        source that stands for all that was kept.
        """
        store = Store()
        for name in names:
            store.note_folded(name)
        kept = [(total, instrument, total.keep(store, instrument)) for instrument, total in self._lasting()]
        publish(store)
        source = Source(None)
        for total, instrument, cell in kept:
            place = Series(instrument, total.attributes, cell.chunk.q, cell.chunk.d, cell.base)
            source.bound.append((total, place))
        return source

    def _lasting(self) -> Iterator[tuple[Instrument, _Total]]:
        for instrument, totals in self._totals.items():
            if outlives(instrument):
                yield from ((instrument, total) for total in totals.values() if total.present)


def _new_total(instrument: Instrument, attributes: Attributes) -> _Total:
    if instrument.kind in SUM_KINDS:
        return _SumTotal(attributes)
    if instrument.kind in GAUGE_KINDS:
        return _LastTotal(attributes, instrument.combine)
    return _HistogramTotal(attributes, len(instrument.bounds))


def families_of(store: Store) -> list[Family]:
    """What one process has recorded itself."""
    reader = CellsReader(store.memory, lambda: store.memory)
    return Merger().collect([Source(reader)])
