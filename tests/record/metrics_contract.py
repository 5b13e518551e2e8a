"""Both providers behind one face, so that the same tests run on ours and on the SDK's."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from opentelemetry.metrics import MeterProvider as ApiMeterProvider
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import Gauge, InMemoryMetricReader, MetricsData, Sum
from opentelemetry.sdk.metrics.view import View

from otelc2c.record.attribute_sets import clean, key_of
from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.meter import MeterProvider
from otelc2c.record.points import GAUGE_KINDS, SUM_KINDS, Distribution, Exemplar, Family

Key = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Histogram:
    """One point of a histogram."""

    counts: tuple[int, ...]
    bounds: tuple[float, ...]
    sum: float
    min: float
    max: float


@dataclass(frozen=True)
class Stream:
    """One metric as any provider tells it."""

    shape: str
    monotonic: bool
    unit: str
    description: str
    scope: tuple[str, str, str, Key]
    points: Mapping[Key, Any]
    exemplars: Mapping[Key, frozenset[tuple[float, int, int]]]


class Subject(Protocol):
    """A provider under test."""

    name: str
    provider: ApiMeterProvider

    def collect(self) -> dict[str, Stream]:
        """All metrics by name, observed just now."""


Make = Callable[..., Subject]


def key(**attributes: Any) -> Key:
    """The key of a set whose names have no dots."""
    return key_of(clean(attributes))


class Ours:
    """Our provider on a private store, read from the cells."""

    name = "ours"

    def __init__(self, views: Sequence[object] = (), **more: Any) -> None:
        self.store = Store.open_private()
        self.provider = MeterProvider(self.store, views=views, observe_interval=3600, **more)

    def collect(self) -> dict[str, Stream]:
        """What the cells say."""
        self.provider.observer.observe_now()
        return {family.instrument.name: _from_family(family) for family in families_of(self.store)}


class Sdk:
    """The SDK's provider with its own in-memory reader."""

    name = "sdk"

    def __init__(self, views: Sequence[View] = (), **more: Any) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = sdk.MeterProvider([self.reader], views=views, shutdown_on_exit=False, **more)

    def collect(self) -> dict[str, Stream]:
        """What the reader gets."""
        return from_data(self.reader.get_metrics_data())


class OursRead(Ours):
    """Our provider, read by the SDK's in-memory reader."""

    name = "ours, read by the SDK's reader"

    def __init__(self, views: Sequence[object] = (), **more: Any) -> None:
        super().__init__(views, **more)
        self.reader = InMemoryMetricReader()
        self.provider.add_metric_reader(self.reader)

    def collect(self) -> dict[str, Stream]:
        """What the reader gets."""
        return from_data(self.reader.get_metrics_data())


def _from_family(family: Family) -> Stream:
    instrument = family.instrument
    scope = instrument.scope
    return Stream(
        shape="sum"
        if instrument.kind in SUM_KINDS
        else "gauge"
        if instrument.kind in GAUGE_KINDS
        else "histogram",
        monotonic=instrument.monotonic,
        unit=instrument.unit,
        description=instrument.description,
        scope=(scope.name, scope.version, scope.schema_url, key_of(dict(scope.attributes))),
        points={
            key_of(clean(point.attributes)): _value(point.value, instrument.bounds) for point in family.points
        },
        exemplars=_exemplars((key_of(clean(point.attributes)), point.exemplars) for point in family.points),
    )


def _exemplars(
    pairs: Iterable[tuple[Key, Iterable[Exemplar]]],
) -> dict[Key, frozenset[tuple[float, int, int]]]:
    return {
        key: frozenset(
            (found.value, int.from_bytes(found.trace_id), int.from_bytes(found.span_id))
            for found in exemplars
        )
        for key, exemplars in pairs
        if exemplars
    }


def _value(value: int | float | Distribution, bounds: tuple[float, ...]) -> Any:
    if isinstance(value, Distribution):
        return Histogram(tuple(value.counts), bounds, value.sum, value.min, value.max)
    return value


def from_data(data: MetricsData | None) -> dict[str, Stream]:
    """The SDK's data in the same words."""
    found = {}
    for resource in data.resource_metrics if data else ():
        for scoped in resource.scope_metrics:
            scope = scoped.scope
            told = (
                scope.name,
                scope.version or "",
                scope.schema_url or "",
                key_of(clean(scope.attributes)),
            )
            for metric in scoped.metrics:
                found[metric.name] = _from_metric(metric, told)
    return found


def _from_metric(metric: Any, scope: tuple[str, str, str, Key]) -> Stream:
    data = metric.data
    points: dict[Key, Any] = {}
    exemplars: dict[Key, frozenset[tuple[float, int, int]]] = {}
    for point in data.data_points:
        where = key_of(clean(point.attributes))
        if isinstance(data, Sum | Gauge):
            points[where] = point.value
        else:
            bounds = tuple(point.explicit_bounds)
            points[where] = Histogram(tuple(point.bucket_counts), bounds, point.sum, point.min, point.max)
        if point.exemplars:
            exemplars[where] = frozenset(
                (each.value, each.trace_id or 0, each.span_id or 0) for each in point.exemplars
            )
    return Stream(
        shape="sum" if isinstance(data, Sum) else "gauge" if isinstance(data, Gauge) else "histogram",
        monotonic=isinstance(data, Sum) and data.is_monotonic,
        unit=metric.unit or "",
        description=metric.description or "",
        scope=scope,
        points=points,
        exemplars=exemplars,
    )
