"""What is ours alone about a span: ends, forks, threads, and what it costs nothing to have."""

import os
import threading
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind

from otelc2c.record import wire
from otelc2c.record.provider import TracerProvider
from otelc2c.record.span import Parent, parent_of
from tests.record.spans import ListSink


@pytest.fixture
def sink() -> ListSink:
    """Where spans go."""
    return ListSink()


@pytest.fixture
def provider(sink: ListSink) -> TracerProvider:
    """A provider that writes to `sink`."""
    return TracerProvider(sink, shutdown_on_exit=False)


def test_an_early_end_is_the_end(
    sink: ListSink, provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """An application may end the server span; closing it later writes nothing more and says nothing."""
    tracer = provider.get_tracer("t")
    span = tracer.open(None, 1)
    span.set_attribute("k", 1)
    span.end()
    span.close(5, tracer.shape("GET /", SpanKind.SERVER, {}))
    assert [(one.name, one.kind) for one in sink.spans] == [("", 2)]
    assert sink.attributes() == {"k": 1}
    assert not caplog.records


def test_a_closed_span_cannot_be_ended_again(
    sink: ListSink, provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """The application is told."""
    tracer = provider.get_tracer("t")
    span = tracer.open(None, 1)
    span.close(5, tracer.shape("GET /", SpanKind.SERVER, {}))
    span.end()
    assert len(sink.records) == 1
    assert "Calling end() on an ended span." in caplog.text


def test_threads_that_end_one_span_write_it_once(sink: ListSink, provider: TracerProvider) -> None:
    """There is no lock; the look and the store have no call between them (hot-path 3)."""
    tracer = provider.get_tracer("t")
    shape = tracer.shape("s", SpanKind.INTERNAL, {})
    for _ in range(100):
        span = tracer.open(None, 1)
        barrier = threading.Barrier(4)

        def end(span: Any = span, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            span.close(2, shape)

        threads = [threading.Thread(target=end) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(sink.records) == 100


def test_attributes_set_while_a_span_ends_break_nothing(sink: ListSink, provider: TracerProvider) -> None:
    """A thread that is still at work on a span that another ends."""
    tracer = provider.get_tracer("t")
    stop = threading.Event()
    current = tracer.start_span("s")

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            current.set_attribute(f"k{number % 300}", number)

    thread = threading.Thread(target=write)
    thread.start()
    for number in range(100):
        ending, current = current, tracer.start_span(f"s{number}")
        ending.end()
    stop.set()
    thread.join()
    assert len(sink.spans) == 100


def in_child(work: Any) -> bytes:
    """What `work` returns in a forked child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, repr(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    try:
        return os.read(read, 1000)
    finally:
        os.close(read)


def test_a_span_open_during_a_fork_is_written_by_the_process_that_opened_it(
    sink: ListSink, provider: TracerProvider
) -> None:
    """And by no other, where the SDK writes it twice; spans of the child's own are written there."""
    ended: list[str] = []

    class Watcher:
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            """Nothing."""

        def on_end(self, span: ReadableSpan) -> None:
            ended.append(span.name)

    tracer = provider.get_tracer("t")
    shape = tracer.shape("s", SpanKind.INTERNAL, {})
    opened = tracer.open(None, 1)
    api = tracer.start_span("api")

    def work() -> tuple[list[str], bool]:
        child = tracer.child(opened, 2, shape)
        tracer.leaf(opened, tracer.shape("leaf", SpanKind.CLIENT, {}), 1, 2)
        child.close(3)
        opened.close(4, tracer.shape("opened", SpanKind.SERVER, {}))
        api.end()
        return sink.names, child.parent == opened.get_span_context()

    assert in_child(work) == b"(['leaf', 's'], True)"
    provider.add_span_processor(Watcher())  # type: ignore[arg-type]
    watched = tracer.start_span("watched")

    def work_watched() -> list[str]:
        watched.end()
        tracer.start_span("own").end()
        return ended

    assert in_child(work_watched) == b"['own']"
    opened.close(4, shape)
    api.end()
    assert sink.names == ["s", "api"]


def test_children_do_not_hold_their_parents(provider: TracerProvider) -> None:
    """A long chain of spans, each below the last, keeps no more than the last alive."""
    tracer = provider.get_tracer("t")
    span = tracer.open(None, 1)
    first = span.span_id
    child = tracer.child(span, 2, tracer.shape("s", SpanKind.INTERNAL, {}))
    assert child.origin == first
    assert child.parent == span.get_span_context()


def test_a_parent_is_found_in_everything_that_has_one() -> None:
    """Spans, contexts, parents; nothing in what is not valid."""
    context = SpanContext(1, 2, True)
    parent = parent_of(context)
    assert parent == Parent(b"\0" * 15 + b"\1", b"\0" * 7 + b"\2", 0, context.trace_state, True)
    assert parent is not None
    assert parent.context() == context
    assert parent_of(trace.NonRecordingSpan(context)) == parent
    assert parent_of(parent) is parent
    assert parent_of(trace.INVALID_SPAN) is parent_of(None) is None


def test_a_span_shows_itself(provider: TracerProvider) -> None:
    """With its name and context."""
    span = provider.get_tracer("t").start_span("shown")
    assert repr(span) == f'Span(name="shown", context={span.get_span_context()!r})'


def test_unknown_values_are_cleaned_as_by_the_sdk(sink: ListSink, provider: TracerProvider) -> None:
    """Bytes, nested sequences and mappings, None, and objects that only have a text."""
    span = provider.get_tracer("t").start_span("s")
    values: dict[str, Any] = {
        "b": b"x",
        "l": [1, [2, None]],
        "m": {"k": (1.5, "y")},
        "n": None,
        "o": ValueError("z"),
    }
    span.set_attributes(values)
    span.end()
    cleaned = {"b": b"x", "l": (1, (2, None)), "m": {"k": (1.5, "y")}, "n": None, "o": "z"}
    assert sink.attributes() == cleaned
    assert dict(span.attributes) == cleaned
    assert wire.read_attributes(sink.message(0)) == cleaned
