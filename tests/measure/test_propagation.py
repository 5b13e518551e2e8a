"""Trace context of callers: the same as OpenTelemetry's own propagators, for less."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation import tracecontext

from otelc2c.measure import propagation
from otelc2c.measure.propagation import EnvironGetter, Incoming, Propagation, bounded_baggage

TRACE, SPAN = "ab" * 16, "cd" * 8
DEFAULT = ("tracecontext", "baggage")

CORPUS = [
    "",
    " ",
    f"00-{TRACE}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-00",
    f"00-{TRACE}-{SPAN}-03",
    f"00-{TRACE}-{SPAN}-ff",
    f" 00-{TRACE}-{SPAN}-01",
    f"\t00-{TRACE}-{SPAN}-01 \t",
    f"00-{TRACE}-{SPAN}-01-",
    f"00-{TRACE}-{SPAN}-01-more",
    f"01-{TRACE}-{SPAN}-01",
    f"01-{TRACE}-{SPAN}-01-more",
    f"cc-{TRACE}-{SPAN}-01.more",
    f"ff-{TRACE}-{SPAN}-01",
    f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{TRACE}-{SPAN.upper()}-01",
    f"00-{TRACE}-{SPAN}-0A",
    f"00-{TRACE}-{SPAN}-0a",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{'0' * 31}1-{'0' * 15}1-01",
    f"00-{' ' * 32}-{SPAN}-01",
    f"00-ab {TRACE[3:]}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}- 1",
    f"00-{TRACE}-{SPAN}-+1",
    f"00-{TRACE}-{SPAN}-1_",
    f"00-{TRACE[:-1]}-{SPAN}-001",
    f"00-{TRACE}_{SPAN}-01",
    f"00_{TRACE}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}_01",
    f"00-{TRACE[:-1]}\u0660-{SPAN}-01",
    f"00-{TRACE[:-1]}\xff-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-01\n",
    f"0-{TRACE}-{SPAN}-01",
    f"000-{TRACE}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}",
    "00-zz-\xff-01",
    "x" * 55,
    "-" * 55,
]
STATES = [None, "", "a=b", "a=b,c=d", " a=b , c=d ", "bad", "a=b,a=c", "=", "a=" + "b" * 600, "\xff=\xfe"]


def context_of(incoming: Incoming) -> tuple[Any, ...]:
    """What matters of a parent."""
    if incoming.parent is None:
        return ()
    found = incoming.parent.context()
    return (found.trace_id, found.span_id, found.trace_flags, found.is_remote, found.trace_state.to_header())


def upstream(environ: dict[str, str]) -> tuple[Any, ...]:
    """What OpenTelemetry's propagator makes of the same."""
    made = tracecontext.TraceContextTextMapPropagator().extract(environ, Context(), EnvironGetter())
    found = trace.get_current_span(made).get_span_context()
    if not found.is_valid:
        return ()
    return (found.trace_id, found.span_id, found.trace_flags, found.is_remote, found.trace_state.to_header())


@pytest.fixture(autouse=True)
def restore_propagator() -> Iterator[None]:
    """The global propagator as it was."""
    before = propagate.get_global_textmap()
    yield
    propagate.set_global_textmap(before)


@pytest.mark.parametrize("header", CORPUS)
def test_trace_context_is_what_opentelemetry_makes_of_it(header: str) -> None:
    """F-75: valid, nearly valid and plainly wrong headers, with every kind of trace state."""
    for state in STATES:
        environ = {"HTTP_TRACEPARENT": header}
        if state is not None:
            environ["HTTP_TRACESTATE"] = state
        assert context_of(Propagation(DEFAULT).incoming(environ)) == upstream(environ)


@given(
    st.text(alphabet="0123456789abcdefABF-_ \xff", min_size=50, max_size=60)
    | st.from_regex(r"[0-9a-f]{2}-[0-9a-fA ]{32}-[0-9a-f ]{16}-[0-9a-f+ ]{2}", fullmatch=True)
)
def test_any_header_is_read_as_opentelemetry_reads_it(header: str) -> None:
    """F-75: fuzzed around the form."""
    environ = {"HTTP_TRACEPARENT": header}
    assert context_of(Propagation(DEFAULT).incoming(environ)) == upstream(environ)


def test_the_length_of_a_trace_state_is_opentelemetrys() -> None:
    """A private number there, so it is compared here."""
    assert propagation._MOST_TRACESTATE == tracecontext._TRACECONTEXT_MAXIMUM_TRACESTATE_LENGTH


def test_baggage_is_kept_up_to_what_must_be_taken() -> None:
    """64 entries and 8,192 bytes (W3C); more is not looked at (T28)."""
    header = ",".join(f"k{number}=v" for number in range(200))
    found = Propagation(DEFAULT).incoming({"HTTP_BAGGAGE": header}).context
    assert list(baggage.get_all(found)) == [f"k{number}" for number in range(64)]
    assert bounded_baggage("a=" + "b" * 9000) == ""
    assert bounded_baggage(",,,,no,=,a=b") == "=,a=b"


@pytest.mark.parametrize(
    "header", [",," * 4000, "a=b," * 2000, "=" * 8192, "\xff=\xff," * 1600, "%ff=%fe," * 1000]
)
def test_baggage_from_the_internet_is_cheap(header: str, caplog: pytest.LogCaptureFixture) -> None:
    """T28: under 5 ms each, the best of some, and no line of log for each of thousands of entries."""
    reader = Propagation(DEFAULT)
    best = 1.0
    for _ in range(5):
        start = time.thread_time()
        reader.incoming({"HTTP_BAGGAGE": header})
        best = min(best, time.thread_time() - start)
    assert best < 0.005
    assert len(caplog.records) <= 5 * 64


def test_without_baggage_as_a_propagator_it_is_not_read() -> None:
    """`OTEL_PROPAGATORS=tracecontext`."""
    assert Propagation(("tracecontext",)).incoming({"HTTP_BAGGAGE": "a=b"}).context is None


class Own(TextMapPropagator):
    """A propagator of somebody else's."""

    def extract(self, carrier: Any, context: Context | None = None, getter: Any = None) -> Context:
        values = getter.get(carrier, "x-own")
        assert "x-own" in getter.keys(carrier)
        span = trace.SpanContext(int(values[0]), 5, is_remote=True)
        made = trace.set_span_in_context(trace.NonRecordingSpan(span), context)
        return baggage.set_baggage("own", "1", made)

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = None) -> None:
        return

    @property
    def fields(self) -> set[str]:
        return {"x-own"}


def test_other_propagators_are_asked() -> None:
    """B3, Jaeger, or one that the application sets later."""
    reader = Propagation(DEFAULT)
    propagate.set_global_textmap(CompositePropagator([Own()]))
    for made in (reader, Propagation(("own",))):
        found = made.incoming({"HTTP_X_OWN": "7", "HTTP_TRACEPARENT": f"00-{TRACE}-{SPAN}-01"})
        assert found.parent is not None
        assert found.parent.trace_id == (7).to_bytes(16, "big")
        assert baggage.get_all(found.context) == {"own": "1"}


def test_without_propagators_nothing_is_read() -> None:
    """`OTEL_PROPAGATORS=none`."""
    propagate.set_global_textmap(CompositePropagator([]))
    assert Propagation(()).incoming({"HTTP_TRACEPARENT": f"00-{TRACE}-{SPAN}-01"}) == Incoming(None)


def test_a_propagator_that_fails_is_as_if_nothing_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its failure ends in the guard."""
    from otelc2c import guard

    guard.strict(False)
    monkeypatch.setattr(guard, "say", lambda _text: True)
    reader = Propagation(DEFAULT)
    propagate.set_global_textmap(Own())
    assert reader.incoming({"HTTP_X_OWN": "no number"}) == Incoming(None)
    assert guard.counts() == {"measure.propagation": 1}
