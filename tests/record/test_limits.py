"""Our attribute set does what OpenTelemetry's `BoundedAttributes` does."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import SpanLimits

from otelc2c.record.limits import AttributeSet, Limits
from otelc2c.settings import Settings

KEYS: Any = st.sampled_from(["a", "b", "c", "d", "", 5, None, ("t",)])
VALUES: Any = st.sampled_from(["abcdef", 1, True, 2.5, None, b"abcdef", ["abcdef", 1], {"k": "abcdef"}, {1}])
STEPS = st.lists(st.tuples(KEYS, VALUES) | st.dictionaries(KEYS, VALUES, max_size=4), max_size=8)
LIMITS = st.none() | st.integers(0, 4)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Odd keys and values are logged; here they are the point."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=100, deadline=None)
@given(STEPS, LIMITS, LIMITS)
def test_it_keeps_and_drops_the_same(steps: list[Any], limit: int | None, length: int | None) -> None:
    """In the same order, with the same count of what was dropped, whatever is put in."""
    ours = AttributeSet(limit, length)
    theirs = BoundedAttributes(limit, immutable=False, max_value_len=length)
    for step in steps:
        if isinstance(step, dict):
            ours.put_all(step)
            theirs._set_items(step)
        else:
            ours.put(*step)
            theirs[step[0]] = step[1]
    assert list(ours.items()) == list(theirs.items())
    assert ours.dropped == theirs.dropped


def test_limits_come_from_the_sdk_s_object() -> None:
    """Under the same names."""
    limits = Limits.of(SpanLimits(max_span_attributes=3, max_attribute_length=7))
    assert limits == Limits(3, max_attribute_length=7, max_span_attribute_length=7)


def test_limits_come_from_the_settings() -> None:
    """By the specification's variables; the defaults are the specification's."""
    assert Limits.from_settings(Settings.from_environ({})) == Limits()
    environ = {
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "2",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "3",
        "OTEL_SPAN_EVENT_COUNT_LIMIT": "4",
        "OTEL_SPAN_LINK_COUNT_LIMIT": "5",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "6",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "7",
    }
    read = Settings.from_environ(environ)
    assert not read.problems
    assert Limits.from_settings(read) == Limits(1, 2, 3, 4, 5, 6, 7)
