"""Our span reads as the SDK's, before it ends, after it, and when it has a shape."""

import json

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from otelc2c.record import wire
from otelc2c.record.provider import TracerProvider
from otelc2c.record.tracer import Tracer
from tests.record.spans import ListSink


@pytest.fixture
def tracer() -> Tracer:
    """A tracer that records."""
    provider = TracerProvider(
        ListSink(),
        resource=Resource({"service.name": "shop"}, "https://example.org"),
        span_limits=SpanLimits(max_events=1, max_links=1),
        shutdown_on_exit=False,
    )
    return provider.get_tracer("scope", "2")


def test_an_open_span_of_a_shape_shows_the_shape(tracer: Tracer) -> None:
    """And what the application has added."""
    server = tracer.open(None, 1)
    assert (server.name, server.kind, dict(server.attributes)) == ("", SpanKind.SERVER, {})
    assert (server.status.status_code, server.parent, server.end_time) == (StatusCode.UNSET, None, None)
    child = tracer.child(server, 2, tracer.shape("view", SpanKind.INTERNAL, {"a": 1}, "bad"))
    assert (child.name, child.kind, dict(child.attributes)) == ("view", SpanKind.INTERNAL, {"a": 1})
    child.set_attribute("b", 2)
    for name in ("e1", "e2"):
        child.add_event(name)
        child.add_link(SpanContext(1, 2, False))
    assert dict(child.attributes) == {"a": 1, "b": 2}
    assert [event.name for event in child.events] == ["e2"]
    assert len(child.links) == 1
    assert (child.dropped_attributes, child.dropped_events, child.dropped_links) == (0, 1, 1)
    assert (child.status.status_code, child.status.description) == (StatusCode.ERROR, "bad")
    assert child.context is child.get_span_context()
    child.update_name("mine")
    assert child.name == "mine"


def test_what_is_read_of_an_open_span_cannot_be_written(tracer: Tracer) -> None:
    """Attributes are a view."""
    span = tracer.start_span("s", attributes={"a": 1})
    with pytest.raises(TypeError):
        span.attributes["a"] = 2  # type: ignore[index]


def test_a_readable_copy_has_everything(tracer: Tracer) -> None:
    """Under the names of the SDK, the deprecated one too."""
    tracer.pipeline.add(SpanProcessor())
    server = tracer.open(None, 1)
    server.add_event("e", {"x": 1}, 5)
    server.close(2, tracer.shape("GET /", SpanKind.SERVER, {"a": 1}), wire.attribute("b", 2))
    copy = server.readable()
    assert type(copy) is ReadableSpan
    assert (copy.name, dict(copy.attributes or {})) == ("GET /", {"a": 1, "b": 2})
    assert (copy.start_time, copy.end_time) == (server.start_time, server.end_time)
    assert copy.end_time == (copy.start_time or 0) + 1
    assert copy.resource.attributes["service.name"] == "shop"
    assert server.resource is copy.resource
    assert copy.instrumentation_scope is server.instrumentation_scope
    with pytest.warns(DeprecationWarning, match="instrumentation_scope"):
        info = copy.instrumentation_info
    assert info is server.instrumentation_info
    assert (info.name, info.version) == ("scope", "2")
    assert server.to_json(None) == copy.to_json(None)
    assert json.loads(server.to_json())["attributes"] == {"a": 1, "b": 2}


def test_a_processor_may_keep_our_span_and_read_it_after_its_end(tracer: Tracer) -> None:
    """Some look at spans they got at the start."""
    kept: list[ReadableSpan] = []

    class Keeps(SpanProcessor):
        def on_start(self, span: ReadableSpan, parent_context: object = None) -> None:
            kept.append(span)

    provider = TracerProvider(None, shutdown_on_exit=False)
    provider.add_span_processor(Keeps())
    tracer = provider.get_tracer("t")
    server = tracer.open(None, 1, "GET", {"a": 1})
    server.close(5, tracer.shape("GET /", SpanKind.SERVER, {"b": 2}), wire.attribute("c", 3))
    assert kept == [server]
    assert (kept[0].name, dict(kept[0].attributes or {})) == ("GET /", {"b": 2, "c": 3, "a": 1})
