"""Families as the SDK's `MetricsData`: what readers and exporters written for the SDK take."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otelc2c.record.points import (
    GAUGE_KINDS,
    SUM_KINDS,
    Distribution,
    Exemplar,
    Exponential,
    Family,
    Point,
    Scope,
)

_KIND_OF_CLASS: Final = {
    "Counter": "counter",
    "UpDownCounter": "up_down_counter",
    "Histogram": "histogram",
    "Gauge": "gauge",
    "ObservableCounter": "observable_counter",
    "ObservableUpDownCounter": "observable_up_down_counter",
    "ObservableGauge": "observable_gauge",
}


def delta_kinds(temporality: Mapping[type, AggregationTemporality] | None) -> frozenset[str]:
    """The kinds of instruments that a reader's or exporter's preferred temporality wants as differences."""
    return frozenset(
        _KIND_OF_CLASS[name]
        for known, wanted in (temporality or {}).items()
        if wanted is AggregationTemporality.DELTA and (name := known.__name__.lstrip("_")) in _KIND_OF_CLASS
    )


def metrics_data(
    families: Iterable[Family],
    resource: Resource | None,
    since_ns: int,
    now_ns: int,
    temporality: Mapping[type, AggregationTemporality] | None = None,
    *,
    start_ns: int | None = None,
) -> MetricsData:
    """What the SDK would have collected at `now_ns`. Times are Unix nanoseconds.

    The values of `families` must be differences since `since_ns` already where `temporality`
    says delta; the others are counted since `start_ns`, or `since_ns` where it is not given.
    """
    making = _Making(since_ns, since_ns if start_ns is None else start_ns, now_ns, delta_kinds(temporality))
    by_scope: dict[Scope, list[Metric]] = {}
    for family in families:
        if family.points:
            by_scope.setdefault(family.instrument.scope, []).append(making.metric(family))
    scopes = [
        ScopeMetrics(scope=sdk_scope(scope), metrics=metrics, schema_url=scope.schema_url)
        for scope, metrics in by_scope.items()
    ]
    found = resource if resource is not None else Resource.get_empty()
    return MetricsData([ResourceMetrics(resource=found, scope_metrics=scopes, schema_url=found.schema_url)])


def sdk_scope(scope: Scope) -> InstrumentationScope:
    """A scope as the SDK's."""
    return InstrumentationScope(scope.name, scope.version, scope.schema_url, dict(scope.attributes))


class _Making:
    """Makes one collection's metrics."""

    def __init__(self, since_ns: int, start_ns: int, now_ns: int, kinds: frozenset[str]) -> None:
        self._since_ns = since_ns
        self._start_ns = start_ns
        self._now_ns = now_ns
        self._delta_kinds = kinds

    def metric(self, family: Family) -> Metric:
        instrument = family.instrument
        return Metric(instrument.name, instrument.description, instrument.unit, self._data(family))

    def _data(self, family: Family) -> Sum | Gauge | Histogram | ExponentialHistogram:
        instrument = family.instrument
        if instrument.kind in GAUGE_KINDS:
            # A gauge has no start; the SDK leaves it out too.
            return Gauge(
                [self._number(point, None, point.time_ns or self._now_ns) for point in family.points]
            )
        delta = instrument.kind in self._delta_kinds
        start = self._since_ns if delta else self._start_ns
        how = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
        if instrument.kind in SUM_KINDS:
            points = [self._number(point, start, self._now_ns) for point in family.points]
            return Sum(points, how, instrument.monotonic)
        if instrument.buckets:
            return ExponentialHistogram([self._exponential(point, start) for point in family.points], how)
        bounds = instrument.bounds
        return Histogram([self._histogram(point, start, bounds) for point in family.points], how)

    def _number(self, point: Point, start_ns: Any, time_ns: int) -> NumberDataPoint:
        if isinstance(point.value, Distribution | Exponential):
            raise TypeError("a sum or gauge whose value is a distribution")
        return NumberDataPoint(
            dict(point.attributes), start_ns, time_ns, point.value, list(map(_exemplar, point.exemplars))
        )

    def _histogram(self, point: Point, start_ns: int, bounds: Sequence[float]) -> HistogramDataPoint:
        value = point.value
        if not isinstance(value, Distribution):
            raise TypeError("a histogram whose value is a number")
        return HistogramDataPoint(
            attributes=dict(point.attributes),
            start_time_unix_nano=start_ns,
            time_unix_nano=self._now_ns,
            count=value.count,
            sum=value.sum,
            bucket_counts=list(value.counts),
            explicit_bounds=list(bounds),
            min=_known(value.min),
            max=_known(value.max),
            exemplars=list(map(_exemplar, point.exemplars)),
        )

    def _exponential(self, point: Point, start_ns: int) -> ExponentialHistogramDataPoint:
        value = point.value
        if not isinstance(value, Exponential):
            raise TypeError("an exponential histogram whose value is something else")
        return ExponentialHistogramDataPoint(
            attributes=dict(point.attributes),
            start_time_unix_nano=start_ns,
            time_unix_nano=self._now_ns,
            count=value.count,
            sum=value.sum,
            scale=value.scale,
            zero_count=value.zeros,
            positive=Buckets(value.low, list(value.counts)),
            # Values below zero are refused by the instruments that have such a histogram.
            negative=Buckets(0, []),
            flags=0,
            min=_known(value.min),
            max=_known(value.max),
            exemplars=list(map(_exemplar, point.exemplars)),
        )


def _known(extreme: float) -> Any:
    """None where nothing is known of it: OTLP's field is optional, and the SDK's encoder takes None."""
    return extreme if math.isfinite(extreme) else None


def _exemplar(exemplar: Exemplar) -> SdkExemplar:
    return SdkExemplar(
        filtered_attributes={},
        value=exemplar.value,
        time_unix_nano=exemplar.time_ns,
        span_id=int.from_bytes(exemplar.span_id),
        trace_id=int.from_bytes(exemplar.trace_id),
    )
