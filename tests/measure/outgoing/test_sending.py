"""The trace context that goes with a call: with the right parent, and by the configured propagators."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otelc2c.measure.outgoing.requests import RequestsInstrumentor
from otelc2c.measure.outgoing.sending import send_context
from otelc2c.measure.propagation import Propagation
from otelc2c.record.samplers import Inline
from tests.measure.kit import Kit, sampled_out
from tests.measure.outgoing.peer import Peer

DEFAULT = ("tracecontext", "baggage")


def sent(names: tuple[str, ...] = DEFAULT, **headers: str) -> dict[str, Any]:
    """What is written into headers now, for a call that has no span of its own."""
    send_context(Propagation(names), get_current(), None, headers)
    return headers


class Foreign(TextMapPropagator):
    """A propagator of the application's."""

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = None) -> None:
        carrier["x-span"] = trace.format_span_id(trace.get_current_span(context).get_span_context().span_id)

    def extract(self, carrier: Any, context: Context | None = None, getter: Any = None) -> Context:
        return context or Context()

    @property
    def fields(self) -> set[str]:
        return {"x-span"}


@pytest.fixture
def kit() -> Iterator[Kit]:
    with Kit() as made:
        yield made


@pytest.mark.parametrize("sampler", [None, Inline(0, parent_based=False)])
@pytest.mark.parametrize("state", [None, TraceState([("a", "1"), ("b", "2")])])
@pytest.mark.parametrize("bag", [None, "yes"])
def test_it_is_what_the_propagators_of_the_api_write(
    sampler: Inline | None, state: TraceState | None, bag: str | None
) -> None:
    """Header by header, sampled and not."""
    with Kit(sampler=sampler) as kit:
        tracer = kit.provider.get_tracer("test")
        above = SpanContext(7, 8, True, TraceFlags(1), state)
        span = tracer.start_span("here", set_span_in_context(NonRecordingSpan(above)))
        context = set_span_in_context(span)
        token = attach(context if bag is None else baggage.set_baggage("a", bag, context))
        try:
            expected: dict[str, str] = {}
            propagate.inject(expected)
            assert sent() == expected
            assert ("tracestate" in expected, "baggage" in expected) == (state is not None, bag is not None)
        finally:
            detach(token)


def test_outside_of_any_span_nothing_is_written(kit: Kit) -> None:
    """What the application put there stays."""
    assert sent() == {}
    assert sent(traceparent="own") == {"traceparent": "own"}


def test_the_context_of_the_application_gives_way(kit: Kit) -> None:
    """As with other instrumentations: the call is the last that anybody knows of."""
    with kit.provider.get_tracer("test").start_as_current_span("here") as span:
        written = sent(traceparent="own")["traceparent"]
        assert written.split("-")[2] == trace.format_span_id(span.get_span_context().span_id)


def test_what_ends_later_than_its_request_has_no_context_of_it(kit: Kit) -> None:
    span = kit.provider.get_tracer("test").start_span("over")
    span.end()
    token = attach(set_span_in_context(span))
    assert sent() == {}
    detach(token)


def test_a_propagator_of_the_application_is_asked(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was set later too."""
    propagation = Propagation(DEFAULT)
    with kit.provider.get_tracer("test").start_as_current_span("here") as span:
        monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Foreign())
        headers: dict[str, str] = {}
        send_context(propagation, get_current(), None, headers)
        assert headers == {"x-span": trace.format_span_id(span.get_span_context().span_id)}
        monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", TraceContextTextMapPropagator())
        found = sent(("b3",))
        assert set(found) == {"traceparent"}


def test_a_span_of_another_provider_is_sent_by_the_api(kit: Kit) -> None:
    context = SpanContext(7, 8, False, TraceFlags(1))
    token = attach(set_span_in_context(NonRecordingSpan(context)))
    assert sent()["traceparent"] == f"00-{7:032x}-{8:016x}-01"
    detach(token)


def test_the_other_side_continues_below_the_call(
    kit: Kit, instrumentor: RequestsInstrumentor, peer: Peer
) -> None:
    """With the id of the span that is recorded for it, and the same trace."""
    tracer = kit.provider.get_tracer("test")
    with requests.Session() as session, tracer.start_as_current_span("work"):
        token = attach(baggage.set_baggage("tenant", "a"))
        session.get(f"{peer.url}/a")
        detach(token)
        session.get(f"{peer.url}/a")
    first, second, work = kit.spans
    assert [got.headers["traceparent"] for got in peer.received] == [
        f"00-{span.wire.trace_id.hex()}-{span.id.hex()}-03" for span in (first, second)
    ]
    assert first.parent == second.parent == work.id
    assert [got.headers.get("baggage") for got in peer.received] == ["tenant=a", None]
    assert get_current() == {}


def test_what_is_not_recorded_is_sent_as_such(instrumentor: RequestsInstrumentor, peer: Peer) -> None:
    """The other side belongs to the same trace, and knows that nobody keeps it."""
    with (
        sampled_out() as kit,
        requests.Session() as session,
        kit.provider.get_tracer("test").start_as_current_span("work") as span,
    ):
        session.get(f"{peer.url}/a")
        known = span.get_span_context()
    trace_id, span_id = trace.format_trace_id(known.trace_id), trace.format_span_id(known.span_id)
    assert peer.received[0].headers["traceparent"] == f"00-{trace_id}-{span_id}-{known.trace_flags:02x}"
    assert not known.trace_flags.sampled


@pytest.mark.parametrize("names", ["none", "baggage"])
def test_nothing_is_sent_that_was_not_asked_for(
    instrumentor: RequestsInstrumentor, peer: Peer, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Silent())
    with (
        Kit({"OTEL_PROPAGATORS": names}) as kit,
        requests.Session() as session,
        kit.provider.get_tracer("test").start_as_current_span("work"),
    ):
        session.get(f"{peer.url}/a")
    assert not {"traceparent", "baggage"} & peer.received[0].headers.keys()


class Silent(Foreign):
    """What OTEL_PROPAGATORS=none makes."""

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = None) -> None:
        return
