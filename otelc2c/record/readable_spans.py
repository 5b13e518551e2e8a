"""Spans in OTLP's bytes as the SDK's `ReadableSpan`: what exporters written for the SDK take.

Field numbers are those of `opentelemetry/proto/trace/v1/trace.proto`.
"""

from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otelc2c.record import wire

_REMOTE: Final = 0x200
"""The flag that the parent, or the linked span, is in another process."""
_KINDS: Final = {kind.value + 1: kind for kind in SpanKind}
_CODES: Final = {code.value: code for code in StatusCode}


class _Message:
    """The fields of one message by number."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._found: dict[int, list[int | bytes]] = {}
        for number, content in wire.fields(data):
            self._found.setdefault(number, []).append(content)

    def all(self, number: int) -> list[bytes]:
        return [content for content in self._found.get(number, ()) if isinstance(content, bytes)]

    def content(self, number: int) -> bytes:
        found = self.all(number)
        return found[-1] if found else b""

    def text(self, number: int) -> str:
        return self.content(number).decode("utf-8", "replace")

    def whole(self, number: int) -> int:
        """A number, of variable or of fixed length."""
        content = self._found.get(number, [0])[-1]
        return int.from_bytes(content, "little") if isinstance(content, bytes) else content

    def attributes(self, tag: bytes, dropped: int) -> BoundedAttributes:
        values: Any = wire.read_attributes(self._data, tag)
        found = BoundedAttributes(attributes=values, immutable=True)
        found.dropped = self.whole(dropped)
        return found


def readable_span(data: bytes, scope: InstrumentationScope, resource: Resource) -> ReadableSpan:
    """The span of an OTLP `Span` message. Raises ValueError, IndexError for bytes that are none."""
    message = _Message(data)
    trace_id = message.content(1)
    status = _Message(message.content(15))
    flags = message.whole(16)
    return ReadableSpan(
        name=message.text(5),
        context=_context(trace_id, message.content(2), False, message.text(3)),
        parent=_context(trace_id, message.content(4), bool(flags & _REMOTE)) if message.content(4) else None,
        resource=resource,
        attributes=message.attributes(wire.SPAN_ATTRIBUTE, 10),
        events=_bounded([_event(event) for event in message.all(11)], message.whole(12)),
        links=_bounded([_link(link) for link in message.all(13)], message.whole(14)),
        kind=_KINDS.get(message.whole(6), SpanKind.INTERNAL),
        status=_status(status.whole(3), status.text(2)),
        start_time=message.whole(7),
        end_time=message.whole(8),
        instrumentation_scope=scope,
    )


def _context(trace_id: bytes, span_id: bytes, remote: bool, state: str = "") -> SpanContext:
    # Only sampled spans are exported, and OTLP's bytes leave that flag out.
    return SpanContext(
        int.from_bytes(trace_id),
        int.from_bytes(span_id),
        remote,
        TraceFlags(TraceFlags.SAMPLED),
        TraceState.from_header([state]) if state else TraceState(),
    )


def _status(code: int, description: str) -> Status:
    found = _CODES.get(code, StatusCode.UNSET)
    # The SDK allows a description for errors only, and warns about any other.
    return Status(found, description or None) if found is StatusCode.ERROR else Status(found)


def _event(data: bytes) -> Event:
    message = _Message(data)
    attributes = message.attributes(wire.EVENT_ATTRIBUTE, 4)
    return Event(message.text(2), attributes=attributes, timestamp=message.whole(1))


def _link(data: bytes) -> Link:
    message = _Message(data)
    context = _context(
        message.content(1), message.content(2), bool(message.whole(6) & _REMOTE), message.text(3)
    )
    return Link(context, message.attributes(wire.LINK_ATTRIBUTE, 5))


def _bounded(items: Sequence[Any], dropped: int) -> Any:
    found = BoundedList.from_seq(None, items)
    found.dropped = dropped
    return found
