"""A span as light as it can be, with the whole of OpenTelemetry's API.

Ids are bytes, the constant part is a shape, and what an application adds is kept in `details`,
which most spans never get. When the span ends it is encoded at once and handed to the ring.
"""

import logging
import traceback
from collections.abc import Mapping
from time import perf_counter_ns, time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import AnyValue, Attributes

from otelc2c import guard
from otelc2c.record import wire
from otelc2c.record.details import Details
from otelc2c.record.encoding import span_rest
from otelc2c.record.layout import INFO_ITEMS_SHIFT
from otelc2c.record.pipeline import Pipeline
from otelc2c.record.readable import LooksReadable
from otelc2c.record.shape import Shape
from otelc2c.record.wire import ITEM_HEADS, USUAL, item

if TYPE_CHECKING:
    from otelc2c.record.tracer import Tracer

_logger = logging.getLogger(__name__)

_pack = wire.pack_identity
_ID, _START, _END = wire.ID, wire.START, wire.END
_TRACE, _LOCAL, _PARENT = wire.TRACE, wire.FLAGS_LOCAL, wire.PARENT

TOGETHER_NS: Final = 20_000_000
MOST_TOGETHER: Final = 16
"""Spans of one record."""
_PARTS: Final = 5
"""Of one span that waits: length, head, identity, body, further attributes. They are joined once."""
_MOST_PARTS: Final = MOST_TOGETHER * _PARTS
_NONE: Final[list[bytes]] = []


class Parent(NamedTuple):
    """A span's parent where it is no span of ours: by default one in another process."""

    trace_id: bytes
    span_id: bytes
    flags: int = 1
    state: TraceState | None = None
    remote: bool = True

    def context(self) -> SpanContext:
        """The same as OpenTelemetry's `SpanContext`."""
        return SpanContext(
            int.from_bytes(self.trace_id, "big"),
            int.from_bytes(self.span_id, "big"),
            self.remote,
            TraceFlags(self.flags),
            self.state,
        )


def parent_of(value: "trace.Span | SpanContext | Parent | None") -> Parent | None:
    """The parent that a span, a context or nothing stands for; None where it is not valid."""
    if value is None or type(value) is Parent:
        return value
    if type(value) is Span:
        return Parent(value.trace_id, value.span_id, value.flags, value.state, False)
    context = value.get_span_context() if isinstance(value, trace.Span) else value
    if not isinstance(context, SpanContext) or not context.is_valid:
        return None
    return Parent(
        context.trace_id.to_bytes(16, "big"),
        context.span_id.to_bytes(8, "big"),
        context.trace_flags,
        context.trace_state,
        context.is_remote,
    )


class Span(trace.Span, LooksReadable):
    """One operation. Made by `Tracer` only, with `new_span`.

    Beside OpenTelemetry's API: `trace_id` (16 bytes), `span_id` (8 bytes), `flags` (those that
    are passed on), `recording` (whether anybody will see it), and `clock`, the nanoseconds that lead
    from `time.perf_counter_ns` to Unix time anywhere in this process' part of the trace.
    """

    __slots__ = (
        "child_head",
        "clock",
        "details",
        "ended_ns",
        "flags",
        "head",
        "origin",
        "pipeline",
        "recording",
        "root",
        "shape",
        "span_context",
        "span_id",
        "started_ns",
        "state",
        "totals",
        "trace_id",
        "tracer",
        "until_ns",
        "waiting",
    )
    tracer: "Tracer"
    pipeline: Pipeline
    trace_id: bytes
    span_id: bytes
    origin: bytes | Parent | None
    head: bytes
    flags: int
    state: TraceState | None
    recording: bool
    clock: int
    started_ns: int
    shape: Shape | None
    root: "Span | None"
    """The first span of this process' part of the trace; None for that one itself."""
    until_ns: int
    waiting: list[bytes]
    ended_ns: int
    child_head: bytes
    details: Details | None
    span_context: SpanContext
    totals: list[int] | None
    """What was counted below this span, if it is the first: see `otelc2c.measure.totals`."""

    if TYPE_CHECKING:

        def __init__(self) -> None: ...
    else:
        # `new_span` gives a span its parts; the one of `ReadableSpan` is not wanted.
        __init__ = object.__init__

    # -- the short way ---------------------------------------------------------------------

    def close(self, end_ns: int, shape: Shape | None = None, extra: bytes = b"") -> None:
        """End the span at `end_ns` of `time.perf_counter_ns`, as `shape` says, and write it.

        `shape` may be left out where the span began with one. `extra` are further attributes, encoded
        with `wire.Key` or `wire.attribute`. What the application set stays: its attributes, its
        name and its status. A span that has ended already is left as it is. Never raises.
        """
        try:
            # No call stands between the look and the store, so that two threads do not both end it.
            if self.ended_ns:
                return
            self.ended_ns = ended_ns = end_ns + self.clock
            if not self.recording:
                return
            if shape is None:
                shape = self.shape
            pipeline = self.pipeline
            details = self.details
            if pipeline.ours and shape is not None and len(extra) <= shape.room:
                if details is not None:
                    more = details.addition(shape, extra)
                    if more is None:
                        self._finish(shape, extra)
                        return
                    self.shape = shape
                    extra += more
                identity = _pack(_ID, self.span_id, _START, self.started_ns, _END, ended_ns)
                root = self.root
                if root is not None:
                    root.write_below(shape.info, ended_ns, self.head, identity, shape.body, extra)
                else:
                    self._write_first(shape.info, self.head, identity, shape.body, extra)
            else:
                self._finish(shape, extra)
        except Exception as error:
            guard.swallowed("span", error)

    def wait_for_end(self) -> None:
        """Let spans below that end soon wait for the end of this one, to leave with it as one record.

        A record costs as much as everything else about a small span, here and in the relay. What
        ends later than TOGETHER_NS after the start leaves at once, so that a request that hangs
        and is killed has its spans sent up to then.
        """
        self.waiting = []
        self.until_ns = self.started_ns + TOGETHER_NS

    def write_below(
        self,
        info: int,
        ended_ns: int,
        head: bytes,
        identity: bytes = b"",
        body: bytes = b"",
        extra: bytes = b"",
    ) -> None:
        """Hand a span below this one, which ended at `ended_ns` in Unix nanoseconds, to the ring.

        It is encoded in these four parts, of which all but the first may be empty.
        """
        size = len(head) + len(identity) + len(body) + len(extra)
        own = self.tracer.info
        if size < USUAL:
            parts = (ITEM_HEADS[size], head, identity, body, extra)
            # No call stands between the look and the addition, so that the end does not miss it.
            # A record holds spans of one scope, and what waits here is of this span's.
            if ended_ns < self.until_ns and info == own:
                self.waiting += parts
                if len(self.waiting) >= _MOST_PARTS:
                    self._release(info)
                return
            message = b"".join(parts)
        else:
            message = item(b"".join((head, identity, body, extra)))
        if self.waiting and info == own:
            self._release(info)
        self.pipeline.put(info, message)  # type: ignore[misc]

    def _write_first(
        self, info: int, head: bytes, identity: bytes = b"", body: bytes = b"", extra: bytes = b""
    ) -> None:
        """Hand this span, the first of its part of the trace, to the ring, with what waits for it."""
        size = len(head) + len(identity) + len(body) + len(extra)
        if not self.until_ns or size >= USUAL:
            self.wait_no_longer()
            self.pipeline.put(info, item(b"".join((head, identity, body, extra))))  # type: ignore[misc]
            return
        self.until_ns = 0
        self.waiting += (ITEM_HEADS[size], head, identity, body, extra)
        self._release(info)

    def wait_no_longer(self) -> None:
        """Write what waits for this span's end, and let nothing wait from now on."""
        self.until_ns = 0
        if self.waiting:
            self._release(self.tracer.info)

    def _release(self, info: int) -> None:
        """Write what waits for this span's end."""
        waiting, self.waiting = self.waiting, []
        put = self.pipeline.put
        if put is None:
            return
        # Threads may have added some more at the same time, so that they are counted here.
        for at in range(0, len(waiting), _MOST_PARTS):
            parts = waiting[at : at + _MOST_PARTS]
            put(info + (len(parts) // _PARTS - 1 << INFO_ITEMS_SHIFT), b"".join(parts))

    def head_of_children(self) -> bytes:
        """The encoded fields that all children of this span have in common."""
        head = self.child_head
        if not head:
            if self.state:
                head = wire.span_head(self.trace_id, self.span_id, False, self.state.to_header())
            else:
                # What `wire.span_head` makes, without the call.
                head = b"".join((_TRACE, self.trace_id, _LOCAL, _PARENT, self.span_id))
            self.child_head = head
        return head

    def _finish(self, shape: Shape | None, extra: bytes) -> None:
        pipeline = self.pipeline
        if not pipeline.alive:
            return
        details = self.with_details()
        if shape is not None:
            details.take(shape, extra)
        pipeline.on_ending(self)
        if self.sampled and pipeline.put is not None:
            payload, root = self._payload(details), self.root
            if root is None:
                self._write_first(self.tracer.info, payload)
            else:
                root.write_below(self.tracer.info, self.ended_ns, payload)
        if pipeline.processors:
            pipeline.on_end(self.readable())

    def _payload(self, details: Details) -> bytes:
        attributes = details.attributes
        return b"".join(
            [
                self.head,
                _pack(_ID, self.span_id, _START, self.started_ns, _END, self.ended_ns),
                span_rest(
                    details.name,
                    details.kind.value,
                    details.status,
                    attributes.copy(),
                    details.events,
                    details.links,
                ),
                wire.span_dropped(attributes.dropped, details.dropped_events, details.dropped_links),
            ]
        )

    def with_details(self) -> Details:
        """The details, made when they are first needed."""
        details = self.details
        if details is None:
            shape = self.shape
            name, kind = ("", SpanKind.SERVER) if shape is None else (shape.name, shape.kind)
            details = self.details = Details(self.pipeline.limits, name, kind)
        return details

    # -- OpenTelemetry's API ---------------------------------------------------------------

    @property
    def sampled(self) -> bool:
        """The flag that is passed on to whoever continues the trace."""
        return self.flags & 1 == 1

    def get_span_context(self) -> SpanContext:
        try:
            return self.span_context
        except AttributeError:  # most spans are never asked, so they begin without one
            own = Parent(self.trace_id, self.span_id, self.flags, self.state, False)
            context = self.span_context = own.context()
            return context

    @property
    def parent(self) -> SpanContext | None:
        """The context of the parent, None for a root."""
        origin = self.origin
        if isinstance(origin, bytes):
            origin = Parent(self.trace_id, origin, self.flags, self.state, False)
        return None if origin is None else origin.context()

    def is_recording(self) -> bool:
        return self.recording and not self.ended_ns

    def _open(self, doing: str) -> bool:
        """Whether the span still takes anything; one that has ended says that it does not."""
        if self.ended_ns:
            if self.recording:
                _logger.warning(doing)
            return False
        return self.recording

    def set_attribute(self, key: str, value: AnyValue) -> None:
        if self._open("Setting attribute on ended span."):
            self.with_details().attributes.put(key, value)

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        if self._open("Setting attribute on ended span."):
            self.with_details().attributes.put_all(attributes)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        if self._open("Tried calling _add_event on an ended span."):
            details = self.with_details()
            kept = details.event_attributes(attributes)
            details.add_event(Event(name, kept, self._now() if timestamp is None else timestamp))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        if self._open("Tried calling _add_link on an ended span."):
            self.with_details().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        if self._open("Tried calling update_name on an ended span."):
            details = self.with_details()
            details.name, details.renamed = name, True

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self._open("Tried calling set_status on an ended span."):
            self.with_details().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        if not self._open("Tried calling _add_event on an ended span."):
            return
        kind = type(exception)
        module = kind.__module__
        values: dict[str, Any] = {
            "exception.type": kind.__qualname__
            if not module or module == "builtins"
            else f"{module}.{kind.__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**values, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End the span, now or at `end_time` in Unix nanoseconds."""
        if self.ended_ns:
            if self.recording:
                _logger.warning("Calling end() on an ended span.")
            return
        if self.recording and self.shape is None:
            self.with_details()
        self.close(perf_counter_ns() if end_time is None else end_time - self.clock)

    def _now(self) -> int:
        return perf_counter_ns() + self.clock

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_val is not None and self.is_recording():
            record, set_status = self.with_details().on_exception
            if record:
                self.record_exception(exc_val, escaped=True)
            if set_status:
                self.set_status(Status(StatusCode.ERROR, f"{type(exc_val).__name__}: {exc_val}"))
        self.end()

    def __repr__(self) -> str:
        return f'Span(name="{self.name}", context={self.get_span_context()!r})'


def new_span(
    tracer: "Tracer",
    pipeline: Pipeline,
    trace_id: bytes,
    span_id: bytes,
    origin: bytes | Parent | None,
    head: bytes,
    flags: int,
    state: TraceState | None,
    recording: bool,
    clock: int,
    started_ns: int,
    shape: Shape | None = None,
    root: Span | None = None,
) -> Span:
    """A span as it begins. A function, because a call of a class with `__init__` costs three times as much.

    `origin` is the parent, or the id alone of a parent with the same flags and trace state.
    `root` is the first span of this process' part of the trace, if this is another; the record may wait for
    its end (`Span.wait_for_end`).
    """
    span = Span()
    span.tracer = tracer
    span.pipeline = pipeline
    span.trace_id = trace_id
    span.span_id = span_id
    span.origin = origin
    span.head = head
    span.flags = flags
    span.state = state
    span.recording = recording
    span.clock = clock
    span.started_ns = started_ns
    span.shape = shape
    span.root = root
    span.ended_ns = 0
    span.child_head = b""
    span.details = None
    if root is None:
        span.until_ns = 0
        span.waiting = _NONE
        span.totals = None
    return span


def clock_now() -> int:
    """The nanoseconds that lead from `time.perf_counter_ns` to Unix time at this moment."""
    return time_ns() - perf_counter_ns()
