"""Shapes: the constant part of a span, encoded once."""

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.trace import SpanKind, StatusCode

from otelc2c.record.limits import AttributeSet, Limits
from otelc2c.record.shape import Shape


def shape(limits: Limits, count: int = 3, error: str | None = None) -> Shape:
    """A shape with `count` attributes."""
    kept = AttributeSet(limits.max_span_attributes, limits.max_span_attribute_length)
    kept.put_all({f"k{number}": number for number in range(count)})
    return Shape("GET /", SpanKind.SERVER, kept, error, 7, limits)


def test_the_body_is_a_span_without_ids_and_times() -> None:
    """Name, kind, status, attributes, and how many were dropped."""
    message = Message.FromString(shape(Limits(max_span_attributes=2), error="bad").body)
    assert (message.name, message.kind, message.dropped_attributes_count) == ("GET /", 2, 1)
    assert [attribute.key for attribute in message.attributes] == ["k1", "k2"]
    assert (message.status.code, message.status.message) == (StatusCode.ERROR.value, "bad")


@pytest.mark.parametrize(
    ("limits", "room"),
    [
        (Limits(), 125 * 7),
        (Limits(max_span_attributes=3), 0),
        (Limits(max_span_attributes=None), 1 << 62),
        (Limits(max_span_attribute_length=10), -1),
    ],
)
def test_room_is_what_fits_whatever_it_is(limits: Limits, room: int) -> None:
    """Below it no limit can be met, so nobody needs to count; texts may be too long at any size."""
    assert shape(limits).room == room


def test_the_status_as_an_object() -> None:
    """Unset without an error."""
    assert shape(Limits()).status().is_unset
    assert shape(Limits(), error="bad").status().description == "bad"
