"""The tracer provider that the settings ask for, and whether it ever writes a span."""

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from otelc2c.boot.tracing import records_spans, tracer_provider
from otelc2c.record.recorder import Recorder
from otelc2c.settings import Settings


@pytest.mark.parametrize(
    ("exporter", "sampler", "ratio", "records"),
    [
        ("otlp", "parentbased_always_on", None, True),
        ("otlp", "parentbased_always_off", None, True),
        ("otlp", "parentbased_traceidratio", "0", True),
        ("otlp", "traceidratio", "0.001", True),
        ("otlp", "mine", "0", True),
        ("otlp", "traceidratio", "0", False),
        ("otlp", "always_off", None, False),
        ("none", "always_on", None, False),
    ],
)
@pytest.mark.parametrize("provider", ["light", "sdk"])
def test_spans_are_recorded_where_one_may_be_written(
    monkeypatch: pytest.MonkeyPatch,
    exporter: str,
    sampler: str,
    ratio: str | None,
    records: bool,
    provider: str,
) -> None:
    """A sampler that follows its caller may record whatever it does with other traces."""
    environ = {
        "OTEL_TRACES_EXPORTER": exporter,
        "OTEL_TRACES_SAMPLER": sampler,
        "OTELC2C_TRACER_PROVIDER": provider,
    }
    settings = Settings.from_environ(environ | ({"OTEL_TRACES_SAMPLER_ARG": ratio} if ratio else {}))
    assert not settings.problems
    assert records_spans(settings) is records
    recorder = Recorder(None, 0, lambda _sentence: None)
    written: list[bytes] = []
    monkeypatch.setattr(type(recorder.ring), "put", lambda _ring, _info, payload: written.append(payload))
    made, _ = tracer_provider(settings, Resource.get_empty(), recorder)
    tracer = made.get_tracer("tests")
    sampled = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    for parent in (INVALID_SPAN, NonRecordingSpan(sampled)):
        tracer.start_span("a", set_span_in_context(parent)).end()
    made.shutdown()  # type: ignore[attr-defined]
    assert records or not written
