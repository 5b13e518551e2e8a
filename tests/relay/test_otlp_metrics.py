"""Numbers by OTLP: equal, as parsed messages, to what the SDK's encoder makes of the same data."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as sdk_encode
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from otelc2c.record import wire
from otelc2c.record.points import Distribution, Exemplar, Exponential, Family, Instrument, Point, Scope
from otelc2c.record.readable_metrics import delta_kinds, metrics_data
from otelc2c.relay.otlp_metrics import count_points, encode_metrics
from otelc2c.relay.temporality import PREFERENCES, Window
from tests.relay.material import attribute_sets, scopes, texts

START, SINCE, NOW = 1_000, 2_000, 3_000
PREFERRED: dict[str, dict[type, AggregationTemporality]] = {
    "cumulative": {},
    "delta": dict.fromkeys((Counter, ObservableCounter, Histogram), AggregationTemporality.DELTA),
    "lowmemory": dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA),
}
BOUNDS = (0.5, 1.0)
EXPONENTIAL = "exponential"

exemplars = st.lists(
    st.builds(
        Exemplar,
        st.integers(1, 2**63),
        st.floats(allow_nan=False),
        st.binary(min_size=16, max_size=16),
        st.binary(min_size=8, max_size=8),
    ),
    max_size=2,
).map(tuple)
distributions = st.builds(
    lambda counts, total, extremes: Distribution(tuple(counts), total, *extremes),
    st.lists(st.integers(0, 2**40), min_size=3, max_size=3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([(math.inf, -math.inf), (0.0, 0.0), (-1.5, 7.25)]),
)
exponentials = st.builds(
    lambda scale, low, counts, zeros, total, extremes: Exponential(
        scale, low, tuple(counts), zeros, total, *extremes
    ),
    st.integers(-10, 20),
    st.integers(-(2**31), 2**31 - 200),
    st.lists(st.integers(0, 2**40), max_size=5),
    st.integers(0, 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([(math.inf, -math.inf), (0.0, 0.0), (0.5, 7.25)]),
)
numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))


def points_of(values: st.SearchStrategy[object]) -> st.SearchStrategy[list[Point]]:
    """Some points with different attributes and values."""
    point = st.builds(Point, attribute_sets, values, exemplars, st.sampled_from([0, 2_500]))
    return st.lists(point, max_size=3)


def family_of(kind: str) -> st.SearchStrategy[Family]:
    """A family of an instrument of this kind."""
    buckets = 160 if kind == EXPONENTIAL else 0
    kind = "histogram" if buckets else kind
    bounds = BOUNDS if kind == "histogram" and not buckets else ()
    known: Any = kind
    instrument = st.builds(
        lambda scope, name, unit, words: Instrument(scope, name, known, unit, words, bounds, buckets=buckets),
        scopes,
        texts,
        texts,
        texts,
    )
    values = distributions if bounds else exponentials if buckets else numbers
    return st.builds(Family, instrument, points_of(values))


KINDS = (
    EXPONENTIAL,
    "counter",
    "up_down_counter",
    "histogram",
    "gauge",
    "observable_counter",
    "observable_up_down_counter",
    "observable_gauge",
)
families_strategy = st.lists(st.sampled_from(KINDS).flatmap(family_of), max_size=5)


@given(families_strategy, attribute_sets, st.sampled_from(sorted(PREFERRED)))
@settings(max_examples=100, deadline=None)
def test_numbers_are_what_the_sdk_makes_of_the_same_data(
    families: list[Family], resource: dict[str, object], preference: str
) -> None:
    """Every kind of instrument, value, attribute, exemplar and temporality."""
    window = Window(START, SINCE, NOW, PREFERENCES[preference])
    ours = encode_metrics(families, wire.encode_resource(resource), window, "https://x/1")
    made = Resource(resource, "https://x/1")  # type: ignore[arg-type]
    data = metrics_data(families, made, SINCE, NOW, PREFERRED[preference], start_ns=START)
    assert ExportMetricsServiceRequest.FromString(ours) == sdk_encode(data)


def test_the_preferences_are_those_of_the_specification() -> None:
    """OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, as the SDK maps it to instruments."""
    assert {name: delta_kinds(wanted) for name, wanted in PREFERRED.items()} == PREFERENCES


def test_numbers_beyond_64_bits_become_fractions() -> None:
    """OTLP has no larger whole numbers, and a series must not break a request."""
    family = Family(Instrument(Scope("s"), "n", "counter"), [Point({}, 2**70)])
    sent = ExportMetricsServiceRequest.FromString(encode_metrics([family], b"", Window(1, 2, 3)))
    assert sent.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].as_double == 2.0**70


def test_points_are_counted_over_all_families() -> None:
    """What the conventions call data points."""
    instrument = Instrument(Scope("s"), "n", "gauge")
    assert count_points([Family(instrument, [Point({}, 1), Point({"a": 1}, 2)]), Family(instrument, [])]) == 2
