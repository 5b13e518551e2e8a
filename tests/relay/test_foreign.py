"""Exporters of others: found by entry point, fed with the SDK's types, and kept apart."""

import importlib.metadata
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.sdk.metrics import Counter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otelc2c.record import wire
from otelc2c.record.points import Family, Instrument, Point, Scope
from otelc2c.relay import foreign
from otelc2c.relay.foreign import (
    METRICS,
    TRACES,
    ForeignMetrics,
    ForeignReader,
    Unusable,
    metric_exporter,
    span_exporter,
)
from otelc2c.relay.http import Rejected, Retry
from otelc2c.relay.metric_push import MetricPush, Numbers
from otelc2c.relay.otlp import Delivered
from otelc2c.relay.state import State
from otelc2c.relay.temporality import Baseline, Window

ATTRIBUTES = {"service.name": "shop"}
SPAN = (
    wire.span_head(b"t" * 16, b"", False, "")
    + wire.span_identity(b"s" * 8, 1, 2)
    + wire.span_body("GET /hello", 1)
)
SPANS = [(Scope("app", "1"), SPAN)]
FAMILY = Family(Instrument(Scope("app"), "n", "counter"), [Point({}, 7)])
NUMBERS = Numbers([FAMILY], Window(10, 20, 30))


class Collecting(SpanExporter):
    """Keeps what it gets, and answers as its class says."""

    answer: Callable[[], SpanExportResult] = staticmethod(lambda: SpanExportResult.SUCCESS)

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.suppressed: object = None
        self.shut_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        self.suppressed = get_value(_SUPPRESS_INSTRUMENTATION_KEY)
        return self.answer()

    def shutdown(self) -> None:
        self.shut_down = True


class Metrics(MetricExporter):
    """Keeps what it gets, and wants differences of counters."""

    def __init__(self) -> None:
        super().__init__(preferred_temporality={Counter: AggregationTemporality.DELTA})
        self.data: list[MetricsData] = []

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object
    ) -> MetricExportResult:
        self.data.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        """Nothing to end."""


class Broken(SpanExporter):
    """Cannot be made, and its message holds a secret."""

    def __init__(self) -> None:
        raise RuntimeError("the key secret-123 is not valid")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, object], None]:
    """Pretend that a package with an entry point is installed."""
    real = importlib.metadata.entry_points
    extra: list[tuple[str, str, object]] = []

    class EntryPoint:
        def __init__(self, name: str, target: object) -> None:
            self.name, self.value, self._target = name, f"package:{name}", target

        def load(self) -> object:
            if isinstance(self._target, Exception):
                raise self._target
            return self._target

    def entry_points(**wanted: Any) -> Any:
        found = [
            EntryPoint(name, target)
            for group, name, target in extra
            if (group, name) == (wanted.get("group"), wanted.get("name"))
        ]
        return found or real(**wanted)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    return lambda group, name, target: extra.append((group, name, target))


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set at the end, so that what hangs in a test does not outlive it."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name == "otelc2c-foreign":
            thread.join(5)


def test_spans_reach_an_exporter_as_the_sdk_would_hand_them_over(installed: Any) -> None:
    """Scope and resource included; its own requests are not traced."""
    installed(TRACES, "mine", Collecting)
    exporter = span_exporter("mine", 3, [], ATTRIBUTES, "https://x/1")
    assert exporter.export(SPANS) == Delivered()
    collecting = exporter._exporter
    [span] = collecting.spans
    assert span.name == "GET /hello"
    assert (span.resource.attributes, span.resource.schema_url) == (ATTRIBUTES, "https://x/1")
    assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == ("app", "1")
    assert collecting.suppressed is True
    assert exporter.component.attributes()["otel.component.name"] == "Collecting/3"
    exporter.close()
    assert collecting.shut_down


def test_a_failure_is_told_by_its_kind(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter's word, or the type of what it raised."""
    installed(TRACES, "mine", Collecting)
    exporter = span_exporter("mine", 0, [], ATTRIBUTES)
    monkeypatch.setattr(Collecting, "answer", staticmethod(lambda: SpanExportResult.FAILURE))
    assert exporter.export(SPANS) == Rejected("failure")
    monkeypatch.setattr(Collecting, "answer", staticmethod(lambda: 1 / 0))
    assert exporter.export(SPANS) == Rejected("ZeroDivisionError")
    assert exporter.export([(Scope("app"), b"\xff")]) == Rejected("IndexError")


def test_a_batch_is_offered_to_grpc_for_a_while(monkeypatch: pytest.MonkeyPatch, installed: Any) -> None:
    """F-20: a receiver that comes back gets it; one that refuses for good blocks the others only so long."""
    monkeypatch.setattr(Collecting, "answer", staticmethod(lambda: SpanExportResult.FAILURE))
    installed(TRACES, "otlp_proto_grpc", Collecting)
    exporter = span_exporter("otlp_proto_grpc", 0, [], ATTRIBUTES)
    assert exporter.retries
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert exporter.export(SPANS) == Retry("failure")
    now += foreign.GRPC_PATIENCE - 1
    assert exporter.export(SPANS) == Retry("failure")
    now += 1
    assert exporter.export(SPANS) == Rejected("failure")
    assert exporter.export(SPANS) == Retry("failure")
    monkeypatch.setattr(Collecting, "answer", staticmethod(lambda: SpanExportResult.SUCCESS))
    assert exporter.export(SPANS) == Delivered()


def test_an_exporter_that_hangs_costs_one_limit_of_time(
    installed: Any, monkeypatch: pytest.MonkeyPatch, released: threading.Event
) -> None:
    """While it hangs it gets nothing more, and nobody waits for it again."""
    installed(TRACES, "mine", Collecting)
    exporter = span_exporter("mine", 0, [], ATTRIBUTES)
    monkeypatch.setattr(Collecting, "answer", staticmethod(lambda: released.wait(10)))
    monkeypatch.setattr(foreign, "EXPORT_LIMIT", 0.1)
    begun = time.monotonic()
    assert exporter.export(SPANS) == Retry("timeout")
    assert time.monotonic() - begun >= 0.1
    monkeypatch.setattr(foreign, "EXPORT_LIMIT", 30)
    begun = time.monotonic()
    assert exporter.export(SPANS, begun + 30) == Retry("timeout")
    exporter.close()
    # Whoever waited would wait until it is released, or the two seconds that closing may take.
    assert time.monotonic() - begun < 1.5
    assert len(exporter._exporter.spans) == 1


def test_the_console_exporters_of_the_sdk_print(capsys: pytest.CaptureFixture[str]) -> None:
    """OTEL_TRACES_EXPORTER=console and OTEL_METRICS_EXPORTER=console."""
    spans = span_exporter("console", 0, [], ATTRIBUTES)
    # They took hold of the standard output when their modules were imported.
    spans._exporter.out = sys.stdout
    assert spans.export(SPANS) == Delivered()
    assert '"GET /hello"' in capsys.readouterr().out
    numbers = metric_exporter("console", 0, [], ATTRIBUTES)
    numbers._exporter.out = sys.stdout  # type: ignore[union-attr]
    assert numbers.export(NUMBERS) == Delivered()
    assert '"value": 7' in capsys.readouterr().out


def test_grpc_is_spoken_by_the_sdks_exporters() -> None:
    """The extra otlp-grpc; named in the conventions' words."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    spans = span_exporter("otlp_proto_grpc", 0, [], ATTRIBUTES)
    numbers = metric_exporter("otlp_proto_grpc", 1, [], ATTRIBUTES)
    assert type(spans._exporter).__qualname__ == "OTLPSpanExporter"
    assert isinstance(numbers, ForeignMetrics)
    assert type(numbers._exporter).__qualname__ == "OTLPMetricExporter"
    assert spans.component.type == "otlp_grpc_span_exporter"
    assert numbers.component.attributes()["otel.component.name"] == "otlp_grpc_metric_exporter/1"
    assert numbers.delta_kinds == frozenset()
    spans.close()
    numbers.close()


def test_numbers_come_with_the_temporality_that_an_exporter_prefers(installed: Any) -> None:
    """Differences since the last collection that it took."""
    installed(METRICS, "mine", Metrics)
    exporter = metric_exporter("mine", 0, [], ATTRIBUTES)
    assert isinstance(exporter, ForeignMetrics)
    assert exporter.delta_kinds == {"counter"}
    assert exporter.export(NUMBERS) == Delivered()
    [data] = exporter._exporter.data
    found = data.resource_metrics[0].scope_metrics[0].metrics[0].data
    assert found.aggregation_temporality is AggregationTemporality.DELTA
    assert (found.data_points[0].value, found.data_points[0].start_time_unix_nano) == (7, 20)
    exporter.close()


def test_a_reader_collects_when_it_likes(installed: Any) -> None:
    """A page of another package, for example: it is made without arguments."""
    installed(METRICS, "mine", InMemoryMetricReader)
    reader = metric_exporter("mine", 0, [], ATTRIBUTES)
    assert isinstance(reader, ForeignReader)
    families = [FAMILY]
    push = MetricPush(lambda: families, reader, Baseline(reader.delta_kinds, 10), State())
    data = reader._reader.get_metrics_data()  # type: ignore[attr-defined]
    point = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]
    assert (point.value, point.start_time_unix_nano) == (7, 10)
    assert push.push(time.monotonic() + 5)
    assert reader._reader._metrics_data is not None  # type: ignore[attr-defined]
    families.clear()
    assert reader._reader.get_metrics_data() is not None  # type: ignore[attr-defined]
    assert reader._reader.get_metrics_data() is None  # type: ignore[attr-defined]
    push.close()


@pytest.mark.parametrize("make", [span_exporter, metric_exporter])
def test_an_exporter_that_nobody_installed_is_named(make: Callable[..., object]) -> None:
    """A sentence for the operator."""
    with pytest.raises(Unusable, match="no installed package has an entry point zipkin"):
        make("zipkin", 0, [], ATTRIBUTES)


def test_an_absent_grpc_exporter_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The extra's name."""
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    with pytest.raises(Unusable, match=r"install otelc2c\[otlp-grpc\]"):
        span_exporter("otlp_proto_grpc", 0, [], ATTRIBUTES)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (Broken, r"package:mine cannot be made \(RuntimeError\)"),
        (ModuleNotFoundError("No module named 'grpc'"), "cannot be imported: No module named 'grpc'"),
        (ValueError("secret-123"), r"cannot be imported \(ValueError\)"),
        (object, "no span exporter"),
    ],
)
def test_an_exporter_that_cannot_be_used_is_told_without_its_secrets(
    installed: Any, target: object, sentence: str
) -> None:
    """What failed, and never a value that came from a setting."""
    installed(TRACES, "mine", target)
    with pytest.raises(Unusable, match=sentence) as raised:
        span_exporter("mine", 0, [], ATTRIBUTES)
    assert "secret" not in str(raised.value)


def test_something_that_takes_no_numbers_is_refused(installed: Any) -> None:
    """An entry point may name anything."""
    installed(METRICS, "mine", object)
    with pytest.raises(Unusable, match="no metric exporter and no metric reader"):
        metric_exporter("mine", 0, [], ATTRIBUTES)


def test_packages_are_found_where_the_application_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay starts without site packages; each folder is put on the path once."""
    info = tmp_path / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{TRACES}]\nelsewhere = elsewhere_exporter:Exporter\n")
    (tmp_path / "elsewhere_exporter.py").write_text(
        "class Exporter:\n    def export(self, spans):\n        raise LookupError\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    for _ in range(2):
        exporter = span_exporter("elsewhere", 0, [str(tmp_path)], ATTRIBUTES)
    assert exporter.export(SPANS) == Rejected("LookupError")
    assert sys.path.count(str(tmp_path)) == 1
    del sys.modules["elsewhere_exporter"]
