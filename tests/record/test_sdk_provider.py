"""Back to the SDK's provider by one variable: the same spans, by the same short way."""

import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, AlwaysRecordSampler
from opentelemetry.trace import SpanKind, Status, StatusCode, TraceState

from otelc2c import guard
from otelc2c.context import activate, current_span, deactivate
from otelc2c.record import wire
from otelc2c.record.api_spans import ApiSpan, ApiTracer
from otelc2c.record.provider import TracerProvider
from otelc2c.record.sdk_provider import sdk_tracer_provider
from otelc2c.record.span import Parent, Span
from otelc2c.record.tracer import Tracer
from otelc2c.settings import Settings
from tests.record.spans import ListSink

now = time.perf_counter_ns
CALLER = Parent(b"\x01" * 16, b"\x02" * 8, 1, TraceState([("v", "1")]))


def settings(**environ: str) -> Settings:
    """Settings as these variables ask for them."""
    return Settings.from_environ(environ)


@pytest.fixture
def sink() -> ListSink:
    """Where spans go."""
    return ListSink()


@pytest.fixture(params=["light", "sdk"])
def tracer(request: pytest.FixtureRequest, sink: ListSink) -> Tracer | ApiTracer:
    """The short way over our provider and over the SDK's."""
    if request.param == "light":
        return TracerProvider(sink, shutdown_on_exit=False).get_tracer("shop", "1")
    provider = sdk_tracer_provider(settings(), Resource({}), sink)
    provider.shutdown()
    return ApiTracer(provider.get_tracer("shop", "1"))


def shape_of(span: Message) -> tuple[Any, ...]:
    """What can be compared between two runs."""
    attributes = {attribute.key for attribute in span.attributes}
    return span.name, span.kind, span.status.code, span.trace_state, span.flags, attributes


def test_a_request_is_the_same_under_both(tracer: Tracer | ApiTracer, sink: ListSink) -> None:
    """Parents, names, kinds, attributes, status; the application finds the span and its words stay."""
    server = tracer.open(CALLER, now(), "GET", {"url.path": "/a"})
    token = activate(server)
    application = trace.get_current_span()
    assert application is server
    application.set_attribute("mine", 1)
    application.set_attribute("const", "mine")
    view = tracer.child(server, now(), tracer.shape("view", SpanKind.INTERNAL, {"v": 1}))
    inner = activate(view)
    tracer.leaf(current_span(), tracer.shape("query", SpanKind.CLIENT, {"q": 1}, ""), now(), now())
    deactivate(inner)
    view.close(now())
    deactivate(token)
    constant = tracer.shape("GET /{a}", SpanKind.SERVER, {"const": "ours"}, "bad")
    server.close(now(), constant, wire.attribute("url.path", "/a"))
    query, child, root = sink.spans
    assert [shape_of(span) for span in sink.spans] == [
        ("query", 3, 2, "v=1", 0x100, {"q"}),
        ("view", 1, 0, "v=1", 0x100, {"v"}),
        ("GET /{a}", 2, 2, "v=1", 0x300, {"url.path", "mine", "const"}),
    ]
    assert sink.attributes()["const"] == "mine"
    assert root.status.message == "bad"
    assert (root.trace_id, root.parent_span_id) == (CALLER.trace_id, CALLER.span_id)
    assert (query.parent_span_id, child.parent_span_id) == (child.span_id, root.span_id)
    assert (server.trace_id, server.span_id, server.sampled) == (root.trace_id, root.span_id, True)
    assert root.start_time_unix_nano <= child.start_time_unix_nano <= query.start_time_unix_nano
    assert query.end_time_unix_nano <= child.end_time_unix_nano <= root.end_time_unix_nano


def test_name_and_status_of_the_application_stay(tracer: Tracer | ApiTracer, sink: ListSink) -> None:
    """Under both."""
    server = tracer.open(None, now(), "GET")
    server.update_name("mine")
    server.set_status(Status(StatusCode.OK))
    server.close(now(), tracer.shape("GET /", SpanKind.SERVER, {}, "bad"))
    assert (sink.spans[0].name, sink.spans[0].status.code) == ("mine", 1)


def test_a_closed_span_is_closed(tracer: Tracer | ApiTracer, sink: ListSink) -> None:
    """Closing again changes nothing."""
    shape = tracer.shape("GET /", SpanKind.SERVER, {})
    server = tracer.open(None, now())
    assert server.is_recording()
    server.close(now(), shape)
    server.close(now(), shape)
    assert len(sink.records) == 1
    assert not server.is_recording()


def test_the_whole_api_works_on_a_span_of_the_short_way(tracer: Tracer | ApiTracer, sink: ListSink) -> None:
    """Events, links, exceptions, the context manager, and what only the SDK's spans have."""
    server: Span | ApiSpan = tracer.open(None, now(), "GET")
    server.set_attributes({"a": 1})
    server.add_event("e", {"x": 1})
    server.add_link(CALLER.context(), {"l": 1})
    server.record_exception(KeyError("k"))
    assert server.attributes["a"] == 1
    with pytest.raises(ValueError, match="bad"), server:
        raise ValueError("bad")
    (span,) = sink.spans
    assert [event.name for event in span.events] == ["e", "exception", "exception"]
    assert len(span.links) == 1
    assert span.status.message == "ValueError: bad"


def test_settings_reach_the_sdk() -> None:
    """Sampler and limits, whatever the environment of this process says."""
    provider = sdk_tracer_provider(
        settings(
            OTEL_TRACES_SAMPLER="traceidratio",
            OTEL_TRACES_SAMPLER_ARG="1.0",
            OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="2",
        ),
        None,
        None,
    )
    provider.shutdown()
    assert provider.sampler is ALWAYS_ON
    quarter = settings(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.25")
    other = sdk_tracer_provider(quarter, None, None)
    other.shutdown()
    assert str(other.sampler.get_description()) == "TraceIdRatioBased{0.25}"
    span: Any = provider.get_tracer("t").start_span("s", attributes={"a": 1, "b": 2, "c": 3})
    assert span.dropped_attributes == 1
    assert provider._span_limits.max_span_attributes == 2
    assert provider._span_limits.max_attribute_length is None


def test_only_sampled_spans_are_written(sink: ListSink) -> None:
    """What a sampler records without sampling it is for the application's own processors."""
    provider = sdk_tracer_provider(settings(), None, sink, sampler=AlwaysRecordSampler(ALWAYS_OFF))
    provider.shutdown()
    provider.get_tracer("t").start_span("s").end()
    assert sink.records == []


def test_a_failing_ring_stays_with_us(sink: ListSink) -> None:
    """Under the SDK's provider too."""

    def broken(info: int, payload: bytes) -> bool:
        raise OSError("no memory")

    guard.strict(False)
    sink.put = broken  # type: ignore[method-assign]
    provider = sdk_tracer_provider(settings(), None, sink)
    provider.shutdown()
    provider.get_tracer("t").start_span("s").end()
    assert guard.counts() == {"span": 1}
