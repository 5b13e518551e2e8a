"""Our instruments' short way to spans, over any tracer behind OpenTelemetry's API.

With the SDK's tracer provider (`OTELC2C_TRACER_PROVIDER=sdk`) what is measured stays the same; only
the spans are the SDK's, with the SDK's cost.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.util.types import AnyValue, Attributes

from otelc2c import guard
from otelc2c.record import wire
from otelc2c.record.limits import AttributeSet, Limits
from otelc2c.record.shape import Shape
from otelc2c.record.span import Parent, clock_now, parent_of

_NO_LIMITS = Limits(*[None] * len(Limits._fields))


class ApiSpan(trace.Span):
    """A span behind OpenTelemetry's API that can be closed the short way; see `span.Span`."""

    def __init__(self, span: trace.Span, clock: int, name: str, shape: Shape | None = None) -> None:
        context = span.get_span_context()
        self.span = span
        self.clock = clock
        self.shape = shape
        self.trace_id = context.trace_id.to_bytes(16, "big")
        self.span_id = context.span_id.to_bytes(8, "big")
        self.flags = context.trace_flags
        self.sampled = context.trace_flags.sampled
        self.recording = span.is_recording()
        self._first_name = name
        self.totals: list[int] | None = None

    def close(self, end_ns: int, shape: Shape | None = None, extra: bytes = b"") -> None:
        """End the span at `end_ns` of `time.perf_counter_ns`, as `shape` and `extra` say. Never raises."""
        try:
            shape = shape or self.shape
            if self.span.is_recording():
                if shape is not None:
                    self._take(shape, extra)
                self.span.end(end_ns + self.clock)
        except Exception as error:
            guard.swallowed("span", error)

    def _take(self, shape: Shape, extra: bytes) -> None:
        """What the application set stays."""
        span = self.span
        readable = span if isinstance(span, ReadableSpan) else None
        taken = {} if readable is None else readable.attributes or {}
        values = {**shape.attributes, **wire.read_attributes(extra)}
        span.set_attributes({key: value for key, value in values.items() if key not in taken})
        if readable is None or readable.name == self._first_name:
            span.update_name(shape.name)
        if shape.error is not None and (readable is None or readable.status.is_unset):
            span.set_status(Status(StatusCode.ERROR, shape.error))

    # -- OpenTelemetry's API ---------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        return getattr(self.span, name)

    def get_span_context(self) -> SpanContext:
        return self.span.get_span_context()

    def is_recording(self) -> bool:
        return self.span.is_recording()

    def end(self, end_time: int | None = None) -> None:
        self.span.end(end_time)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        self.span.set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        self.span.set_attributes(attributes)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        self.span.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        self.span.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self.span.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self.span.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self.span.record_exception(exception, attributes, timestamp, escaped)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.span.__exit__(exc_type, exc_val, exc_tb)


class ApiTracer:
    """The short way of `tracer.Tracer`, over a tracer of another provider."""

    attributes_at_start = True

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def shape(
        self, name: str, kind: SpanKind, attributes: Mapping[str, Any], error: str | None = None
    ) -> Shape:
        """See `Tracer.shape`; limits are those of the provider, when the span takes the attributes."""
        kept = AttributeSet(None, None)
        kept.put_all(attributes)
        return Shape(name, kind, kept, error, 0, _NO_LIMITS)

    def open(
        self,
        parent: "trace.Span | SpanContext | Parent | None",
        start_ns: int,
        name: str = "",
        attributes: Attributes = None,
        kind: SpanKind = SpanKind.SERVER,
    ) -> ApiSpan:
        """See `Tracer.open`."""
        clock = clock_now()
        above = parent_of(parent)
        given = trace.INVALID_SPAN if above is None else trace.NonRecordingSpan(above.context())
        if isinstance(parent, trace.Span):
            given = _inner(parent)  # type: ignore[assignment]
        span = self._tracer.start_span(
            name, set_span_in_context(given), kind, attributes, start_time=start_ns + clock
        )
        return ApiSpan(span, clock, name)

    def child(self, parent: trace.Span, start_ns: int, shape: Shape) -> ApiSpan:
        """See `Tracer.child`."""
        clock = getattr(parent, "clock", None) or clock_now()
        span = self._tracer.start_span(
            shape.name,
            set_span_in_context(_inner(parent)),
            shape.kind,
            shape.attributes.copy(),
            start_time=start_ns + clock,
        )
        return ApiSpan(span, clock, shape.name, shape)

    def leaf(self, parent: trace.Span, shape: Shape, start_ns: int, end_ns: int, extra: bytes = b"") -> bytes:
        """See `Tracer.leaf`."""
        try:
            span = self.child(parent, start_ns, shape)
            span.close(end_ns, shape, extra)
            return span.span_id
        except Exception as error:
            guard.swallowed("span", error)
            return bytes(8)


def _inner(span: trace.Span) -> trace.Span:
    return span.span if isinstance(span, ApiSpan) else span
