"""The relay's own numbers, as families for the page and for OTLP.

Names are OpenTelemetry's for the state of an SDK, declared in `otelc2c.catalog`. Totals are
carried over when the relay is started again (`to_dict`, `from_dict`), so no counter of
the page goes down; what only holds now (queues, what is in flight) starts anew.
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from otelc2c import catalog
from otelc2c.catalog import Metric
from otelc2c.record.points import AttributeValue, Distribution, Family, Instrument, Point, Scope

PROCESSOR: Final = "batching_span_processor"
QUEUE_FULL: Final = "queue_full"
_CARRIED: Final = frozenset({"counter", "histogram"})
_LOSSES: Final = frozenset(
    metric.name
    for metric in (
        catalog.RING_DROPPED,
        catalog.RING_HOLES,
        catalog.SERIES_LOST,
        catalog.GUARD_SWALLOWED,
        catalog.RELAY_BAD_FILES,
        catalog.RELAY_RESENT,
    )
)
_LOSSES_WITH_ERROR: Final = frozenset(
    metric.name
    for metric in (
        catalog.SDK_SPAN_PROCESSED,
        catalog.SDK_SPAN_EXPORTED,
        catalog.SDK_DATA_POINT_EXPORTED,
    )
)
_BY_NAME: Final = {metric.name: metric for metric in catalog.ALL}

_Key: TypeAlias = tuple[tuple[str, AttributeValue], ...]


class Component(NamedTuple):
    """A part of the relay that others would call a processor, exporter or reader."""

    type: str
    """A value of `otel.component.type`, or the name of an exporter that is not ours."""
    number: int = 0
    address: str = ""
    port: int = 0

    def attributes(self, error: str = "") -> dict[str, AttributeValue]:
        """What its numbers carry; `error` is empty where nothing failed."""
        found: dict[str, AttributeValue] = {
            catalog.COMPONENT_TYPE: self.type,
            catalog.COMPONENT_NAME: f"{self.type}/{self.number}",
        }
        if self.address:
            found[catalog.SERVER_ADDRESS] = self.address
        if self.port:
            found[catalog.SERVER_PORT] = self.port
        if error:
            found[catalog.ERROR_TYPE] = error
        return found


class Counts(Protocol):
    """What the files of the pod say about themselves."""

    bad_files: int
    backlog_dropped: int

    @property
    def living(self) -> int:
        """Living processes."""

    @property
    def backlog_bytes(self) -> int:
        """Space that undelivered records of ended processes take."""

    def counted(self, kind: str) -> int:
        """Total of "full", "large", "holes", "lost", "guarded" or "folded" over all files."""


class _Histogram:
    __slots__ = ("bounds", "counts", "max", "min", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum, self.min, self.max = 0.0, math.inf, -math.inf

    def record(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
        self.min, self.max = min(self.min, value), max(self.max, value)

    def value(self) -> Distribution:
        return Distribution(tuple(self.counts), self.sum, self.min, self.max)

    def restore(self, counts: list[int], total: float, least: float, most: float) -> None:
        if len(counts) == len(self.counts):
            self.counts = [int(count) for count in counts]
            self.sum, self.min, self.max = float(total), float(least), float(most)


class State:
    """The numbers themselves. Every method may be called from any thread."""

    def __init__(self, scope: Scope = Scope("otelc2c.relay")) -> None:  # noqa: B008 - a constant value
        """Start with nothing counted; the families will say that they come from `scope`."""
        self._scope = scope
        self._lock = threading.Lock()
        # By the name of the metric, because hashing the whole entry costs more than all the rest.
        self._numbers: dict[str, dict[_Key, int | float]] = {}
        self._histograms: dict[str, dict[_Key, _Histogram]] = {}
        self._instruments = {metric.name: self._instrument(metric) for metric in catalog.ALL}
        self._noted: tuple[int, ...] = ()
        self._attributes: dict[_Key, dict[str, AttributeValue]] = {}

    def add(
        self, metric: Metric, value: float, attributes: Mapping[str, AttributeValue] | None = None
    ) -> None:
        """Add to a counter or an up-and-down counter. Keeps whole numbers whole."""
        key = _key(attributes)
        with self._lock:
            series = self._numbers.setdefault(metric.name, {})
            series[key] = series.get(key, 0) + value

    def put(
        self, metric: Metric, value: float, attributes: Mapping[str, AttributeValue] | None = None
    ) -> None:
        """Say what a value is now. A counter never goes down: the higher of both stays."""
        key = _key(attributes)
        with self._lock:
            series = self._numbers.setdefault(metric.name, {})
            series[key] = max(series.get(key, 0), value) if metric.kind == "counter" else value

    def record(
        self, metric: Metric, value: float, attributes: Mapping[str, AttributeValue] | None = None
    ) -> None:
        """Record one value in a histogram."""
        with self._lock:
            self._histogram(metric, _key(attributes)).record(value)

    def _histogram(self, metric: Metric, key: _Key) -> _Histogram:
        series = self._histograms.setdefault(metric.name, {})
        if key not in series:
            series[key] = _Histogram(metric.bounds)
        return series[key]

    def note_files(self, counts: Counts) -> None:
        """Take over what the pod's files count: workers, what they dropped, lost and swallowed."""
        full, large = counts.counted("full"), counts.counted("large")
        backlog = counts.backlog_dropped
        holes, lost, guarded = counts.counted("holes"), counts.counted("lost"), counts.counted("guarded")
        folded, living, bytes_left = counts.counted("folded"), counts.living, counts.backlog_bytes
        noted = (full, large, backlog, holes, lost, guarded, folded, living, bytes_left, counts.bad_files)
        if noted == self._noted:
            return
        self._noted = noted
        for reason, value in (("full", full), ("large", large), ("backlog", backlog)):
            self.put(catalog.RING_DROPPED, value, {catalog.REASON: reason})
        processor = Component(PROCESSOR)
        self.put(catalog.SDK_SPAN_PROCESSED, full + backlog, processor.attributes(QUEUE_FULL))
        self.put(catalog.SDK_SPAN_PROCESSED, large, processor.attributes("too_large"))
        self.put(catalog.RING_HOLES, holes)
        self.put(catalog.SERIES_LOST, lost)
        self.put(catalog.GUARD_SWALLOWED, guarded)
        self.put(catalog.RELAY_BAD_FILES, counts.bad_files)
        self.put(catalog.RELAY_WORKERS, living)
        self.put(catalog.RELAY_FOLDED, folded)
        self.put(catalog.RELAY_BACKLOG, bytes_left)

    def families(self) -> list[Family]:
        """Everything counted so far, in the order of the catalogue."""
        with self._lock:
            return [
                Family(instrument, points)
                for name, instrument in self._instruments.items()
                if (points := self._points(name))
            ]

    def losses(self) -> list[Family]:
        """What was dropped, lost or swallowed, as far as there was any: nobody has to ask for that."""
        with self._lock:
            return [
                Family(self._instruments[name], points)
                for name, series in self._numbers.items()
                if name in _LOSSES or name in _LOSSES_WITH_ERROR
                if (points := self._lost(name, series))
            ]

    def _lost(self, name: str, series: Mapping[_Key, int | float]) -> list[Point]:
        failed = name in _LOSSES_WITH_ERROR
        found = [(dict(key), value) for key, value in series.items() if value]
        return [Point(known, value) for known, value in found if not failed or catalog.ERROR_TYPE in known]

    def _instrument(self, metric: Metric) -> Instrument:
        return Instrument(
            self._scope,
            metric.name,
            metric.kind,
            metric.unit,
            metric.description,
            metric.bounds,
            metric.combine,
        )

    def _points(self, name: str) -> list[Point]:
        # The same attributes are the same object each time, so that their encoding can be kept.
        known = self._attributes
        points = [
            Point(known.get(key) or known.setdefault(key, dict(key)), value)
            for key, value in self._numbers.get(name, {}).items()
        ]
        points += [
            Point(known.get(key) or known.setdefault(key, dict(key)), one.value())
            for key, one in self._histograms.get(name, {}).items()
        ]
        return points

    def to_dict(self) -> dict[str, Any]:
        """What a later relay must go on from, for JSON."""
        with self._lock:
            numbers = [
                [name, dict(key), value]
                for name, series in self._numbers.items()
                if _BY_NAME[name].kind in _CARRIED
                for key, value in series.items()
            ]
            histograms = [
                [name, dict(key), [one.counts[:], one.sum, one.min, one.max]]
                for name, series in self._histograms.items()
                for key, one in series.items()
            ]
        return {"numbers": numbers, "histograms": histograms}

    def from_dict(self, saved: Any) -> None:
        """Go on from what `to_dict` gave. What is not understood is left out; nothing is raised."""
        if not isinstance(saved, dict):
            return
        for kind, histograms, restore in (
            ("numbers", False, self._restore_number),
            ("histograms", True, self._restore_histogram),
        ):
            rows = saved.get(kind)
            for row in rows if isinstance(rows, list) else ():
                try:
                    name, attributes, value = row
                    metric = _BY_NAME[name]
                    if metric.kind in _CARRIED and (metric.kind == "histogram") is histograms:
                        restore(metric, attributes, value)
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue

    def _restore_number(self, metric: Metric, attributes: Mapping[str, AttributeValue], value: Any) -> None:
        if isinstance(value, int | float) and math.isfinite(value):
            self.add(metric, value, attributes)

    def _restore_histogram(
        self, metric: Metric, attributes: Mapping[str, AttributeValue], value: Any
    ) -> None:
        counts, total, least, most = value
        with self._lock:
            self._histogram(metric, _key(attributes)).restore(counts, total, least, most)


def _key(attributes: Mapping[str, AttributeValue] | None) -> _Key:
    return tuple(sorted(attributes.items())) if attributes else ()
