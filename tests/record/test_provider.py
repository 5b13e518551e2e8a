"""The provider: its parts, foreign processors that misbehave, and its end."""

import time
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, AlwaysRecordSampler
from opentelemetry.util.types import Attributes

from otelc2c import guard
from otelc2c.record.cells import Store
from otelc2c.record.layout import HEADER_BYTES, RECORD_SPAN
from otelc2c.record.pipeline import RingSink
from otelc2c.record.points import Scope
from otelc2c.record.provider import TracerProvider
from otelc2c.record.ring import RingWriter
from otelc2c.record.ring_reader import RingReader, kind_of, scope_of
from tests.record.spans import ListSink


class Broken(SpanProcessor):
    """Fails at everything."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("start")

    def _on_ending(self, span: Any) -> None:
        raise RuntimeError("ending")

    def on_end(self, span: Any) -> None:
        raise RuntimeError("end")

    def shutdown(self) -> None:
        raise RuntimeError("shutdown")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        raise RuntimeError("flush")


class Counts(SpanProcessor):
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.calls.append("start")

    def _on_ending(self, span: Any) -> None:
        self.calls.append(f"ending {span.end_time is not None}")

    def on_end(self, span: Any) -> None:
        self.calls.append("end")

    def shutdown(self) -> None:
        self.calls.append("shutdown")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        self.calls.append("flush")
        return True


def test_a_processor_that_raises_harms_nobody() -> None:
    """Not the application, not the other processors, not what is written (D12)."""
    guard.strict(False)
    sink, counts = ListSink(), Counts()
    provider = TracerProvider(sink, shutdown_on_exit=False)
    provider.add_span_processor(Broken())
    provider.add_span_processor(counts)
    with provider.get_tracer("t").start_as_current_span("s"):
        pass
    assert provider.force_flush() is False
    provider.shutdown()
    assert counts.calls == ["start", "ending True", "end", "flush", "shutdown"]
    assert sink.names == ["s"]
    assert guard.counts() == {"span processor": 5}


def test_a_processor_of_a_form_of_its_own_is_enough() -> None:
    """The SDK's base class is not asked for."""

    class Plain:
        def __init__(self) -> None:
            self.ended: list[str] = []

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            """Nothing."""

        def on_end(self, span: Any) -> None:
            self.ended.append(span.name)

    plain = Plain()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(plain)  # type: ignore[arg-type]
    provider.get_tracer("t").start_span("s").end()
    assert plain.ended == ["s"]


def test_a_flush_that_takes_too_long_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for all processors together."""
    provider, counts = TracerProvider(shutdown_on_exit=False), Counts()
    provider.add_span_processor(counts)
    assert provider.force_flush(0) is False
    assert counts.calls == []
    assert provider.force_flush(10_000) is True


def test_parts_of_the_sdk_that_mean_the_default_are_recognised() -> None:
    """Passing them costs nothing (hot-path 4)."""
    provider = TracerProvider(
        ListSink(), DEFAULT_ON, id_generator=RandomIdGenerator(), shutdown_on_exit=False
    )
    assert not provider.get_tracer("t").attributes_at_start
    assert str(provider.sampler.should_sample(None, 1, "s")) == str(DEFAULT_ON.should_sample(None, 1, "s"))
    assert isinstance(provider.id_generator, RandomIdGenerator)


def test_foreign_parts_are_kept() -> None:
    """And shown as they are."""

    class Ids(IdGenerator):
        def generate_span_id(self) -> int:
            return 1

        def generate_trace_id(self) -> int:
            return 2

    sampler, generator, resource = AlwaysRecordSampler(ALWAYS_OFF), Ids(), Resource({"a": "b"})
    provider = TracerProvider(None, sampler, resource, generator, shutdown_on_exit=False)
    assert (provider.sampler, provider.id_generator, provider.resource) == (sampler, generator, resource)
    assert provider.get_tracer("t").attributes_at_start


def test_spans_go_through_a_real_ring() -> None:
    """With the number of their scope, as the store gives it."""
    memory = memoryview(bytearray(HEADER_BYTES + 65536))
    ring, store = RingWriter(), Store.open_private()
    ring.use(memory, 65536 // 8)
    attributes: Attributes = {"b": 1, "a": "x"}
    provider = TracerProvider(RingSink(ring.put, store.scope_id), shutdown_on_exit=False)
    provider.get_tracer("first").start_span("one").end()
    provider.get_tracer("shop", "1", "https://example.org", attributes).start_span("two").end()
    reader = RingReader(memory)
    reader.look(final=True)
    taken = reader.take(10)
    scope = Scope("shop", "1", "https://example.org", (("a", "x"), ("b", 1)))
    written = {
        (kind_of(tag), scope_of(tag)): [b"one" in payload for payload in payloads]
        for tag, payloads in taken.groups.items()
    }
    assert written == {
        (RECORD_SPAN, store.scope_id(Scope("first"))): [True],
        (RECORD_SPAN, store.scope_id(scope)): [False],
    }


def test_a_scope_that_finds_no_number_still_has_a_tracer() -> None:
    """The application's `get_tracer` never fails."""

    class Full(ListSink):
        def scope_id(self, scope: Scope) -> int:
            raise OSError("full")

    guard.strict(False)
    provider = TracerProvider(Full(), shutdown_on_exit=False)
    provider.get_tracer("t").start_span("s").end()
    assert guard.counts() == {"tracer": 1}


def test_shutdown_is_called_at_exit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it was called before."""
    registered: list[Any] = []

    def register(call: Any) -> Any:
        registered.append(call)
        return call

    monkeypatch.setattr("atexit.register", register)
    monkeypatch.setattr("atexit.unregister", registered.remove)
    provider, counts = TracerProvider(), Counts()
    provider.add_span_processor(counts)
    assert registered == [provider.shutdown]
    registered[0]()
    assert (registered, counts.calls) == ([], ["shutdown"])


def test_a_span_begins_and_ends_by_the_clock_where_nothing_else_is_said() -> None:
    """Unix nanoseconds."""
    before = time.time_ns()
    span = TracerProvider(ListSink(), shutdown_on_exit=False).get_tracer("t").start_span("s")
    span.end()
    after = time.time_ns()
    tolerance = 10_000_000
    assert before - tolerance <= span.started_ns <= span.ended_ns <= after + tolerance
