"""Spans from OTLP's bytes to `ReadableSpan` and back: nothing is lost on the way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, StatusCode

from otelc2c.record import wire
from otelc2c.record.readable_spans import readable_span

RESOURCE = Resource({"service.name": "shop"})
SCOPE = InstrumentationScope("app", "1")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
attribute_sets = st.dictionaries(
    texts.filter(bool),
    st.one_of(
        texts,
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.lists(texts).map(tuple),
    ),
    max_size=3,
)
counts = st.integers(0, 2**31)
times = st.integers(1, 2**63)
trace_ids = st.binary(min_size=16, max_size=16).filter(any)
span_ids = st.binary(min_size=8, max_size=8).filter(any)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A finished span with some of everything, as a ring holds it."""
    parent = draw(st.one_of(st.just(b""), span_ids))
    remote = bool(parent) and draw(st.booleans())
    status = draw(st.sampled_from([(0, None), (1, None), (2, None), (2, "it broke")]))
    parts = [
        wire.span_head(draw(trace_ids), parent, remote, draw(st.sampled_from(["", "a=1", "a=1,b=2"]))),
        wire.span_identity(draw(span_ids), draw(times), draw(times)),
        wire.span_body(draw(texts), draw(st.integers(0, 4)), *status),
        wire.attributes(draw(attribute_sets)),
        wire.span_dropped(draw(counts), draw(counts), draw(counts)),
    ]
    parts += [
        wire.span_event(draw(texts), draw(times), draw(attribute_sets), draw(counts))
        for _ in range(draw(st.integers(0, 2)))
    ]
    parts += [
        wire.span_link(
            draw(trace_ids), draw(span_ids), draw(st.booleans()), draw(attribute_sets), draw(counts)
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    return b"".join(parts)


@given(messages())
@settings(max_examples=100, deadline=None)
def test_an_exporter_of_the_sdk_writes_what_was_read(data: bytes) -> None:
    """Every field: events, links, status, dropped counts, trace state, flags, parents."""
    span = readable_span(data, SCOPE, RESOURCE)
    sent = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
    assert sent == Message.FromString(data)


def test_an_exporter_sees_the_sdks_own_types() -> None:
    """What code written for the SDK relies on."""
    data = (
        wire.span_head(b"t" * 16, b"p" * 8, True, "a=1")
        + wire.span_identity(b"s" * 8, 10, 20)
        + wire.span_body("GET /", SpanKind.SERVER.value, 2, "it broke")
        + wire.attribute("k", (1, 2))
    )
    span = readable_span(data, SCOPE, RESOURCE)
    assert isinstance(span, ReadableSpan)
    assert (span.name, span.kind, span.start_time, span.end_time) == ("GET /", SpanKind.SERVER, 10, 20)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "it broke")
    assert span.context.trace_flags.sampled
    assert span.context.trace_state["a"] == "1"
    assert span.parent is not None
    assert span.parent.is_remote
    assert span.parent.span_id == int.from_bytes(b"p" * 8)
    assert span.attributes == {"k": (1, 2)}
    assert span.resource is RESOURCE
    assert span.instrumentation_scope is SCOPE
    assert '"GET /"' in span.to_json()


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x10short", b"\x0b"])
def test_bytes_that_are_no_span_are_refused(data: bytes) -> None:
    """The caller decides what to do with them."""
    with pytest.raises((ValueError, IndexError)):
        readable_span(data, SCOPE, RESOURCE)
