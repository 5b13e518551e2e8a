"""`Tracer`: begins spans, by OpenTelemetry's API and by a shorter way for instruments of ours.

The short way takes times of `time.perf_counter_ns`; the wall clock is read once for each trace in a
process, and all its spans count from there, so that they never contradict each other (F-100).
"""

import functools
import warnings
from collections.abc import Mapping, Sequence
from time import perf_counter_ns, time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult
from opentelemetry.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState, get_current_span, set_span_in_context
from opentelemetry.util.types import Attributes

from otelc2c import guard
from otelc2c.context import current_span
from otelc2c.record import ids, wire
from otelc2c.record.current import CurrentSpan
from otelc2c.record.details import Details
from otelc2c.record.limits import AttributeSet
from otelc2c.record.pipeline import Pipeline
from otelc2c.record.ring import GIL
from otelc2c.record.shape import Shape
from otelc2c.record.span import Parent, Span, clock_now, new_span, parent_of

_pack = wire.pack_identity
_trace_ids, _span_ids = ids.traces, ids.spans
_MOST_NAMES = 256
"""Names of spans begun through the API that a tracer keeps encoded."""
_ID, _START, _END = wire.ID, wire.START, wire.END
_TRACE, _PARENT, _LOCAL, _REMOTE = wire.TRACE, wire.PARENT, wire.FLAGS_LOCAL, wire.FLAGS_REMOTE


class Tracer(trace.Tracer):
    """Begins spans of one instrumentation scope. Made by `TracerProvider.get_tracer`."""

    def __init__(self, pipeline: Pipeline, scope: InstrumentationScope, info: int) -> None:
        """`info` is the word under which the ring keeps spans of this scope."""
        self.pipeline = pipeline
        self.scope = scope
        self.info = info
        self._names: dict[tuple[str, SpanKind], Shape] = {}

    @functools.cached_property
    def instrumentation_info(self) -> InstrumentationInfo:
        """The scope as the SDK's deprecated class, which some exporters still read."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return InstrumentationInfo(self.scope.name, self.scope.version, self.scope.schema_url)

    # -- the short way ---------------------------------------------------------------------

    @property
    def attributes_at_start(self) -> bool:
        """Whether somebody looks at a span when it begins: a sampler or a processor that is not ours.

        `open` then wants a name and attributes; otherwise they need not be made.
        """
        return not self.pipeline.ours

    def shape(
        self, name: str, kind: SpanKind, attributes: Mapping[str, Any], error: str | None = None
    ) -> Shape:
        """Encode what spans have in common. Keep the shape: making one costs as much as a span.

        `error` gives the status "error", with this description unless it is empty; a status that
        the application sets stays.
        """
        limits = self.pipeline.limits
        kept = AttributeSet(limits.max_span_attributes, limits.max_span_attribute_length)
        kept.put_all(attributes)
        return Shape(name, kind, kept, error, self.info, limits)

    def open(
        self,
        parent: "trace.Span | SpanContext | Parent | None",
        start_ns: int,
        name: str = "",
        attributes: Attributes = None,
        kind: SpanKind = SpanKind.SERVER,
    ) -> Span:
        """Begin the first span of a request, at `start_ns` of `time.perf_counter_ns`.

        Its shape is given when it is closed. `parent` comes from the caller's headers, cheapest as
        a `Parent`. Name and attributes are for samplers and processors (`attributes_at_start`).
        """
        pipeline = self.pipeline
        inline = pipeline.inline
        clock = time_ns() - perf_counter_ns()
        if inline is None or not pipeline.ours or (parent is not None and type(parent) is not Parent):
            if type(parent) is Span:
                clock = parent.clock
            context = self._context_below(parent)
            return self._begin(parent, clock, start_ns + clock, name, kind, attributes or {}, (), context)
        if parent is None:
            try:
                trace_id = _trace_ids.pop()
            except IndexError:
                trace_id = ids.new_trace_id()
            sampled = inline.root(trace_id) if inline.always is None else inline.always
            flags, state = 2 | sampled, None
            recording = sampled and pipeline.put is not None
            head = _TRACE + trace_id + _LOCAL if recording else b""
        else:
            trace_id, parent_id, flags, state, remote = parent
            sampled = flags & 1 == 1 if inline.parent_based else inline.root(trace_id)
            flags = flags & 2 | sampled
            recording = sampled and pipeline.put is not None
            head = _TRACE + trace_id + _PARENT + parent_id + (_REMOTE if remote else _LOCAL)
            if state:
                head += wire.field(b"\x1a", wire.text(state.to_header()))
        try:
            span_id = _span_ids.pop()
        except IndexError:
            span_id = ids.new_span_id()
        span = new_span(
            self, pipeline, trace_id, span_id, parent, head, flags, state, recording, clock, start_ns + clock
        )
        if recording and GIL:
            span.wait_for_end()
        return span

    def child(self, parent: trace.Span, start_ns: int, shape: Shape) -> Span:
        """Begin a span below `parent`, at `start_ns` of `time.perf_counter_ns`; it may become current."""
        pipeline = self.pipeline
        if type(parent) is Span and parent.pipeline is pipeline and pipeline.ours:
            # What `new_span` does, without its fourteen arguments: views and renderings begin here.
            span = Span()
            try:
                span.span_id = _span_ids.pop()
            except IndexError:
                span.span_id = ids.new_span_id()
            span.tracer = self
            span.pipeline = pipeline
            span.trace_id = parent.trace_id
            span.origin = parent.span_id
            recording = span.recording = parent.recording
            span.head = (parent.child_head or parent.head_of_children()) if recording else b""
            span.flags = parent.flags
            span.state = parent.state
            clock = span.clock = parent.clock
            span.started_ns = start_ns + clock
            span.shape = shape
            span.root = parent.root or parent
            span.ended_ns = 0
            span.child_head = b""
            span.details = None
            return span
        clock = parent.clock if type(parent) is Span else clock_now()
        return self._begin_shaped(parent, clock, start_ns, shape, b"")

    def leaf(self, parent: trace.Span, shape: Shape, start_ns: int, end_ns: int, extra: bytes = b"") -> bytes:
        """Write a span below `parent` that has ended already and was never current; its id.

        Times are those of `time.perf_counter_ns`; `extra` are further attributes, encoded with
        `wire.Key` or `wire.attribute`. Never raises.
        """
        try:
            pipeline = self.pipeline
            if type(parent) is Span and parent.pipeline is pipeline and pipeline.ours:
                if not parent.recording:
                    return parent.span_id
                if len(extra) <= shape.room:
                    clock = parent.clock
                    try:
                        span_id = _span_ids.pop()
                    except IndexError:
                        span_id = ids.new_span_id()
                    identity = _pack(_ID, span_id, _START, start_ns + clock, _END, end_ns + clock)
                    head = parent.child_head or parent.head_of_children()
                    (parent.root or parent).write_below(
                        shape.info, end_ns + clock, head, identity, shape.body, extra
                    )
                    return span_id
            clock = parent.clock if type(parent) is Span else clock_now()
            span = self._begin_shaped(parent, clock, start_ns, shape, extra)
            span.close(end_ns)
            return span.span_id
        except Exception as error:
            guard.swallowed("span", error)
            return bytes(8)

    # -- the long way: anything foreign, and OpenTelemetry's API ---------------------------

    def _begin_shaped(
        self, parent: trace.Span, clock: int, start_ns: int, shape: Shape, extra: bytes
    ) -> Span:
        attributes = {**shape.attributes, **wire.read_attributes(extra)}
        context = self._context_below(parent)
        return self._begin(
            parent,
            clock,
            start_ns + clock,
            shape.name,
            shape.kind,
            attributes,
            (),
            context,
            shape,
            self._root_of(parent),
        )

    def _root_of(self, above: object) -> Span | None:
        """The first span of this process' part of the trace, as a child of `above` keeps it."""
        if type(above) is Span and above.pipeline is self.pipeline:
            return above.root or above
        return None

    def _begin(
        self,
        above: "trace.Span | SpanContext | Parent | None",
        clock: int,
        started_ns: int,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any],
        links: Sequence[Link],
        context: Context | None,
        shape: Shape | None = None,
        root: Span | None = None,
    ) -> Span:
        """Begin a span with everything that samplers, id generators and processors are promised."""
        pipeline = self.pipeline
        parent = parent_of(above)
        trace_id = pipeline.new_trace_id() if parent is None else parent.trace_id
        sampled, recording, state, attributes = self._decide(
            parent, context, trace_id, name, kind, attributes, links
        )
        random = pipeline.random_flag() if parent is None else parent.flags & 2
        recording = recording and pipeline.records
        head = self._head(trace_id, parent, state) if recording else b""
        span = new_span(
            self,
            pipeline,
            trace_id,
            pipeline.new_span_id(),
            parent,
            head,
            random | sampled,
            state,
            recording,
            clock,
            started_ns,
            shape,
            root,
        )
        if recording:
            details = span.details = Details(pipeline.limits, name, kind)
            details.fill(attributes if shape is None else _beyond(shape, attributes), links)
            pipeline.on_start(span, context)
        return span

    def _context_below(self, above: "trace.Span | SpanContext | Parent | None") -> Context | None:
        """The context as `start_span` would get it; None where nobody will look at it."""
        if self.pipeline.ours:
            return None
        if not isinstance(above, trace.Span):
            parent = parent_of(above)
            above = trace.INVALID_SPAN if parent is None else trace.NonRecordingSpan(parent.context())
        return set_span_in_context(above)

    @staticmethod
    def _head(trace_id: bytes, parent: Parent | None, state: TraceState | None) -> bytes:
        header = state.to_header() if state else ""
        if parent is None:
            return wire.span_head(trace_id, b"", False, header)
        return wire.span_head(trace_id, parent.span_id, parent.remote, header)

    def _decide(
        self,
        parent: Parent | None,
        context: Context | None,
        trace_id: bytes,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any],
        links: Sequence[Link],
    ) -> tuple[bool, bool, TraceState | None, Mapping[str, Any]]:
        """Whether the span is sampled and recorded, its trace state and its attributes."""
        inline = self.pipeline.inline
        if inline is not None:
            follows = parent is not None and inline.parent_based
            sampled = parent.flags & 1 == 1 if follows and parent else inline.root(trace_id)
            return sampled, sampled, parent.state if parent else None, attributes
        result: SamplingResult = self.pipeline.sampler_object().should_sample(
            context, int.from_bytes(trace_id, "big"), name, kind, attributes, links
        )
        sampled = result.decision is Decision.RECORD_AND_SAMPLE
        recording = sampled or result.decision is Decision.RECORD_ONLY
        return sampled, recording, result.trace_state, result.attributes or {}

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        """Begin a span as OpenTelemetry's API says; `start_time` is in Unix nanoseconds.

        Where no context is given and the first span of the current one's trace in this process has
        ended, as in a thread that goes on behind its request, a new trace begins with a link to it.
        Never raises: where a span cannot be made, what is returned records nothing and keeps the
        parent's context, so that what begins below it goes to the span above.
        """
        try:
            above = current_span() if context is None else get_current_span(context)
            if context is None and type(above) is Span and (above.root or above).ended_ns:
                # Left behind by a request that is over, in a thread or a task: a trace of its own.
                links = (*(links or ()), Link(above.get_span_context()))
                above = trace.INVALID_SPAN
                context = set_span_in_context(above)
            if self.pipeline.ours:
                light = self._start_light(above, name, kind)
                if light is not None:
                    if start_time is not None:
                        light.started_ns = start_time
                    if light.recording and (
                        attributes or links or not (record_exception and set_status_on_exception)
                    ):
                        details = light.with_details()
                        details.fill(attributes or {}, links or ())
                        details.on_exception = (record_exception, set_status_on_exception)
                    return light
            clock = above.clock if type(above) is Span else clock_now()
            started_ns = perf_counter_ns() + clock if start_time is None else start_time
            span = self._begin(
                above,
                clock,
                started_ns,
                name,
                kind,
                attributes or {},
                links or (),
                context,
                root=self._root_of(above),
            )
            if span.details is not None:
                span.details.on_exception = (record_exception, set_status_on_exception)
            return span
        except Exception as error:
            guard.swallowed("span", error)
            return _instead(context)

    def _start_light(self, above: trace.Span, name: str, kind: SpanKind) -> Span | None:
        """Begin a root, or a span below one of ours, now; None where that is not what is asked for.

        Its name and kind are a shape of their own. As names are the caller's choice, only a number
        of them is kept.
        """
        known = self._names.get((name, kind)) if type(name) is str else None
        if known is None:
            if type(name) is not str or len(self._names) >= _MOST_NAMES:
                return None
            known = self._names[name, kind] = self.shape(name, kind, {})
        if type(above) is Span:
            return self.child(above, perf_counter_ns(), known)
        if above is not trace.INVALID_SPAN:
            return None
        span = self.open(None, perf_counter_ns())
        # An application's root may stay open for hours, or for ever: nothing waits for its end.
        span.until_ns = 0
        span.shape = known
        return span

    def start_as_current_span(  # type: ignore[override] # the API returns a private class
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> CurrentSpan:
        """A context manager and decorator that begins a span, makes it current, and ends it."""

        def begin() -> trace.Span:
            return self.start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )

        return CurrentSpan(begin, record_exception, set_status_on_exception, end_on_exit)


def _instead(context: Context | None) -> trace.Span:
    """What an application gets for a span that could not be made."""
    try:
        return trace.NonRecordingSpan(get_current_span(context).get_span_context())
    except Exception:
        return trace.INVALID_SPAN


def _beyond(shape: Shape, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes that the shape does not have, or has otherwise."""
    constant = {key: (type(value), value) for key, value in shape.attributes.items()}
    return {key: value for key, value in attributes.items() if constant.get(key) != (type(value), value)}
