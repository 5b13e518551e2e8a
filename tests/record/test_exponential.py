"""Exponential buckets: where values belong and how buckets are added, as the SDK does it."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping import Mapping
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.exponent_mapping import ExponentMapping
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.logarithm_mapping import (
    LogarithmMapping,
)

from otelc2c.record.exponential import (
    LARGEST_SCALE,
    LEAST_NORMAL,
    SMALLEST_SCALE,
    Buckets,
    bucket_of,
    explicit,
    since,
    steps_down,
    together,
)
from otelc2c.record.points import Distribution, Exponential

above_zero = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
scales = st.integers(SMALLEST_SCALE, LARGEST_SCALE)
powers = st.integers(-1074, 1023).map(lambda exponent: math.ldexp(1.0, exponent))


def mapping(scale: int) -> Mapping:
    """The SDK's for a scale."""
    return ExponentMapping(scale) if scale <= 0 else LogarithmMapping(scale)


def held(values: Sequence[float], scale: int) -> Buckets:
    """The buckets of these values."""
    if not values:
        return Buckets(scale)
    numbers = [bucket_of(value, scale) for value in values]
    low, high = min(numbers), max(numbers)
    return Buckets(scale, low, [numbers.count(number) for number in range(low, high + 1)])


def point(values: Sequence[float], scale: int, zeros: int = 0) -> Exponential:
    """A point of these values."""
    total = math.fsum(values)
    return Exponential(
        *held(values, scale), zeros, total, min(values, default=math.inf), max(values, default=-math.inf)
    )


@given(above_zero | powers | st.sampled_from([LEAST_NORMAL, 5e-324, 1.7976931348623157e308]), scales)
def test_a_value_belongs_where_the_sdk_puts_it(value: float, scale: int) -> None:
    """Also powers of two, which are upper boundaries, and numbers too small to be normal."""
    assert bucket_of(value, scale) == mapping(scale).map_to_index(value)


@given(st.integers(-(2**30), 2**30), st.integers(0, 2**30), st.integers(2, 200))
def test_the_scale_goes_down_no_further_than_needed(low: int, width: int, most: int) -> None:
    """Until the buckets are few enough."""
    steps = steps_down(low, low + width, most)
    assert (low + width >> steps) - (low >> steps) < most
    assert not steps or (low + width >> steps - 1) - (low >> steps - 1) >= most


values = st.lists(st.floats(1e-3, 1e3), max_size=20)


@given(values, values, st.integers(0, 8), st.integers(0, 8), st.integers(2, 40))
def test_buckets_together_are_those_of_all_values(
    one: list[float], other: list[float], mine: int, theirs: int, most: int
) -> None:
    """At a scale that both can have and that has room; nothing is lost."""
    both = held(one, mine).plus(held(other, theirs), most)
    assert sum(both.counts) == len(one) + len(other)
    if one and other:
        assert len(both.counts) <= most
        parts = held(one, mine).at_scale(both.scale), held(other, theirs).at_scale(both.scale)
        for number, count in enumerate(both.counts, both.low):
            assert count == sum(
                part.counts[number - part.low] for part in parts if part.low <= number <= part.high
            )


@given(values, values, st.integers(0, 6), st.integers(0, 3), st.integers(0, 3))
def test_a_difference_and_what_was_before_are_the_whole(
    before: list[float], added: list[float], steps: int, zeros: int, more: int
) -> None:
    """Also where buckets have become wider in between."""
    first = point(before, 6, zeros)
    whole = together(first, point(added, 6 - steps, more))
    difference = since(whole, first)
    assert difference.count == len(added) + more
    assert (difference.min, difference.max) == (math.inf, -math.inf)
    assert math.isclose(difference.sum, math.fsum(added), abs_tol=1e-6)
    again = together(difference, first)
    assert (again.scale, again.count) == (whole.scale, whole.count)


@pytest.mark.parametrize(
    "before",
    [
        None,
        Exponential(-1, 0, [1], 0, 1.0, 1.0, 1.0),
        Exponential(0, 0, [9], 0, 9.0, 1.0, 1.0),
        Exponential(0, 0, [], 5, 0.0, 0.0, 0.0),
        Exponential(0, 7, [1], 0, 200.0, 200.0, 200.0),
    ],
)
def test_what_is_not_contained_is_not_subtracted(before: Exponential | None) -> None:
    """A process that began anew counts from the start."""
    now = Exponential(0, 0, [2, 1], 1, 6.0, 0.0, 3.0)
    assert since(now, before) == now._replace(min=math.inf, max=-math.inf)


@given(st.lists(above_zero, max_size=20), scales, st.integers(0, 5))
def test_boundaries_divide_values_as_their_buckets_do(sample: list[float], scale: int, zeros: int) -> None:
    """For readers of the page, who know no other buckets."""
    few = held(sample, min(scale, 0))
    bounds, told = explicit(Exponential(*few, zeros, 0.0, 0.0, 0.0))
    assert len(told.counts) == len(bounds) + 1
    assert list(bounds) == sorted(set(bounds))
    assert sum(told.counts) == len(sample) + zeros
    for place, bound in enumerate(bounds):
        below = sum(1 for value in sample if value <= bound)
        # Numbers that are not normal share the bucket below the least one that is.
        if bound >= LEAST_NORMAL:
            assert sum(told.counts[: place + 1]) == below + zeros


def test_an_example_of_boundaries() -> None:
    """One zero, and the values 1, 3 and 4."""
    assert explicit(point([1.0, 3.0, 4.0], 3, 1)) == (
        (0.5, 1.0, 2.0, 4.0),
        Distribution([1, 1, 0, 2, 0], 8.0, 1.0, 4.0),
    )
    assert explicit(point([], 3, 2)) == ((), Distribution([2], 0.0, math.inf, -math.inf))
