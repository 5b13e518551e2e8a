"""What the SDK promises to those who plug into it: the same tests on our provider and on the SDK's."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otelc2c.record.provider import TracerProvider

Provider: TypeAlias = Callable[..., Any]


@pytest.fixture(params=["ours", "sdk"])
def make(request: pytest.FixtureRequest) -> Provider:
    """A maker of providers, ours or the SDK's, with the same arguments."""
    kind = TracerProvider if request.param == "ours" else SdkProvider

    def make(*processors: SpanProcessor, **arguments: Any) -> Any:
        provider = kind(**{"shutdown_on_exit": False, **arguments})
        for processor in processors:
            provider.add_span_processor(processor)
        return provider

    return make


@pytest.fixture
def memory() -> InMemorySpanExporter:
    """The SDK's exporter for tests."""
    return InMemorySpanExporter()


@pytest.fixture
def tracer(make: Provider, memory: InMemorySpanExporter) -> Any:
    """A tracer whose finished spans are in `memory`."""
    return make(SimpleSpanProcessor(memory)).get_tracer("shop", "1.2", "https://example.org/schema")


def remote(sampled: bool = True, state: TraceState | None = None) -> SpanContext:
    """The context of a caller in another process."""
    return SpanContext(0xABC, 0xDEF, True, TraceFlags(int(sampled)), state)


def below(context: SpanContext) -> Context:
    """A context in which a caller's span is current."""
    return set_span_in_context(NonRecordingSpan(context), Context())


class Diary(SpanProcessor):
    """Writes down every call into a list that several may share."""

    def __init__(self, name: str, lines: list[tuple[str, str, str]]) -> None:
        self.name, self.lines = name, lines
        self.parents: list[Context | None] = []
        self.flushed = True

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        self.parents.append(parent_context)
        self.lines.append((self.name, "start", span.name))

    def on_end(self, span: ReadableSpan) -> None:
        self.lines.append((self.name, "end", span.name))

    def shutdown(self) -> None:
        self.lines.append((self.name, "shutdown", ""))

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        self.lines.append((self.name, "flush", ""))
        return self.flushed


def test_processors_are_called_in_order(make: Provider) -> None:
    """At start, at end, for flush and shutdown."""
    lines: list[tuple[str, str, str]] = []
    first, second = Diary("1", lines), Diary("2", lines)
    provider = make(first, second)
    provider.get_tracer("t").start_span("a").end()
    assert provider.force_flush() is True
    second.flushed = False
    assert provider.force_flush() is False
    provider.shutdown()
    calls = [("start", "a"), ("end", "a"), ("flush", ""), ("flush", ""), ("shutdown", "")]
    assert lines == [(name, call, span) for call, span in calls for name in ("1", "2")]


def test_a_processor_added_later_sees_the_end_of_open_spans(make: Provider) -> None:
    """The list of processors is the provider's, not the span's."""
    lines: list[tuple[str, str, str]] = []
    provider = make(Diary("1", lines))
    span = provider.get_tracer("t").start_span("a")
    provider.add_span_processor(Diary("2", lines))
    span.end()
    assert lines == [("1", "start", "a"), ("1", "end", "a"), ("2", "end", "a")]


def test_on_start_may_change_the_span_and_read_it(make: Provider, memory: InMemorySpanExporter) -> None:
    """It gets the span that is being written, readable like the SDK's."""
    seen: dict[str, Any] = {}

    class Changes(SpanProcessor):
        def on_start(self, span: Any, parent_context: Context | None = None) -> None:
            seen.update(
                attributes=dict(span.attributes),
                name=span.name,
                kind=span.kind,
                parent=span.parent,
                recording=span.is_recording(),
                readable=isinstance(span, ReadableSpan),
                end=span.end_time,
                scope=span.instrumentation_scope.name,
                resource=span.resource.attributes["service.name"],
            )
            span.set_attribute("added", True)
            span.update_name("renamed")

    provider = make(Changes(), SimpleSpanProcessor(memory), resource=Resource({"service.name": "shop"}))
    parent = remote()
    provider.get_tracer("t").start_span("a", below(parent), SpanKind.CLIENT, {"k": 1}).end()
    assert seen == {
        "attributes": {"k": 1},
        "name": "a",
        "kind": SpanKind.CLIENT,
        "parent": parent,
        "recording": True,
        "readable": True,
        "end": None,
        "scope": "t",
        "resource": "shop",
    }
    (ended,) = memory.get_finished_spans()
    assert (ended.name, dict(ended.attributes or {})) == ("renamed", {"k": 1, "added": True})


def test_on_start_gets_the_parent_context_as_it_was_given(make: Provider) -> None:
    """Baggage processors read it; None means the current context."""
    diary = Diary("1", [])
    tracer = make(diary).get_tracer("t")
    context = baggage.set_baggage("user", "7", below(remote()))
    tracer.start_span("a", context).end()
    tracer.start_span("b").end()
    assert diary.parents == [context, None]
    assert diary.parents[0] is context


def test_on_end_gets_what_no_longer_changes(make: Provider) -> None:
    """A real `ReadableSpan`, which is not the span, and whose attributes refuse to change."""
    ended: list[ReadableSpan] = []

    class Keeps(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            ended.append(span)

    span = make(Keeps()).get_tracer("t").start_span("a", attributes={"k": [1, 2]})
    span.add_event("e", {"x": "y"})
    span.end()
    (kept,) = ended
    assert isinstance(kept, ReadableSpan)
    assert not isinstance(kept, trace.Span)
    assert kept.attributes == {"k": (1, 2)}
    with pytest.raises(TypeError):
        kept.attributes["k"] = 2  # type: ignore[index]
    with pytest.raises(TypeError):
        kept.events[0].attributes["x"] = 2  # type: ignore[index]
    span.set_attribute("later", 1)
    span.update_name("later")
    assert (kept.name, kept.attributes) == ("a", {"k": (1, 2)})


def test_a_finished_span_has_all_its_parts(tracer: Any, memory: InMemorySpanExporter) -> None:
    """Every property of `ReadableSpan`."""
    other = SpanContext(1, 2, False, TraceFlags(1))
    span = tracer.start_span("a", below(remote()), SpanKind.SERVER, {"k": 1}, [Link(other, {"l": 2})], 5)
    span.add_event("e", {"x": 1}, 6)
    span.add_link(SpanContext(3, 4, False))
    span.set_status(StatusCode.ERROR, "broke")
    span.end(9)
    (kept,) = memory.get_finished_spans()
    assert (kept.name, kept.kind, kept.start_time, kept.end_time) == ("a", SpanKind.SERVER, 5, 9)
    assert kept.parent == remote()
    assert kept.context == span.get_span_context() == kept.get_span_context()
    assert kept.context.trace_id == remote().trace_id
    assert not kept.context.is_remote
    assert [(event.name, event.timestamp, event.attributes) for event in kept.events] == [("e", 6, {"x": 1})]
    assert [(link.context.span_id, link.attributes) for link in kept.links] == [(2, {"l": 2}), (4, {})]
    assert (kept.status.status_code, kept.status.description) == (StatusCode.ERROR, "broke")
    scope = kept.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version, scope.schema_url) == ("shop", "1.2", "https://example.org/schema")
    assert kept.to_json() == span.to_json()


class Sampling(Sampler):
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.asked: list[tuple[Any, ...]] = []

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        self.asked.append((parent_context, trace_id, name, kind, dict(attributes or {}), list(links or ())))
        return SamplingResult(self.decision, {"rule": "r1"}, TraceState([("s", "1")]))

    def get_description(self) -> str:
        return "Sampling"


@pytest.mark.parametrize("decision", Decision)
def test_a_foreign_sampler_is_asked_and_obeyed(
    make: Provider, memory: InMemorySpanExporter, decision: Decision
) -> None:
    """Its arguments, its decision, its attributes and its trace state."""
    sampler, diary = Sampling(decision), Diary("1", [])
    tracer = make(diary, SimpleSpanProcessor(memory), sampler=sampler).get_tracer("t")
    link = Link(SpanContext(1, 2, False))
    context = below(remote())
    span = tracer.start_span("a", context, SpanKind.CLIENT, {"k": 1}, [link])
    assert sampler.asked == [(context, remote().trace_id, "a", SpanKind.CLIENT, {"k": 1}, [link])]
    assert span.is_recording() is (decision is not Decision.DROP)
    own = span.get_span_context()
    assert own.trace_flags.sampled is (decision is Decision.RECORD_AND_SAMPLE)
    assert own.trace_state == {"s": "1"}
    span.end()
    assert len(diary.lines) == (0 if decision is Decision.DROP else 2)
    exported = memory.get_finished_spans()
    assert [span.attributes for span in exported] == [{"rule": "r1"}] * own.trace_flags.sampled


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize(
    "sampler",
    [ALWAYS_ON, ALWAYS_OFF, DEFAULT_ON, ParentBased(ALWAYS_OFF), ParentBased(TraceIdRatioBased(0.5))],
    ids=str,
)
def test_samplers_of_the_sdk_follow_their_rules(make: Provider, sampler: Sampler, sampled: bool) -> None:
    """For a remote parent that was sampled or not, and for a local child below it."""
    tracer = make(Diary("1", []), sampler=sampler).get_tracer("t")
    expected = sampled if isinstance(sampler, ParentBased) else sampler is ALWAYS_ON
    state = TraceState([("v", "1")])
    with tracer.start_as_current_span("a", below(remote(sampled, state))) as span:
        child = tracer.start_span("b")
    for one in (span, child):
        context = one.get_span_context()
        assert (context.trace_id, context.trace_flags.sampled) == (remote().trace_id, expected)
        assert one.is_recording() is (expected and one is child)
        assert context.trace_state == state


def test_a_foreign_id_generator_is_used(make: Provider) -> None:
    """For roots and children; ids that are not random are not called random."""

    class Counts:
        def __init__(self) -> None:
            self.last = 0

        def generate_span_id(self) -> int:
            self.last += 1
            return self.last

        def generate_trace_id(self) -> int:
            return 77

        def is_trace_id_random(self) -> bool:
            return False

    tracer = make(Diary("1", []), id_generator=Counts()).get_tracer("t")
    with tracer.start_as_current_span("a") as a, tracer.start_as_current_span("b") as b:
        contexts = [span.get_span_context() for span in (a, b)]
    assert [(context.trace_id, context.span_id, context.trace_flags) for context in contexts] == [
        (77, 1, 1),
        (77, 2, 1),
    ]


def test_random_ids_say_so(make: Provider) -> None:
    """The W3C flag for random trace ids, passed on from a parent as it is."""
    tracer = make(Diary("1", [])).get_tracer("t")
    assert tracer.start_span("a", Context()).get_span_context().trace_flags == 3
    assert tracer.start_span("a", below(remote())).get_span_context().trace_flags == 1


def test_limits_hold_and_what_they_cost_is_counted(make: Provider, memory: InMemorySpanExporter) -> None:
    """The oldest goes, texts are cut, and the dropped ones are counted (hot-path 4)."""
    limits = SpanLimits(
        max_span_attributes=2,
        max_events=1,
        max_links=1,
        max_event_attributes=1,
        max_link_attributes=1,
        max_attribute_length=3,
        max_span_attribute_length=4,
    )
    span = (
        make(SimpleSpanProcessor(memory), span_limits=limits)
        .get_tracer("t")
        .start_span("a", attributes={"a": "abcdef", "b": ["abcdef"]})
    )
    span.set_attribute("c", 1)
    span.set_attribute("", 1)
    span.set_attributes({"b": "again", "": 2, 5: "five"})
    for name in ("e1", "e2"):
        span.add_event(name, {"x": "abcdef", "y": 2})
        span.add_link(SpanContext(1, 2, False), {"x": 1, "y": "abcdef"})
    assert span.dropped_attributes == 4
    span.end()
    (kept,) = memory.get_finished_spans()
    assert kept.attributes == {"b": "agai", "5": "five"}
    assert (kept.dropped_attributes, kept.dropped_events, kept.dropped_links) == (4, 1, 1)
    assert [(e.name, e.attributes, e.dropped_attributes) for e in kept.events] == [("e2", {"y": 2}, 1)]
    assert [(link.attributes, link.dropped_attributes) for link in kept.links] == [({"y": "abc"}, 1)]


def test_no_room_at_all(make: Provider, memory: InMemorySpanExporter) -> None:
    """A limit of zero counts everything."""
    limits = SpanLimits(max_span_attributes=0, max_events=0, max_links=0)
    tracer = make(SimpleSpanProcessor(memory), span_limits=limits).get_tracer("t")
    span = tracer.start_span("a", attributes={"a": 1}, links=[Link(SpanContext(1, 2, False))])
    span.set_attribute("b", 1)
    span.set_attributes({"c": 1, "d": 1})
    span.add_event("e")
    span.end()
    (kept,) = memory.get_finished_spans()
    assert (kept.dropped_attributes, kept.dropped_events, kept.dropped_links) == (4, 1, 1)


class Broken(ValueError):
    """An exception of the application's own."""


def test_record_exception(tracer: Any, memory: InMemorySpanExporter) -> None:
    """Type with its module, message, stack trace, escaped, and the caller's own attributes."""
    span = tracer.start_span("a")
    try:
        raise Broken("no luck")
    except Broken as error:
        span.record_exception(error, {"more": 1, "exception.message": "mine"}, timestamp=5, escaped=True)
    span.record_exception(KeyError("k"))
    span.end()
    first, second = memory.get_finished_spans()[0].events
    attributes = dict(first.attributes or {})
    trace_text = str(attributes.pop("exception.stacktrace"))
    assert "Traceback (most recent call last)" in trace_text
    assert 'raise Broken("no luck")' in trace_text
    assert (first.name, first.timestamp) == ("exception", 5)
    assert attributes == {
        "exception.type": f"{__name__}.Broken",
        "exception.message": "mine",
        "exception.escaped": "True",
        "more": 1,
    }
    assert (second.attributes or {})["exception.type"] == "KeyError"


@pytest.mark.parametrize(("record", "status"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("way", ["current", "span"])
def test_leaving_by_an_exception(
    tracer: Any, memory: InMemorySpanExporter, record: bool, status: bool, way: str
) -> None:
    """Recorded and set as asked for, by `start_as_current_span` and by the span's own context manager."""
    start = tracer.start_as_current_span if way == "current" else tracer.start_span
    with pytest.raises(Broken), start("a", record_exception=record, set_status_on_exception=status):
        raise Broken("no luck")
    (kept,) = memory.get_finished_spans()
    assert [event.name for event in kept.events] == ["exception"] * record
    assert [(event.attributes or {})["exception.escaped"] for event in kept.events] == [
        str(way == "span")
    ] * record
    expected = (StatusCode.ERROR, "Broken: no luck") if status else (StatusCode.UNSET, None)
    assert (kept.status.status_code, kept.status.description) == expected


@pytest.mark.parametrize("error", [SystemExit(), GeneratorExit(), KeyboardInterrupt()])
def test_leaving_on_purpose_is_no_error(
    tracer: Any, memory: InMemorySpanExporter, error: BaseException
) -> None:
    """Only `Exception`s are recorded by `start_as_current_span`; the span ends all the same."""
    with pytest.raises(type(error)), tracer.start_as_current_span("a"):
        raise error
    (kept,) = memory.get_finished_spans()
    assert (kept.events, kept.status.status_code) == ((), StatusCode.UNSET)


def test_status_rules(tracer: Any, memory: InMemorySpanExporter, caplog: pytest.LogCaptureFixture) -> None:
    """OK is final, UNSET is ignored, a later error replaces an earlier one."""
    span = tracer.start_span("a")
    span.set_status(StatusCode.ERROR, "one")
    span.set_status(StatusCode.UNSET)
    assert span.status.description == "one"
    span.set_status(Status(StatusCode.ERROR, "two"), "ignored")
    assert span.status.description == "two"
    assert "ignored" in caplog.text
    span.set_status("nonsense")
    span.set_status(StatusCode.OK)
    span.set_status(StatusCode.ERROR, "three")
    span.end()
    (kept,) = memory.get_finished_spans()
    assert (kept.status.status_code, kept.status.description) == (StatusCode.OK, None)


def test_a_span_ends_once(
    tracer: Any, memory: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever comes later says so in the log and changes nothing."""
    span = tracer.start_span("a")
    span.end(7)
    assert not span.is_recording()
    with caplog.at_level(logging.WARNING):
        span.end(8)
        span.set_attribute("k", 1)
        span.set_attributes({"k": 1})
        span.add_event("e")
        span.add_link(SpanContext(1, 2, False))
        span.update_name("b")
        span.set_status(StatusCode.OK)
        span.record_exception(Broken())
    assert len(caplog.records) == 8
    assert caplog.messages[0] == "Calling end() on an ended span."
    (kept,) = memory.get_finished_spans()
    assert (kept.name, kept.end_time, kept.attributes, kept.events) == ("a", 7, {}, ())
    assert (span.name, span.end_time, dict(span.attributes)) == ("a", 7, {})


def test_a_span_may_end_in_another_thread(tracer: Any, memory: InMemorySpanExporter) -> None:
    """Spans belong to no thread."""
    span = tracer.start_span("a")
    thread = threading.Thread(target=span.end)
    thread.start()
    thread.join()
    assert [kept.name for kept in memory.get_finished_spans()] == ["a"]


def test_current_span_and_its_children(tracer: Any, memory: InMemorySpanExporter) -> None:
    """Current inside, not outside; baggage and other values stay."""
    token = attach(baggage.set_baggage("user", "7"))
    try:
        with tracer.start_as_current_span("a") as a:
            assert trace.get_current_span() is a
            assert baggage.get_baggage("user") == "7"
            with tracer.start_as_current_span("b", end_on_exit=False) as b:
                assert trace.get_current_span() is b
            assert trace.get_current_span() is a
        assert b.is_recording()
        b.end()
        assert trace.get_current_span() is trace.INVALID_SPAN
    finally:
        detach(token)
    kept_a, kept_b = memory.get_finished_spans()
    assert (kept_a.parent, kept_b.parent) == (None, kept_a.context)
    assert kept_b.start_time >= kept_a.start_time  # type: ignore[operator]


def test_decorators(tracer: Any, memory: InMemorySpanExporter) -> None:
    """A span for each call, of functions and of coroutine functions, around all they do."""

    @tracer.start_as_current_span("plain")  # type: ignore[untyped-decorator]
    def plain(number: int) -> tuple[int, str]:
        """Says its own name."""
        return number + 1, trace.get_current_span().name  # type: ignore[attr-defined]

    @tracer.start_as_current_span("waiting")  # type: ignore[untyped-decorator]
    async def waiting() -> str:
        await asyncio.sleep(0)
        return trace.get_current_span().name  # type: ignore[attr-defined,no-any-return]

    assert (plain(1), plain(2)) == ((2, "plain"), (3, "plain"))
    assert asyncio.run(waiting()) == "waiting"
    assert plain.__doc__ == "Says its own name."
    kept = memory.get_finished_spans()
    assert [span.name for span in kept] == ["plain", "plain", "waiting"]
    assert len({span.context.span_id for span in kept}) == 3


def test_a_span_starts_when_it_is_entered(tracer: Any, memory: InMemorySpanExporter) -> None:
    """Not when the context manager is made."""
    manager = tracer.start_as_current_span("a")
    with tracer.start_as_current_span("outer"), manager:
        pass
    inner, outer = memory.get_finished_spans()
    assert inner.parent == outer.context


def test_equal_scopes_share_a_tracer(make: Provider) -> None:
    """And different ones do not."""
    provider = make()
    assert provider.get_tracer("t", "1") is provider.get_tracer("t", "1")
    assert provider.get_tracer("t", "1", attributes={"a": 1}) is not provider.get_tracer("t", "1")
    assert provider.get_tracer("t") is not provider.get_tracer("t", "1")


def test_links_that_lead_nowhere_are_left_out(tracer: Any, memory: InMemorySpanExporter) -> None:
    """Unless they have attributes or a trace state."""
    nowhere = trace.INVALID_SPAN_CONTEXT
    stateful = SpanContext(0, 0, False, trace_state=TraceState([("a", "b")]))
    span = tracer.start_span("a", links=[Link(nowhere), Link(nowhere, {"k": 1}), Link(stateful)])
    span.add_link(nowhere)
    span.add_link(nowhere, {"k": 2})
    span.end()
    (kept,) = memory.get_finished_spans()
    assert [dict(link.attributes or {}) for link in kept.links] == [{"k": 1}, {}, {"k": 2}]
