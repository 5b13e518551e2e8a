"""The SDK's readers on our provider."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import LastValueAggregation
from opentelemetry.sdk.resources import Resource

from otelc2c.record.cells import Store
from otelc2c.record.meter import MeterProvider
from otelc2c.record.views import ViewRule
from tests.record.metrics_contract import from_data

DELTA: dict[type, AggregationTemporality] = {
    sdk.Counter: AggregationTemporality.DELTA,
    sdk.Histogram: AggregationTemporality.DELTA,
}


class Sink(MetricExporter):
    """An exporter of an application's own."""

    def __init__(self) -> None:
        super().__init__()
        self.exported: list[MetricsData] = []
        self.arrived = threading.Event()
        self.ended = False

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any
    ) -> MetricExportResult:
        """Keep it."""
        self.exported.append(metrics_data)
        self.arrived.set()
        return MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Remember it."""
        self.ended = True

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing waits."""
        return True


class Broken(InMemoryMetricReader):
    """A reader that fails."""

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Fail."""
        raise OSError("broken")


@pytest.fixture
def provider() -> Iterator[MeterProvider]:
    """A provider on a private store."""
    views = [ViewRule("exponential", aggregation="exponential")]
    made = MeterProvider(Store.open_private(), views=views, resource=Resource({"service.name": "s"}))
    yield made
    made.shutdown()


def points(reader: InMemoryMetricReader, name: str) -> Sequence[Any]:
    """The data points of one metric."""
    data = reader.get_metrics_data()
    assert data is not None
    (found,) = (
        metric
        for scoped in data.resource_metrics[0].scope_metrics
        for metric in scoped.metrics
        if metric.name == name
    )
    return found.data.data_points


def test_a_reader_gets_the_resource(provider: MeterProvider) -> None:
    """The one that the provider has."""
    reader = InMemoryMetricReader()
    provider.add_metric_reader(reader)
    provider.get_meter("m").create_counter("c").add(1)
    data = reader.get_metrics_data()
    assert data is not None
    assert data.resource_metrics[0].resource.attributes == {"service.name": "s"}


def test_delta_of_an_exponential_histogram_has_the_buckets_that_were_added(provider: MeterProvider) -> None:
    """Also where they have become wider in between."""
    reader = InMemoryMetricReader(preferred_temporality=DELTA)
    provider.add_metric_reader(reader)
    histogram = provider.get_meter("m").create_histogram("exponential")
    histogram.record(1.0)
    assert points(reader, "exponential")[0].positive.bucket_counts == [1]
    histogram.record(1.0)
    histogram.record(4e9)
    (found,) = points(reader, "exponential")
    assert (found.count, found.sum, found.min) == (2, 4e9 + 1, None)
    assert sum(found.positive.bucket_counts) == 2
    assert (found.positive.offset, found.positive.bucket_counts[0]) == (-1, 1)


def test_delta_is_the_difference_from_the_last_collection(provider: MeterProvider) -> None:
    """For the kinds that the reader names; a set without news is left out."""
    reader = InMemoryMetricReader(preferred_temporality=DELTA)
    provider.add_metric_reader(reader)
    meter = provider.get_meter("m")
    counter, total = meter.create_counter("c"), meter.create_up_down_counter("u")
    histogram = meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1.0])
    counter.add(5, {"a": 1})
    total.add(5)
    histogram.record(0.5)
    assert points(reader, "c")[0].value == 5
    counter.add(2, {"a": 1})
    counter.add(3, {"a": 2})
    total.add(2)
    histogram.record(2)
    data = reader.get_metrics_data()
    streams = from_data(data)
    assert streams["c"].points == {(("a", (int, 1)),): 2, (("a", (int, 2)),): 3}
    assert streams["u"].points == {(): 7}
    assert streams["h"].points[()].counts == (0, 1)
    assert streams["h"].points[()].sum == 2
    assert data is not None
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        wanted = AggregationTemporality.CUMULATIVE if metric.name == "u" else AggregationTemporality.DELTA
        assert metric.data.aggregation_temporality is wanted  # type: ignore[union-attr]
    assert from_data(reader.get_metrics_data()).keys() == {"u"}


def test_delta_intervals_join(provider: MeterProvider) -> None:
    """One begins where the last one ended; totals begin where the provider did."""
    reader = InMemoryMetricReader(preferred_temporality=DELTA)
    provider.add_metric_reader(reader)
    meter = provider.get_meter("m")
    counter, total = meter.create_counter("c"), meter.create_up_down_counter("u")
    counter.add(1)
    first = points(reader, "c")[0]
    counter.add(1)
    second = points(reader, "c")[0]
    assert second.start_time_unix_nano == first.time_unix_nano
    total.add(1)
    assert points(reader, "u")[0].start_time_unix_nano == first.start_time_unix_nano


def test_two_readers_do_not_disturb_each_other(provider: MeterProvider) -> None:
    """Each has its own last collection."""
    one, other = (InMemoryMetricReader(preferred_temporality=DELTA) for _ in range(2))
    provider.add_metric_reader(one)
    provider.add_metric_reader(other)
    counter = provider.get_meter("m").create_counter("c")
    counter.add(1)
    assert points(one, "c")[0].value == 1
    counter.add(1)
    assert points(one, "c")[0].value == 1
    assert points(other, "c")[0].value == 2


def test_an_exporter_of_the_application_gets_data_and_the_end() -> None:
    """Through the SDK's periodic reader, by `force_flush` and at the end."""
    sink = Sink()
    reader = PeriodicExportingMetricReader(sink, export_interval_millis=3_600_000)
    provider = MeterProvider(Store.open_private(), metric_readers=[reader])
    provider.get_meter("m").create_counter("c").add(4)
    assert provider.force_flush()
    assert from_data(sink.exported[0])["c"].points == {(): 4}
    provider.get_meter("m").create_counter("c").add(1)
    provider.shutdown()
    assert from_data(sink.exported[-1])["c"].points == {(): 5}
    assert sink.ended


def test_a_reader_that_fails_is_named(provider: MeterProvider) -> None:
    """And the others are served all the same."""
    sink = Sink()
    provider.add_metric_reader(Broken())
    provider.add_metric_reader(PeriodicExportingMetricReader(sink, export_interval_millis=3_600_000))
    provider.get_meter("m").create_counter("c").add(4)
    with pytest.raises(RuntimeError, match="Broken: OSError"):
        provider.force_flush()
    assert sink.arrived.is_set()


def test_a_reader_is_there_once(provider: MeterProvider, caplog: pytest.LogCaptureFixture) -> None:
    """And goes once."""
    reader = InMemoryMetricReader()
    provider.add_metric_reader(reader)
    provider.add_metric_reader(reader)
    provider.remove_metric_reader(reader)
    provider.remove_metric_reader(reader)
    assert [record.message.split("'")[-1] for record in caplog.records] == [
        " has been registered already!",
        " has not been registered!",
    ]
    provider.get_meter("m").create_counter("c").add(4)
    assert reader.get_metrics_data() is None


def test_preferred_aggregations_are_refused_aloud(
    provider: MeterProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """There is one set of numbers for everybody."""
    provider.add_metric_reader(
        InMemoryMetricReader(preferred_aggregation={sdk.Counter: LastValueAggregation()})
    )
    assert "use views" in caplog.text


def test_force_flush_asks_for_delivery_with_what_is_left_of_the_time() -> None:
    """What the process records is delivered by somebody else."""
    asked: list[float] = []

    def flush(seconds: float) -> bool:
        asked.append(seconds)
        return False

    provider = MeterProvider(Store.open_private(), flush=flush)
    assert not provider.force_flush(500)
    assert 0 < asked[0] <= 0.5
    provider.shutdown()
