"""What a span holds beyond its shape: whatever an application adds through OpenTelemetry's API."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from otelc2c.record import wire
from otelc2c.record.encoding import events_and_links
from otelc2c.record.limits import AttributeSet, Limits
from otelc2c.record.shape import Shape

_logger = logging.getLogger(__name__)

_UNSET = Status()


class Details:
    """Name, kind, attributes, events, links and status of one span, within its limits as in the SDK."""

    __slots__ = (
        "attributes",
        "events",
        "kind",
        "limits",
        "links",
        "name",
        "on_exception",
        "renamed",
        "status",
        "whole",
    )

    def __init__(self, limits: Limits, name: str, kind: SpanKind) -> None:
        self.limits = limits
        self.name = name
        self.kind = kind
        self.attributes = AttributeSet(limits.max_span_attributes, limits.max_span_attribute_length)
        self.events: Sequence[Event] = ()
        self.links: Sequence[Link] = ()
        self.status = _UNSET
        self.renamed = False
        self.whole = False
        """Whether the shape is contained."""
        self.on_exception = (True, True)
        """Whether leaving the span by an exception records it, and sets the status."""

    def fill(self, attributes: Mapping[str, Any], links: Sequence[Link]) -> None:
        """Take what a span is begun with."""
        self.attributes.put_all(attributes)
        for link in links:
            self.add_link(link.context, link.attributes)

    def add_event(self, event: Event) -> None:
        """Append an event; the oldest goes when there is no room."""
        if not isinstance(self.events, BoundedList):
            self.events = BoundedList(self.limits.max_events)
        self.events.append(event)

    def event_attributes(self, values: Mapping[str, Any] | None) -> BoundedAttributes:
        """Attributes of an event within its limits."""
        return BoundedAttributes(
            self.limits.max_event_attributes, values, max_value_len=self.limits.max_attribute_length
        )

    def add_link(self, context: SpanContext | None, values: Mapping[str, Any] | None) -> None:
        """Append a link, unless it leads nowhere and says nothing."""
        if not (context and (context.is_valid or values or context.trace_state)):
            return
        if not isinstance(self.links, BoundedList):
            self.links = BoundedList(self.limits.max_links)
        kept = BoundedAttributes(
            self.limits.max_link_attributes, values, max_value_len=self.limits.max_attribute_length
        )
        self.links.append(Link(context, kept))

    def set_status(self, status: Status | StatusCode, description: str | None) -> None:
        """Set the status; OK is final and UNSET is ignored (trace API specification, "Set Status")."""
        if isinstance(status, StatusCode):
            status = Status(status, description)
        elif description is not None:
            _logger.warning(
                "Description %s ignored. Use either `Status` or `(StatusCode, Description)`", description
            )
        if self.status.status_code is StatusCode.OK:
            return
        if getattr(status, "status_code", None) in {StatusCode.OK, StatusCode.ERROR}:
            self.status = status

    def addition(self, shape: Shape, extra: bytes) -> bytes | None:
        """What is here, encoded, to stand behind a shape and `extra`; None where that would not do.

        It does while nothing of theirs is said otherwise, and no limit can be met.
        """
        if self.renamed or self.status is not _UNSET or self.attributes.dropped:
            return None
        # A copy, made at once: another thread may still be at work on the span.
        own = self.attributes.copy()
        constant = shape.attributes
        for key in own:
            if key in constant or wire.has_key(extra, key):
                return None
        encoded = wire.attributes(own)
        if len(encoded) + len(extra) > shape.room:
            return None
        if not self.events and not self.links:
            return encoded
        dropped = wire.span_dropped(0, self.dropped_events, self.dropped_links)
        return b"".join([encoded, events_and_links(self.events, self.links), dropped])

    def take(self, shape: Shape, extra: bytes) -> None:
        """Put a shape and encoded attributes below what is here: what the application set stays."""
        if not self.renamed:
            self.name = shape.name
        self.kind = shape.kind
        if self.status.status_code is StatusCode.UNSET:
            self.status = shape.status()
        merged = self.below(shape.attributes, wire.read_attributes(extra) if extra else {})
        self.attributes = merged
        self.whole = True

    def below(self, constant: AttributeSet, extra: Mapping[str, Any]) -> AttributeSet:
        """Attributes of a shape, then `extra`, then our own, within the limits; the last of a key wins."""
        own = self.attributes
        merged = AttributeSet(own.limit, own.length)
        merged.put_all(constant)
        merged.put_all(extra)
        merged.put_all(own.copy())
        merged.dropped += constant.dropped + own.dropped
        return merged

    @property
    def dropped_events(self) -> int:
        """Events that found no room."""
        return self.events.dropped if isinstance(self.events, BoundedList) else 0

    @property
    def dropped_links(self) -> int:
        """Links that found no room."""
        return self.links.dropped if isinstance(self.links, BoundedList) else 0
