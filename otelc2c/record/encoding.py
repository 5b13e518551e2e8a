"""Spans as objects to OTLP `Span` messages: everything that is not of a constant shape."""

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

from otelc2c.record import wire


def span_rest(
    name: str,
    kind: int,
    status: Status,
    attributes: Mapping[str, Any],
    events: Iterable[Event],
    links: Iterable[Link],
) -> bytes:
    """Everything of a span but its ids, parent, times and dropped counts."""
    return b"".join(
        [
            wire.span_body(name, kind, status.status_code.value, status.description),
            wire.attributes(attributes),
            events_and_links(events, links),
        ]
    )


def events_and_links(events: Iterable[Event], links: Iterable[Link]) -> bytes:
    """Both, a field each."""
    return b"".join([_event(event) for event in events]) + b"".join([_link(link) for link in links])


def _event(event: Event) -> bytes:
    return wire.span_event(event.name, event.timestamp, event.attributes or {}, event.dropped_attributes)


def _link(link: Link) -> bytes:
    context = link.context
    return wire.span_link(
        context.trace_id.to_bytes(16, "big"),
        context.span_id.to_bytes(8, "big"),
        context.is_remote,
        link.attributes or {},
        link.dropped_attributes,
    )


def encode_readable(span: ReadableSpan) -> bytes:
    """A finished span of the SDK's as an OTLP `Span` message.

    Raises ValueError where it has no context or has not ended.
    """
    context, parent = span.get_span_context(), span.parent
    if context is None or span.start_time is None or span.end_time is None:
        raise ValueError("a span without context or times")
    return b"".join(
        [
            wire.span_head(
                context.trace_id.to_bytes(16, "big"),
                parent.span_id.to_bytes(8, "big") if parent else b"",
                bool(parent and parent.is_remote),
                context.trace_state.to_header(),
            ),
            wire.span_identity(context.span_id.to_bytes(8, "big"), span.start_time, span.end_time),
            span_rest(
                span.name, span.kind.value, span.status, span.attributes or {}, span.events, span.links
            ),
            wire.span_dropped(span.dropped_attributes, span.dropped_events, span.dropped_links),
        ]
    )
