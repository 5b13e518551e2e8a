"""What we write by hand reads back as what the SDK's encoder writes of the same spans."""

import logging
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otelc2c.record import wire
from otelc2c.record.encoding import encode_readable
from otelc2c.record.provider import TracerProvider
from tests.record.spans import ListSink

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ANY_TEXTS = st.text(max_size=20) | st.sampled_from(["\ud800", "a\udcffb", "🎈", "\x00"])
INT64 = st.integers(-(2**63), 2**63 - 1)
SCALARS = TEXTS | st.booleans() | INT64 | st.floats(allow_nan=False) | st.binary(max_size=20) | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS.filter(bool), inner, max_size=4),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(TEXTS.filter(bool), VALUES, max_size=6)
TIMES = st.integers(1, 2**63)
IDS = st.integers(1, 2**64 - 1)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    IDS,
    st.booleans(),
    st.sampled_from([TraceFlags(1), TraceFlags(3)]),
    st.sampled_from([None, TraceState(), TraceState([("a", "b"), ("c", "d=e")])]),
)
SPANS = st.fixed_dictionaries(
    {
        "name": TEXTS,
        "kind": st.sampled_from(SpanKind),
        "attributes": ATTRIBUTES,
        "later": ATTRIBUTES,
        "parent": st.none() | CONTEXTS,
        "links": st.lists(st.tuples(CONTEXTS, ATTRIBUTES), max_size=3),
        "events": st.lists(st.tuples(TEXTS, ATTRIBUTES, TIMES), max_size=3),
        "status": st.sampled_from([None, StatusCode.OK, StatusCode.ERROR]),
        "description": st.none() | TEXTS,
        "start": TIMES,
        "end": TIMES,
    }
)
COUNTS = st.none() | st.integers(0, 4)
LIMITS = st.builds(
    SpanLimits,
    **{
        name: COUNTS.map(lambda value: SpanLimits.UNSET if value is None else value)
        for name in (
            "max_events",
            "max_links",
            "max_span_attributes",
            "max_event_attributes",
            "max_link_attributes",
            "max_attribute_length",
            "max_span_attribute_length",
        )
    },
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Limits and odd values are logged by OpenTelemetry; here they are the point."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class Watcher:
    """Keeps the spans that a provider ends."""

    def __init__(self) -> None:
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing to keep yet."""

    def _on_ending(self, span: Any) -> None:
        """Nothing to keep yet."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep it."""
        self.ended.append(span)


class FixedIds(IdGenerator):
    """The same ids for every provider, so that spans can be compared."""

    def generate_trace_id(self) -> int:
        """One trace."""
        return 0x1234

    def generate_span_id(self) -> int:
        """One span."""
        return 0x5678

    def is_trace_id_random(self) -> bool:
        """Not at all."""
        return False


def make(provider: Any, drawn: dict[str, Any]) -> Any:
    """A finished span with everything that was drawn."""
    parent = drawn["parent"]
    context = set_span_in_context(NonRecordingSpan(parent)) if parent else None
    span = provider.get_tracer("test").start_span(
        drawn["name"],
        context=context,
        kind=drawn["kind"],
        attributes=drawn["attributes"],
        start_time=drawn["start"],
    )
    for link_context, attributes in drawn["links"]:
        span.add_link(link_context, attributes)
    for name, attributes, time in drawn["events"]:
        span.add_event(name, attributes, time)
    for key, value in drawn["later"].items():
        span.set_attribute(key, value)
    if drawn["status"] is not None:
        span.set_status(Status(drawn["status"], drawn["description"]))
    span.end(drawn["end"])
    return span


def sdk_message(span: ReadableSpan) -> Message:
    """What the SDK's encoder makes of a span."""
    message: Message = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
    return message


@settings(max_examples=25, deadline=None)
@given(SPANS, LIMITS)
def test_a_span_reads_as_the_sdk_encodes_it(drawn: dict[str, Any], limits: SpanLimits) -> None:
    """Names, attributes of every type, events, links, status, limits, Unicode, parents, trace state."""
    watcher = Watcher()
    sdk = SdkProvider(id_generator=FixedIds(), span_limits=limits, shutdown_on_exit=False)
    sdk.add_span_processor(watcher)  # type: ignore[arg-type]
    make(sdk, drawn)
    expected = sdk_message(watcher.ended[0])
    sink = ListSink()
    ours = TracerProvider(sink, id_generator=FixedIds(), span_limits=limits, shutdown_on_exit=False)
    make(ours, drawn)
    assert sink.spans == [expected]
    assert Message.FromString(encode_readable(watcher.ended[0])) == expected


@settings(max_examples=25, deadline=None)
@given(ATTRIBUTES, ATTRIBUTES, ATTRIBUTES, st.sampled_from([None, "", "it broke"]), LIMITS)
def test_a_span_of_a_shape_reads_as_its_readable_span_encodes(
    constant: dict[str, Any],
    extra: dict[str, Any],
    own: dict[str, Any],
    error: str | None,
    limits: SpanLimits,
) -> None:
    """Shape, extra and the application's own attributes, within the limits, are one set (hot-path 4)."""
    sink, watched_sink, watcher = ListSink(), ListSink(), Watcher()
    for into in (sink, watched_sink):
        provider = TracerProvider(into, id_generator=FixedIds(), span_limits=limits, shutdown_on_exit=False)
        if into is watched_sink:
            provider.add_span_processor(watcher)  # type: ignore[arg-type]
        tracer = provider.get_tracer("test")
        span = tracer.open(None, 5)
        span.clock, span.started_ns = 0, 5
        span.set_attributes(own)
        span.close(9, tracer.shape("GET /", SpanKind.SERVER, constant, error), wire.attributes(extra))
    assert sink.spans == watched_sink.spans == [sdk_message(watcher.ended[0])]


@settings(max_examples=50, deadline=None)
@given(ANY_TEXTS, VALUES | ANY_TEXTS | st.integers())
def test_any_key_and_value_is_encoded_and_reads_back(key: str, value: Any) -> None:
    """Nothing raises: lone surrogates are spelled out, whole numbers beyond 64 bits become text."""
    encoded = wire.attribute(key, value)
    message = Message.FromString(encoded)
    assert [attribute.key for attribute in message.attributes] == [
        key.encode("utf-8", "backslashreplace").decode()
    ]
    read = wire.read_attributes(encoded)
    assert wire.attributes(read) == encoded


def test_what_the_sdk_cannot_encode_is_kept_as_text() -> None:
    """The specification's mapping to AnyValue for large numbers; our own choice for surrogates."""
    big = 2**63
    assert AnyValue.FromString(wire.any_value(big)).string_value == str(big)
    assert AnyValue.FromString(wire.any_value("a\ud800")).string_value == "a\\ud800"
    assert AnyValue.FromString(wire.any_value(-1)).int_value == -1
    assert AnyValue.FromString(wire.any_value(object)).string_value == str(object)


@settings(max_examples=30, deadline=None)
@given(TEXTS | st.integers(0, 3000).map(lambda size: "ä" * size))
def test_a_key_encodes_texts_as_attribute_does(value: str) -> None:
    """Twice, because the second time comes from what it remembers."""
    key = wire.Key("url.path")
    assert key.string(value) == key.string(value) == wire.attribute("url.path", value)


@given(INT64 | st.booleans())
def test_a_key_encodes_whole_numbers_as_attribute_does(value: int) -> None:
    """Also `True`, which equals one."""
    key = wire.Key("server.port")
    assert key.integer(value) == key.integer(value) == wire.attribute("server.port", int(value))


def test_what_a_key_remembers_is_bounded() -> None:
    """Lengths and numbers are the caller's choice (hot-path 4)."""
    key = wire.Key("k")
    for number in range(3000):
        key.integer(number)
        key.string("x" * number)
    assert len(key._integers) <= 1024
    assert len(key._heads) <= 1024


@settings(max_examples=25, deadline=None)
@given(ATTRIBUTES, TEXTS, TEXTS)
def test_scope_and_resource_are_messages(values: dict[str, Any], name: str, version: str) -> None:
    """Their attributes read back with OpenTelemetry's own classes."""
    scope = InstrumentationScope.FromString(wire.encode_scope(name, version, values))
    assert (scope.name, scope.version) == (name, version)
    resource = ResourceMessage.FromString(wire.encode_resource(values))
    wanted = [
        KeyValue(key=key, value=AnyValue.FromString(wire.any_value(value))) for key, value in values.items()
    ]
    assert list(scope.attributes) == list(resource.attributes) == wanted
    assert wire.read_attributes(wire.encode_resource(values), wire.RESOURCE_ATTRIBUTE).keys() == values.keys()


def test_a_resource_reads_as_the_sdk_encodes_it() -> None:
    """The whole resource message, with a list among its attributes."""
    resource = Resource({"service.name": "shop", "host.ip": ["10.0.0.1", "::1"], "process.pid": 7})
    provider = SdkProvider(resource=resource, shutdown_on_exit=False)
    watcher = Watcher()
    provider.add_span_processor(watcher)  # type: ignore[arg-type]
    provider.get_tracer("t").start_span("s").end()
    expected = encode_spans(watcher.ended).resource_spans[0].resource
    assert ResourceMessage.FromString(wire.encode_resource(resource.attributes)) == expected


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\x4b", b"\xff\xff", b"\x4a\x02\x0a\x05"])
def test_bytes_that_are_no_message_raise(data: bytes) -> None:
    """A reader must see that a payload is broken."""
    with pytest.raises((ValueError, IndexError)):
        wire.read_attributes(data)


@given(st.integers(0, 2**64 - 1))
def test_a_varint_reads_back(number: int) -> None:
    """Up to what fits into protobuf's largest number."""
    assert list(wire.fields(b"\x08" + wire.varint(number))) == [(1, number)]


def test_fixed_fields_come_as_bytes() -> None:
    """Times and flags have four and eight bytes."""
    data = wire.span_identity(b"12345678", 1, 2) + wire.FLAGS_LOCAL
    assert [number for number, _ in wire.fields(data)] == [2, 7, 8, 16]
    assert dict(wire.fields(data))[8] == struct.pack("<Q", 2)
