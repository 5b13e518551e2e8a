"""Families as `MetricsData`: what the SDK would have collected."""

import math
from typing import Any

import pytest
from opentelemetry.sdk.metrics import Counter, Exemplar, Histogram
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import Resource

from otelc2c.record import points
from otelc2c.record.points import Distribution, Family, Instrument, Kind, Point, Scope
from otelc2c.record.readable_metrics import delta_kinds, metrics_data

DELTA = AggregationTemporality.DELTA
RESOURCE = Resource({"service.name": "shop"}, "https://x/1")


def family(kind: Kind, value: float | Distribution, **more: object) -> Family:
    """A family with one point."""
    instrument = Instrument(
        Scope("app", "1", "https://s/1", (("k", "v"),)), "n", kind, "s", "words", (1.0, 2.0)
    )
    return Family(instrument, [Point({"a": 1}, value, **more)])  # type: ignore[arg-type]


def data_of(found: Family, **options: object) -> Sum | Gauge | HistogramData:
    """The data of the only metric."""
    made = metrics_data([found], RESOURCE, 20, 30, **options)  # type: ignore[arg-type]
    data = made.resource_metrics[0].scope_metrics[0].metrics[0].data
    assert isinstance(data, Sum | Gauge | HistogramData)
    return data


def test_metrics_stand_under_their_scope_and_resource() -> None:
    """Names, units, sentences, versions, attributes and schema URLs."""
    other = Family(Instrument(Scope("other"), "m", "gauge"), [Point({}, 1)])
    made = metrics_data([family("counter", 1), other, family("gauge", 2)], RESOURCE, 20, 30)
    [found] = made.resource_metrics
    assert (found.resource, found.schema_url) == (RESOURCE, "https://x/1")
    first, second = found.scope_metrics
    assert [len(first.metrics), len(second.metrics)] == [2, 1]
    assert (first.scope.name, first.scope.version, first.schema_url) == ("app", "1", "https://s/1")
    assert dict(first.scope.attributes or {}) == {"k": "v"}
    metric = first.metrics[0]
    assert (metric.name, metric.unit, metric.description) == ("n", "s", "words")
    assert '"n"' in made.to_json()


@pytest.mark.parametrize("kind", ["counter", "up_down_counter", "observable_counter"])
def test_sums_tell_whether_they_only_grow(kind: Kind) -> None:
    """A sum is cumulative unless the reader wants differences."""
    data = data_of(family(kind, 7))
    assert data == Sum(
        [NumberDataPoint({"a": 1}, 20, 30, 7, [])],
        AggregationTemporality.CUMULATIVE,
        kind in points.MONOTONIC_KINDS,
    )


def test_a_gauge_has_the_time_it_was_set_and_no_start() -> None:
    """As the SDK collects it."""
    assert data_of(family("gauge", 1.5, time_ns=25)) == Gauge([NumberDataPoint({"a": 1}, None, 25, 1.5, [])])  # type: ignore[arg-type]


def test_a_histogram_has_its_buckets_extremes_and_exemplars() -> None:
    """Counts, sum, minimum, maximum, boundaries."""
    exemplar = points.Exemplar(22, 0.5, b"\x00" * 15 + b"\x07", b"\x00" * 7 + b"\x08")
    value = Distribution((1, 0, 2), 9.5, 0.5, 5.0)
    data = data_of(family("histogram", value, exemplars=(exemplar,)))
    expected = HistogramDataPoint(
        {"a": 1}, 20, 30, 3, 9.5, [1, 0, 2], [1.0, 2.0], 0.5, 5.0, [Exemplar({}, 0.5, 22, 8, 7)]
    )
    assert data == HistogramData([expected], AggregationTemporality.CUMULATIVE)


def test_extremes_that_are_not_known_are_left_out() -> None:
    """A window's extremes cannot be told from those of the whole."""
    data = data_of(family("histogram", Distribution((0, 0, 0), 0.0, math.inf, -math.inf)))
    [point] = data.data_points
    assert isinstance(point, HistogramDataPoint)
    extremes: list[object] = [point.min, point.max]
    assert extremes == [None, None]


def test_each_kind_has_the_window_that_its_temporality_asks_for() -> None:
    """Differences since the last collection, totals since the start."""
    wanted = {Counter: DELTA}
    counter = data_of(family("counter", 1), temporality=wanted, start_ns=10)
    other = data_of(family("up_down_counter", 1), temporality=wanted, start_ns=10)
    assert isinstance(counter, Sum)
    assert isinstance(other, Sum)
    assert (counter.aggregation_temporality, counter.data_points[0].start_time_unix_nano) == (DELTA, 20)
    assert (other.aggregation_temporality.name, other.data_points[0].start_time_unix_nano) == (
        "CUMULATIVE",
        10,
    )


def test_the_kinds_that_a_reader_wants_as_differences() -> None:
    """The names that users give, and those that the SDK keeps inside, mean the same."""
    preferred: dict[type, AggregationTemporality] = {Counter: DELTA, Histogram: DELTA}
    assert delta_kinds(preferred) == {"counter", "histogram"}
    reader = InMemoryMetricReader(preferred_temporality=preferred)
    kept: Any = reader._instrument_class_temporality
    assert delta_kinds(kept) == {"counter", "histogram"}
    assert delta_kinds(None) == frozenset()


@pytest.mark.parametrize(("kind", "value"), [("counter", Distribution((), 0, 0, 0)), ("histogram", 1)])
def test_a_value_of_another_kind_is_refused(kind: Kind, value: float | Distribution) -> None:
    """It would be a mistake of ours."""
    with pytest.raises(TypeError):
        metrics_data([family(kind, value)], RESOURCE, 20, 30)
