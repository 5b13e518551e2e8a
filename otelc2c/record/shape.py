"""What spans of one kind have in common, encoded once.

A shape is one operation with one set of constant attributes: "GET /orders/{id} answered
200". Callers keep shapes in bounded dictionaries and hand them over when a span ends.
"""

from typing import Final

from opentelemetry.trace import SpanKind, Status, StatusCode

from otelc2c.record import wire
from otelc2c.record.limits import AttributeSet, Limits

_SMALLEST_ATTRIBUTE: Final = 7
"""Bytes of an encoded attribute with a key of one byte and an empty value."""
_UNLIMITED: Final = 1 << 62


class Shape:
    """The constant part of a span: name, kind, status and attributes, and their encoding."""

    __slots__ = ("attributes", "body", "error", "info", "kind", "name", "room")

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        attributes: AttributeSet,
        error: str | None,
        info: int,
        limits: Limits,
    ) -> None:
        """`error` is None, or the description (perhaps empty) of the status "error".

        `info` is the word under which the ring keeps spans of the tracer's scope.
        """
        self.name: Final = name
        self.kind: Final = kind
        self.attributes: Final = attributes
        self.error: Final = error
        self.info: Final = info
        status = StatusCode.UNSET if error is None else StatusCode.ERROR
        self.body: Final = (
            wire.span_body(name, kind.value, status.value, error)
            + wire.attributes(attributes)
            + wire.span_dropped(attributes.dropped, 0, 0)
        )
        self.room: Final = _room(len(attributes), limits)
        """Bytes of further attributes that can be added without looking at the limits."""

    def status(self) -> Status:
        """The status as an object of OpenTelemetry's API."""
        return Status() if self.error is None else Status(StatusCode.ERROR, self.error)


def _room(count: int, limits: Limits) -> int:
    if limits.max_span_attribute_length is not None:
        return -1
    if limits.max_span_attributes is None:
        return _UNLIMITED
    return (limits.max_span_attributes - count) * _SMALLEST_ATTRIBUTE
