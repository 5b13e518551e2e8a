"""Requests made of finished spans: as the SDK's encoder makes them, without decoding anything."""

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource

from otelc2c.record import wire
from otelc2c.record.points import Scope
from otelc2c.record.readable_metrics import sdk_scope
from otelc2c.record.readable_spans import readable_span
from otelc2c.relay.http import HttpSender, Rejected, Retry
from otelc2c.relay.otlp import Delivered, OtlpSpans, Spans, encode_request, partial_success
from tests.relay.material import attribute_sets, scopes, texts
from tests.sink import Sink, spans_of

RESOURCE = wire.encode_resource({"service.name": "café"})


def span(number: int, name: str = "GET /") -> bytes:
    """A finished span as a ring holds it."""
    return (
        wire.span_head(b"t" * 16, b"", False, "")
        + wire.span_identity(number.to_bytes(8), 1, 2)
        + wire.span_body(name, 1)
    )


SPANS = st.builds(
    lambda number, name, values: span(number, name) + wire.attributes(values),
    st.integers(1, 2**64 - 1),
    texts,
    attribute_sets,
)


@given(st.lists(st.tuples(scopes, SPANS), max_size=8), attribute_sets, st.sampled_from(["", "https://x/1.2"]))
@settings(max_examples=60, deadline=None)
def test_a_request_is_what_the_sdk_makes_of_the_same_spans(
    spans: list[tuple[Scope, bytes]], resource: dict[str, object], schema_url: str
) -> None:
    """Must hold 6: spans under their scopes and resource, with versions, attributes and schema URLs."""
    ours = ExportTraceServiceRequest.FromString(
        encode_request(wire.encode_resource(resource), Spans.of(spans), schema_url)
    )
    made = Resource(resource, schema_url)  # type: ignore[arg-type]
    theirs = encode_spans([readable_span(data, sdk_scope(scope), made) for scope, data in spans])
    if not spans:
        # We are never asked for an empty one; the SDK leaves out even the resource.
        assert not ours.resource_spans[0].scope_spans
        return
    assert ours == theirs


def test_one_scope_is_written_once_however_its_spans_are_mixed() -> None:
    """Spans keep their order inside a scope."""
    one, other = Scope("one"), Scope("other", "1", "", (("k", True),))
    body = encode_request(RESOURCE, Spans.of([(one, span(1)), (other, span(2)), (one, span(3))]))
    found = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans
    assert [[int.from_bytes(item.span_id) for item in scope.spans] for scope in found] == [[1, 3], [2]]
    assert found[1].scope.attributes[0].value.bool_value


def test_an_answer_tells_how_many_were_not_taken() -> None:
    """OTLP's partial success; a message alone is a warning, and nonsense is nothing."""
    answer = ExportTraceServiceResponse()
    assert partial_success(answer.SerializeToString()) == Delivered()
    answer.partial_success.error_message = "slow down"
    assert partial_success(answer.SerializeToString()) == Delivered(0, "slow down")
    answer.partial_success.rejected_spans = 3
    assert partial_success(answer.SerializeToString()) == Delivered(3, "slow down")
    assert partial_success(b"<html>\xff") == Delivered()
    assert partial_success(b"\x0a\xff") == Delivered()


def test_spans_arrive_with_what_the_receiver_says_of_them() -> None:
    """One exporter through a receiver's moods."""
    spans = Spans.of((Scope("app", "1"), span(number)) for number in range(1, 4))
    with Sink() as sink:
        exporter = OtlpSpans(HttpSender(sink.traces), RESOURCE, schema_url="https://x/1")
        assert exporter.export(spans) == Delivered()
        sink.become("refusing")
        assert exporter.export(spans) == Retry("503", 1.0)
        sink.become("rejecting")
        assert exporter.export(spans) == Rejected("400")
        sink.become("partial", rejected=100)
        assert exporter.export(spans) == Delivered(3, "one is too old")
        exporter.close()
        received = list(spans_of(sink.received()[:1]))
    assert [one.span.name for one in received] == ["GET /"] * 3
    assert received[0].scope.name == "app"
    assert received[0].resource.attributes[0].value.string_value == "café"


def test_another_batch_is_encoded_anew() -> None:
    """The remembered bytes of a batch that has to wait belong to that batch alone."""
    with Sink("unavailable") as sink:
        exporter = OtlpSpans(HttpSender(sink.traces), RESOURCE)
        for batch in ([(Scope("a"), span(1))], [(Scope("a"), span(2))]):
            exporter.export(Spans.of(batch))
            exporter.export(Spans.of(batch))
        exporter.close()
        ids = [int.from_bytes(one.span.span_id) for one in spans_of(sink.seen)]
    assert ids == [1, 1, 2, 2]
