"""The short way: open, child, leaf; what is written, when, and below what."""

import logging
import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otelc2c import guard
from otelc2c.context import activate, deactivate
from otelc2c.record import wire
from otelc2c.record.layout import RECORD_SPAN
from otelc2c.record.points import Scope
from otelc2c.record.provider import TracerProvider
from otelc2c.record.ring import record_info
from otelc2c.record.ring_reader import items_of, scope_of
from otelc2c.record.samplers import Inline
from otelc2c.record.span import TOGETHER_NS, Parent, Span
from otelc2c.record.tracer import Tracer
from tests.record.spans import ListSink

now = time.perf_counter_ns
CALLER = Parent(b"\x01" * 16, b"\x02" * 8)
ALWAYS, NEVER = Inline(1 << 64, False), Inline(0, False)
FOLLOWS, FOLLOWS_OR_NOT = Inline(1 << 64, True), Inline(0, True)


class Watcher(SpanProcessor):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.parents: list[Any] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.started.append((span.name, span.kind, dict(span.attributes)))
        self.parents.append(trace.get_current_span(parent_context))

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


@pytest.fixture
def sink() -> ListSink:
    """Where spans go."""
    return ListSink()


def tracer_of(sink: ListSink | None, *processors: SpanProcessor, **arguments: Any) -> Tracer:
    """A tracer of a provider with these parts."""
    provider = TracerProvider(sink, shutdown_on_exit=False, **arguments)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider.get_tracer("shop", "1.0")


def request(tracer: Tracer, parent: Any = CALLER) -> Span:
    """A request with a view and a query, all finished; the server span."""
    server = tracer.open(parent, now(), "GET", {"url.path": "/a"})
    token = activate(server)
    view = tracer.child(server, now(), tracer.shape("view", SpanKind.INTERNAL, {"v": 1}))
    tracer.leaf(view, tracer.shape("query", SpanKind.CLIENT, {"q": 1}), now(), now(), wire.attribute("x", 2))
    view.close(now())
    deactivate(token)
    server.close(now(), tracer.shape("GET /{a}", SpanKind.SERVER, {"s": 1}), wire.attribute("url.path", "/a"))
    return server


@pytest.mark.parametrize("watched", [False, True])
def test_a_request_is_one_trace(sink: ListSink, watched: bool) -> None:
    """Right parents, kinds, names and attributes, by the short way and with a processor watching."""
    watcher = Watcher()
    tracer = tracer_of(sink, *[watcher] * watched)
    server = request(tracer)
    query, view, root = sink.spans
    assert [span.name for span in sink.spans] == ["query", "view", "GET /{a}"]
    assert {span.trace_id for span in sink.spans} == {CALLER.trace_id}
    assert root.parent_span_id == CALLER.span_id
    assert (view.parent_span_id, query.parent_span_id) == (root.span_id, view.span_id)
    assert root.span_id == server.span_id
    assert [span.flags for span in (root, view, query)] == [0x300, 0x100, 0x100]
    assert [span.kind for span in (root, view, query)] == [2, 1, 3]
    assert [sink.attributes(number) for number in range(3)] == [
        {"q": 1, "x": 2},
        {"v": 1},
        {"s": 1, "url.path": "/a"},
    ]
    together = [record_info(RECORD_SPAN, 1, 3)]
    assert [info for info, _ in sink.records] == ([record_info(RECORD_SPAN, 1)] * 3 if watched else together)
    assert sink.scopes == [Scope("shop", "1.0")]


def test_processors_see_every_kind_of_span(sink: ListSink) -> None:
    """Server spans, children and leaves; `on_end` gets the SDK's own class."""
    watcher = Watcher()
    request(tracer_of(sink, watcher))
    assert watcher.started == [
        ("GET", SpanKind.SERVER, {"url.path": "/a"}),
        ("view", SpanKind.INTERNAL, {"v": 1}),
        ("query", SpanKind.CLIENT, {"q": 1, "x": 2}),
    ]
    assert [type(span) for span in watcher.ended] == [ReadableSpan] * 3
    assert [(span.name, dict(span.attributes or {})) for span in watcher.ended] == [
        ("query", {"q": 1, "x": 2}),
        ("view", {"v": 1}),
        ("GET /{a}", {"s": 1, "url.path": "/a"}),
    ]
    assert [parent.get_span_context().span_id for parent in watcher.parents] == [
        int.from_bytes(CALLER.span_id, "big"),
        watcher.ended[2].context.span_id,
        watcher.ended[1].context.span_id,
    ]


def test_times_of_a_trace_count_from_one_wall_clock(sink: ListSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that jumps while a request runs moves no span of it (F-100)."""
    tracer = tracer_of(sink)
    shape = tracer.shape("s", SpanKind.INTERNAL, {})
    server = tracer.open(None, 1000)
    assert abs(server.started_ns - (time.time_ns() - now() + 1000)) < 10**9
    monkeypatch.setattr("otelc2c.record.span.time_ns", lambda: 5)
    monkeypatch.setattr("otelc2c.record.tracer.time_ns", lambda: 5)
    child = tracer.child(server, 2000, shape)
    tracer.leaf(child, shape, 3000, 4000)
    api = tracer.start_span("api", set_span_in_context(child))
    assert api.started_ns > server.started_ns
    child.close(5000)
    server.close(6000, shape)
    times = [
        (span.start_time_unix_nano - server.started_ns, span.end_time_unix_nano - server.started_ns)
        for span in sink.spans
    ]
    assert times == [(2000, 3000), (1000, 4000), (0, 5000)]


@pytest.mark.parametrize(
    ("sampler", "flags", "expected"),
    [
        (FOLLOWS, 1, True),
        (FOLLOWS, 0, False),
        (FOLLOWS_OR_NOT, 1, True),
        (ALWAYS, 0, True),
        (NEVER, 1, False),
        (FOLLOWS, None, True),
        (FOLLOWS_OR_NOT, None, False),
    ],
)
def test_a_whole_request_is_sampled_or_not(
    sink: ListSink, sampler: Inline, flags: int | None, expected: bool
) -> None:
    """What is not sampled has ids to pass on and is not written."""
    server = request(
        tracer_of(sink, sampler=sampler), None if flags is None else CALLER._replace(flags=flags)
    )
    assert (server.sampled, server.recording) == (expected, expected)
    assert len(sink.spans) == 3 * expected
    assert server.get_span_context().trace_flags.sampled is expected
    assert server.get_span_context().is_valid


def test_without_a_sink_nothing_is_recorded() -> None:
    """But ids exist, and the flag is passed on."""
    server = tracer_of(None).open(None, now())
    assert not server.is_recording()
    assert server.sampled
    assert server.get_span_context().is_valid
    server.set_attribute("k", 1)
    server.end()
    server.end()
    assert server.details is None


@pytest.mark.parametrize("foreign", [False, True])
def test_trace_state_is_kept(sink: ListSink, foreign: bool) -> None:
    """From the caller to every span and every call onwards."""
    state = TraceState([("v", "1"), ("w", "2")])
    parent: Any = CALLER._replace(state=state)
    server = request(tracer_of(sink), parent.context() if foreign else parent)
    assert {span.trace_state for span in sink.spans} == {"v=1,w=2"}
    assert server.get_span_context().trace_state == state


@pytest.mark.parametrize(
    "parent",
    [CALLER, CALLER.context(), NonRecordingSpan(CALLER.context())],
    ids=["Parent", "SpanContext", "Span"],
)
def test_every_kind_of_parent_is_taken(sink: ListSink, parent: Any) -> None:
    """A caller as bytes, as OpenTelemetry's context, as a span that records nothing."""
    server = request(tracer_of(sink), parent)
    assert sink.spans[2].parent_span_id == CALLER.span_id
    assert server.parent == CALLER.context()


def test_a_span_of_ours_is_a_local_parent(sink: ListSink) -> None:
    """A request within a request: one trace, not remote."""
    tracer = tracer_of(sink)
    outer = tracer.open(None, now())
    inner = tracer.open(outer, now())
    assert (inner.trace_id, inner.clock) == (outer.trace_id, outer.clock)
    assert inner.parent == outer.get_span_context()
    inner.close(now(), tracer.shape("inner", SpanKind.SERVER, {}))
    assert sink.spans[0].flags == 0x100


@pytest.mark.parametrize("parent", [None, trace.INVALID_SPAN, trace.INVALID_SPAN_CONTEXT])
def test_an_invalid_parent_is_none(sink: ListSink, parent: Any) -> None:
    """The span is a root with random ids, and says so."""
    server = tracer_of(sink).open(parent, now())
    assert server.parent is None
    assert server.flags == 3


def test_children_below_a_span_that_is_not_ours(sink: ListSink) -> None:
    """An application may make any span current."""
    tracer = tracer_of(sink)
    above = NonRecordingSpan(SpanContext(7, 8, False, TraceFlags(1)))
    shape = tracer.shape("s", SpanKind.INTERNAL, {})
    tracer.child(above, now(), shape).close(now())
    tracer.leaf(above, shape, now(), now())
    tracer.leaf(trace.INVALID_SPAN, shape, now(), now())
    assert [int.from_bytes(span.parent_span_id, "big") for span in sink.spans] == [8, 8, 0]


class Rule(Sampler):
    """Samples everything, with an attribute that says why."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, dict[str, Any]]] = []

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        _, _, name, kind, attributes, _ = args
        self.asked.append((name, kind, dict(attributes)))
        return SamplingResult(Decision.RECORD_AND_SAMPLE, {**attributes, "rule": "all"})

    def get_description(self) -> str:
        return "Rule"


def test_a_foreign_sampler_is_asked_for_every_span(sink: ListSink) -> None:
    """Also for children and leaves of ours, with their attributes; its own are added (hot-path 4)."""
    rule = Rule()
    tracer = tracer_of(sink, sampler=rule)
    assert tracer.attributes_at_start
    request(tracer)
    assert rule.asked == [
        ("GET", SpanKind.SERVER, {"url.path": "/a"}),
        ("view", SpanKind.INTERNAL, {"v": 1}),
        ("query", SpanKind.CLIENT, {"q": 1, "x": 2}),
    ]
    assert [sink.attributes(number) for number in range(3)] == [
        {"q": 1, "x": 2, "rule": "all"},
        {"v": 1, "rule": "all"},
        {"s": 1, "url.path": "/a", "rule": "all"},
    ]


def test_what_the_application_sets_stays(sink: ListSink) -> None:
    """Its attributes win over those of the shape and over further ones, and its name over the shape's."""
    tracer = tracer_of(sink)
    shape = tracer.shape("GET /", SpanKind.SERVER, {"a": 1, "b": 1, "c": 1}, error="")
    server = tracer.open(None, now())
    server.set_attributes({"b": "mine", "d": "mine"})
    server.set_attribute("x", "mine")
    server.update_name("mine")
    server.set_status(StatusCode.OK)
    server.close(now(), shape, wire.attribute("x", 1) + wire.attribute("y", 1))
    assert sink.attributes() == {"a": 1, "c": 1, "y": 1, "b": "mine", "d": "mine", "x": "mine"}
    assert (sink.spans[0].name, sink.spans[0].status.code) == ("mine", StatusCode.OK.value)
    assert sink.spans[0].kind == 2


def test_what_the_application_adds_stands_behind_the_shape(sink: ListSink) -> None:
    """Attributes of its own, events and links need no look at what the shape says."""
    tracer = tracer_of(sink)
    shape = tracer.shape("GET /", SpanKind.SERVER, {"a": 1}, error="bad")
    server = tracer.open(None, now())
    server.set_attribute("mine", 1)
    server.record_exception(ValueError("x"))
    server.add_link(CALLER.context(), {"l": 1})
    server.close(now(), shape, wire.attribute("x", 1))
    assert sink.attributes() == {"a": 1, "x": 1, "mine": 1}
    (span,) = sink.spans
    assert (span.name, span.status.message) == ("GET /", "bad")
    assert [event.name for event in span.events] == ["exception"]
    assert [link.span_id for link in span.links] == [CALLER.span_id]
    assert dict(server.attributes) == {"a": 1, "mine": 1}


@pytest.mark.parametrize(("error", "code", "message"), [(None, 0, ""), ("", 2, ""), ("bad", 2, "bad")])
@pytest.mark.parametrize("touched", [False, True])
def test_a_shape_has_a_status(
    sink: ListSink, error: str | None, code: int, message: str, touched: bool
) -> None:
    """With or without a description; kept where the application set none."""
    tracer = tracer_of(sink)
    server = tracer.open(None, now())
    if touched:
        server.set_attribute("k", 1)
    server.close(now(), tracer.shape("GET /", SpanKind.SERVER, {}, error))
    assert (sink.spans[0].status.code, sink.spans[0].status.message) == (code, message)


@pytest.mark.parametrize("way", ["server", "leaf"])
def test_limits_hold_for_light_spans(sink: ListSink, way: str) -> None:
    """Counts, lengths and dropped counts (hot-path 4)."""
    limits = SpanLimits(max_span_attributes=3, max_span_attribute_length=4)
    tracer = tracer_of(sink, span_limits=limits)
    shape = tracer.shape("s", SpanKind.SERVER, {"a": "abcdef", "b": 1, "c": 2, "d": 3})
    extra = wire.attribute("e", "abcdef")
    server = tracer.open(None, now())
    if way == "leaf":
        tracer.leaf(server, shape, now(), now(), extra)
    server.close(now(), shape, extra)
    assert sink.attributes(0) == {"c": 2, "d": 3, "e": "abcd"}
    assert sink.spans[0].dropped_attributes_count == 2


def test_many_further_attributes_meet_the_default_limit(sink: ListSink) -> None:
    """128 of them, the oldest dropped."""
    tracer = tracer_of(sink)
    extra = b"".join(wire.attribute(f"k{number}", number) for number in range(130))
    root = tracer.open(None, now())
    tracer.leaf(root, tracer.shape("s", SpanKind.CLIENT, {"a": 1}), now(), now(), extra)
    root.close(now(), tracer.shape("GET", SpanKind.SERVER, {}))
    assert len(sink.attributes(0)) == 128
    assert sink.spans[0].dropped_attributes_count == 3


def test_what_the_ring_raises_never_reaches_the_application(sink: ListSink) -> None:
    """One guard around everything an end does (hot-path 4)."""

    def broken(info: int, payload: bytes) -> bool:
        raise OSError("no memory")

    sink.put = broken  # type: ignore[method-assign]
    tracer = tracer_of(sink)
    guard.strict(False)
    request(tracer)
    with tracer.start_as_current_span("api"):
        pass
    # The request's three spans leave together.
    assert guard.counts() == {"span": 2}


@pytest.mark.parametrize("context", [None, set_span_in_context(NonRecordingSpan(CALLER.context()))])
@pytest.mark.parametrize("current", [False, True])
@pytest.mark.parametrize("broken", ["_start_light", "_begin"])
def test_a_span_that_cannot_be_made_keeps_the_parents_context(
    sink: ListSink, monkeypatch: pytest.MonkeyPatch, broken: str, current: bool, context: Any
) -> None:
    """Hot-path 4: the application goes on, and what it begins below belongs to the span above."""

    def fails(*_args: Any, **_named: Any) -> Any:
        raise RuntimeError("a failure of ours")

    guard.strict(False)
    monkeypatch.setattr(guard, "say", lambda _text: True)
    # A processor makes every span take the long way.
    tracer = tracer_of(sink, *[Watcher()] * (broken == "_begin"))
    above = tracer.start_span("above")
    token = activate(above)
    with monkeypatch.context() as changed:
        changed.setattr(tracer, broken, fails)
        lost = tracer.start_span("lost", context)
        if current:
            with tracer.start_as_current_span("lost", context) as lost:
                changed.undo()
                tracer.start_span("below").end()
        lost.set_attribute("a", 1)
        lost.end()
    deactivate(token)
    above.end()
    given = CALLER.context() if context else above.get_span_context()
    assert not lost.is_recording()
    assert lost.get_span_context() == given
    assert guard.counts() == {"span": 1 + current}
    assert [span.name for span in sink.spans] == ["below"] * current + ["above"]
    if current:
        assert sink.spans[0].parent_span_id == given.span_id.to_bytes(8, "big")
        assert sink.spans[0].trace_id == given.trace_id.to_bytes(16, "big")


def test_a_span_below_a_context_that_cannot_be_read_is_none(sink: ListSink) -> None:
    """Whatever is given for a context."""
    guard.strict(False)
    context: Any = "no context"
    assert tracer_of(sink).start_span("lost", context) is trace.INVALID_SPAN
    assert guard.counts() == {"span": 1}


def test_get_tracer_without_a_name_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """As by the SDK."""
    with caplog.at_level(logging.ERROR):
        TracerProvider(shutdown_on_exit=False).get_tracer("")
    assert "missing module name" in caplog.text


def test_names_of_the_application_are_kept_within_bounds(sink: ListSink) -> None:
    """A name made from a path or an id costs what it costs, and fills nothing (hot-path 4)."""
    tracer = tracer_of(sink)
    for number in range(300):
        with tracer.start_as_current_span(f"s{number}"):
            tracer.start_span("child", attributes={"k": number}, links=[trace.Link(CALLER.context())]).end()
    assert len(tracer._names) == 256
    assert sink.names[-2:] == ["child", "s299"]
    assert sink.spans[-2].parent_span_id == sink.spans[-1].span_id
    assert sink.attributes(-2) == {"k": 299}
    assert len(sink.spans[-2].links) == 1


def test_a_start_time_of_the_application_is_kept(sink: ListSink) -> None:
    """In Unix nanoseconds, for a root and below a span."""
    tracer = tracer_of(sink)
    with tracer.start_as_current_span("root", start_time=7):
        tracer.start_span("child", start_time=8).end(9)
    assert [(span.start_time_unix_nano, span.name) for span in sink.spans] == [(8, "child"), (7, "root")]
    assert sink.spans[0].end_time_unix_nano == 9


def test_odd_names_are_no_reason_to_fail(sink: ListSink) -> None:
    """One with a lone surrogate, one that is empty, one that changes."""
    tracer = tracer_of(sink)
    for name in ("\ud800", ""):
        tracer.start_span(name).end()
    assert sink.names == ["\\ud800", ""]
    span = tracer.start_span("s")
    span.update_name("later")
    span.end()
    assert sink.names[-1] == "later"


def ended(sink: ListSink) -> list[list[str]]:
    """Names of the spans of each record."""
    return [[span.name for span in ScopeSpans.FromString(payload).spans] for _, payload in sink.records]


def test_what_ends_late_in_a_request_leaves_at_once_with_what_waited(sink: ListSink) -> None:
    """D4: a request that hangs and is killed has its spans sent up to then."""
    tracer = tracer_of(sink)
    shape = tracer.shape("part", SpanKind.INTERNAL, {})
    server = tracer.open(None, 0)
    tracer.leaf(server, shape, 1, TOGETHER_NS - 1)
    assert ended(sink) == []
    tracer.leaf(server, shape, 1, TOGETHER_NS + 1)
    assert ended(sink) == [["part"], ["part"]]
    tracer.child(server, 2, shape).close(TOGETHER_NS + 2)
    server.close(TOGETHER_NS + 3, tracer.shape("GET /", SpanKind.SERVER, {}))
    assert ended(sink)[2:] == [["part"], ["GET /"]]


def test_what_ends_after_its_request_is_not_lost(sink: ListSink) -> None:
    tracer = tracer_of(sink)
    shape = tracer.shape("late", SpanKind.INTERNAL, {})
    server = tracer.open(None, 0)
    late = tracer.child(server, 1, shape)
    server.close(3, tracer.shape("GET /", SpanKind.SERVER, {}))
    late.close(4)
    tracer.leaf(server, shape, 1, 5)
    assert ended(sink) == [["GET /"], ["late"], ["late"]]


def test_many_spans_of_a_request_leave_in_several_records(sink: ListSink) -> None:
    tracer = tracer_of(sink)
    shape = tracer.shape("part", SpanKind.INTERNAL, {})
    server = tracer.open(None, 0)
    for _ in range(40):
        tracer.leaf(server, shape, 1, 2)
    server.close(3, tracer.shape("GET /", SpanKind.SERVER, {}))
    counts = [len(names) for names in ended(sink)]
    assert sum(counts) == 41
    assert max(counts) == 16
    assert [items_of(info >> 32) for info, _ in sink.records] == counts


def test_a_large_span_leaves_alone(sink: ListSink) -> None:
    """One that finds no room must not take others with it."""
    tracer = tracer_of(sink)
    shape = tracer.shape("part", SpanKind.INTERNAL, {})
    large = tracer.shape("large", SpanKind.INTERNAL, {"text": "x" * 5000})
    server = tracer.open(None, 0)
    tracer.leaf(server, shape, 1, 2)
    tracer.leaf(server, large, 1, 2)
    tracer.leaf(server, shape, 1, 2)
    server.close(3, large)
    assert ended(sink) == [["part"], ["large"], ["part"], ["large"]]


def test_spans_of_another_scope_do_not_join_the_request(sink: ListSink) -> None:
    """A record belongs to one scope."""
    provider = TracerProvider(sink, shutdown_on_exit=False)
    mine, other = provider.get_tracer("mine"), provider.get_tracer("other")
    server = mine.open(None, 0)
    other.child(server, 1, other.shape("child", SpanKind.INTERNAL, {})).close(2)
    other.leaf(server, other.shape("leaf", SpanKind.INTERNAL, {}), 1, 2)
    server.close(3, mine.shape("GET /", SpanKind.SERVER, {}))
    assert [
        (scope_of(info >> 32), names) for (info, _), names in zip(sink.records, ended(sink), strict=True)
    ] == [
        (2, ["child"]),
        (2, ["leaf"]),
        (1, ["GET /"]),
    ]


def test_nothing_waits_for_the_end_of_an_applications_root(sink: ListSink) -> None:
    """A root of the application's may stay open for ever."""
    tracer = tracer_of(sink)
    with tracer.start_as_current_span("root"):
        with tracer.start_as_current_span("child"):
            pass
        assert ended(sink) == [["child"]]


def test_a_flush_writes_what_waits_in_the_current_request(sink: ListSink) -> None:
    """Must hold 7: a flush speaks of every span that has ended."""
    provider = TracerProvider(sink, shutdown_on_exit=False)
    tracer = provider.get_tracer("t")
    server = tracer.open(None, 0)
    token = activate(server)
    tracer.leaf(server, tracer.shape("part", SpanKind.INTERNAL, {}), 1, 2)
    assert ended(sink) == []
    provider.force_flush()
    deactivate(token)
    assert ended(sink) == [["part"]]


def test_few_spans_wait_however_many_end_early(sink: ListSink) -> None:
    """What waits is in the worker's memory, and must stay small."""
    tracer = tracer_of(sink)
    shape = tracer.shape("part", SpanKind.INTERNAL, {})
    server = tracer.open(None, 0)
    for _ in range(10_000):
        tracer.leaf(server, shape, 1, 2)
        assert len(server.waiting) < 16 * 5


@pytest.mark.parametrize("watched", [False, True])
def test_what_begins_in_a_context_whose_request_is_over_is_a_trace_of_its_own(
    sink: ListSink, watched: bool
) -> None:
    """Linked to the span that was left behind there; samplers and processors see a root."""
    watcher = Watcher()
    tracer = tracer_of(sink, *([watcher] if watched else []))
    request = tracer.open(CALLER, now())
    inner = tracer.child(request, now(), tracer.shape("inner", SpanKind.INTERNAL, {}))
    token = activate(inner)
    inner.end()
    tracer.start_span("still below").end()
    request.close(now(), tracer.shape("request", SpanKind.SERVER, {}))
    tracer.start_span("alone", links=[trace.Link(CALLER.context())]).end()
    tracer.start_span("asked for", set_span_in_context(inner)).end()
    deactivate(token)
    spans = {span.name: span for span in sink.spans}
    for name in ("still below", "asked for"):
        assert spans[name].parent_span_id == inner.span_id
        assert not spans[name].links
    alone = spans["alone"]
    assert (alone.parent_span_id, alone.trace_id != request.trace_id) == (b"", True)
    assert [link.span_id for link in alone.links] == [CALLER.span_id, inner.span_id]
    if watched:
        assert watcher.parents[-2] is trace.INVALID_SPAN


def test_a_root_behind_a_request_is_sampled_for_itself(sink: ListSink) -> None:
    """It is no part of the trace that the caller decided on."""
    tracer = tracer_of(sink, sampler=FOLLOWS)
    request = tracer.open(CALLER._replace(flags=0), now())
    token = activate(request)
    request.end()
    tracer.start_span("alone").end()
    deactivate(token)
    (alone,) = sink.spans
    assert [link.trace_id for link in alone.links] == [CALLER.trace_id]
