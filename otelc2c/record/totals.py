"""Totals: one attribute set's value over all processes, by the kind of its instrument."""

from typing import Protocol

from otelc2c.record import layout
from otelc2c.record.cells import LARGEST_INT, SMALLEST_INT, Cell, HistogramCell, LastCell, Store, SumCell
from otelc2c.record.exponential import Buckets, buckets_of
from otelc2c.record.exponential_cells import exponential_cell, read_exponential
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
    SUM_KINDS,
    Attributes,
    Distribution,
    Exemplar,
    Exponential,
    Instrument,
    Point,
)


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


ROUNDING = 1e-12
"""Part of a sum that may be lost by adding the same values in another order."""


def not_below(shown: float, now: float) -> float:
    """A sum to show after `shown`: what was shown, where `now` is smaller by rounding alone.

    A process that ends is added first from then on. To Prometheus a counter that falls, however
    little, has begun anew, and the whole sum counts twice in a rate.
    """
    return shown if 0.0 < shown - now <= abs(shown) * ROUNDING else now


class Total:
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


class _SumTotal(Total):
    __slots__ = ("exemplar", "fraction", "shown", "whole")

    def __init__(self, attributes: Attributes) -> None:
        self.shown = 0.0
        super().__init__(attributes)

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
        value: int | float = self.whole
        if self.fraction:
            value = self.shown = not_below(self.shown, self.whole + self.fraction)
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


class _LastTotal(Total):
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


class _HistogramTotal(Total):
    __slots__ = ("bounds", "counts", "exemplars", "max", "min", "shown", "sum")

    def __init__(self, attributes: Attributes, bounds: int) -> None:
        self.shown = 0.0
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
        self.shown = not_below(self.shown, self.sum)
        return Point(self.attributes, Distribution(self.counts, self.shown, self.min, self.max), exemplars)

    def keep(self, store: Store, instrument: Instrument) -> Cell:
        cell: HistogramCell = store.histogram_cell(instrument, self.attributes)
        q, d = cell.chunk.q, cell.chunk.d
        for bucket, count in enumerate(self.counts):
            q[cell.base + bucket] = count
        d[cell.sum_at], d[cell.sum_at + 1], d[cell.sum_at + 2] = self.sum, self.min, self.max
        for exemplar in self.exemplars.values():
            _keep_exemplar(cell, exemplar)
        return cell


class _ExponentialTotal(Total):
    __slots__ = ("buckets", "exemplar", "max", "min", "shown", "size", "sum", "zeros")

    def __init__(self, attributes: Attributes, size: int) -> None:
        self.shown = 0.0
        self.size = size
        super().__init__(attributes)

    def clear(self) -> None:
        super().clear()
        self.buckets = Buckets(0)
        self.zeros = 0
        self.sum = 0.0
        self.min = float("inf")
        self.max = float("-inf")
        self.exemplar: Exemplar | None = None

    def add(self, q: memoryview, d: "memoryview[float]", base: int) -> None:
        its = read_exponential(q, d, base, self.size)
        self.present = True
        self.buckets = self.buckets.plus(buckets_of(its), self.size)
        self.zeros += its.zeros
        self.sum += its.sum
        self.min = min(self.min, its.min)
        self.max = max(self.max, its.max)
        self.exemplar = _newer(self.exemplar, _exemplar(q, d, base + layout.EXPO_EXEMPLAR))

    def _value(self) -> Exponential:
        return Exponential(*self.buckets, self.zeros, self.sum, self.min, self.max)

    def point(self) -> Point:
        self.shown = not_below(self.shown, self.sum)
        value = self._value()._replace(sum=self.shown)
        return Point(self.attributes, value, (self.exemplar,) if self.exemplar else ())

    def keep(self, store: Store, instrument: Instrument) -> Cell:
        cell = exponential_cell(store, instrument, self.attributes)
        cell.load(self._value())
        if self.exemplar:
            _keep_exemplar(cell, self.exemplar)
        return cell


class _HasExemplars(Protocol):
    exemplar_due: int

    def exemplar(self, value: float, time_ns: int, trace_id: bytes, span_id: bytes) -> None: ...


def _keep_exemplar(cell: _HasExemplars, exemplar: Exemplar) -> None:
    cell.exemplar_due = 0
    cell.exemplar(exemplar.value, exemplar.time_ns, exemplar.trace_id, exemplar.span_id)


def new_total(instrument: Instrument, attributes: Attributes) -> Total:
    """Nothing yet, of one attribute set of `instrument`."""
    if instrument.kind in SUM_KINDS:
        return _SumTotal(attributes)
    if instrument.kind in GAUGE_KINDS:
        return _LastTotal(attributes, instrument.combine)
    if instrument.buckets:
        return _ExponentialTotal(attributes, instrument.buckets)
    return _HistogramTotal(attributes, len(instrument.bounds))
