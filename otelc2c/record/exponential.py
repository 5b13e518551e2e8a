"""Exponential buckets: where a value belongs, and how buckets of different scales are added.

At scale `s` the boundaries are the powers of `2 ** 2 ** -s`, and bucket `i` holds what is above the
`i`-th and at most the next one (metrics data model, "ExponentialHistogram"). One scale less makes one
bucket of two. Only the standard library is imported, because the relay adds these up.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from otelc2c.record.points import Distribution, Exponential

SMALLEST_SCALE: Final = -10
LARGEST_SCALE: Final = 20
"""At a larger one a bucket's number may not fit into 32 bits, as OTLP wants it."""
FEWEST_BUCKETS: Final = 2
MOST_BUCKETS: Final = 8192
"""So many fit into a chunk of a cells file."""
USUAL_BUCKETS: Final = 160
LEAST_NORMAL: Final = 2.0**-1022
_LEAST_EXPONENT: Final = -1022
_MOST_EXPONENT: Final = 1023
FACTORS: Final = {scale: math.ldexp(1 / math.log(2), scale) for scale in range(1, LARGEST_SCALE + 1)}
"""What the natural logarithm of a value is multiplied with, by scale."""


def bucket_of(value: float, scale: int) -> int:
    """The number of the bucket for `value`, which is finite and above 0.

    Values below the least normal number share a bucket, as the specification allows.
    """
    mantissa, exponent = math.frexp(value)
    # A power of two is the upper boundary of its bucket, which the logarithm may miss.
    whole = exponent - (2 if mantissa == 0.5 else 1)
    if value < LEAST_NORMAL:
        whole = _LEAST_EXPONENT - 1
    if scale <= 0:
        return whole >> -scale
    if mantissa == 0.5 or value <= LEAST_NORMAL:
        return (whole + 1 << scale) - 1
    return min(math.floor(math.log(value) * FACTORS[scale]), (_MOST_EXPONENT + 1 << scale) - 1)


def steps_down(low: int, high: int, most: int) -> int:
    """By how much the scale has to go down so that these buckets become at most `most`."""
    steps = 0
    while high - low >= most:
        low >>= 1
        high >>= 1
        steps += 1
    return steps


class Buckets(NamedTuple):
    """Counts of neighbouring buckets, of which `low` is the first. Without counts nothing was recorded."""

    scale: int
    low: int = 0
    counts: Sequence[int] = ()

    @property
    def high(self) -> int:
        """The last bucket."""
        return self.low + len(self.counts) - 1

    def at_scale(self, scale: int) -> "Buckets":
        """The same with a scale that is not larger."""
        steps = self.scale - scale
        if not steps:
            return self
        if not self.counts:
            return Buckets(scale)
        low = self.low >> steps
        counts = [0] * ((self.high >> steps) - low + 1)
        for number, count in enumerate(self.counts, self.low):
            counts[(number >> steps) - low] += count
        return Buckets(scale, low, counts)

    def plus(self, other: "Buckets", most: int) -> "Buckets":
        """Both together in at most `most` buckets, at the largest scale that allows it."""
        if not other.counts:
            return self
        if not self.counts:
            return other
        scale = min(self.scale, other.scale)
        mine, theirs = self.at_scale(scale), other.at_scale(scale)
        scale -= steps_down(min(mine.low, theirs.low), max(mine.high, theirs.high), most)
        mine, theirs = mine.at_scale(scale), theirs.at_scale(scale)
        low = min(mine.low, theirs.low)
        counts = [0] * (max(mine.high, theirs.high) - low + 1)
        for part in (mine, theirs):
            for place, count in enumerate(part.counts, part.low - low):
                counts[place] += count
        return Buckets(scale, low, counts)


def buckets_of(value: Exponential) -> Buckets:
    """The buckets of a point."""
    return Buckets(value.scale, value.low, value.counts)


def together(one: Exponential, other: Exponential) -> Exponential:
    """What two points hold together, in no more buckets than one of them has room for."""
    both = buckets_of(one).plus(buckets_of(other), max(USUAL_BUCKETS, len(one.counts), len(other.counts)))
    return Exponential(
        *both, one.zeros + other.zeros, one.sum + other.sum, min(one.min, other.min), max(one.max, other.max)
    )


def since(now: Exponential, before: Exponential | None) -> Exponential:
    """How much was added since `before`: all of it where that is missing, or not contained.

    The extremes are those of the whole time and so not known.
    """
    unknown = now._replace(min=math.inf, max=-math.inf)
    if before is None or before.scale < now.scale:
        return unknown
    then = buckets_of(before).at_scale(now.scale)
    if then.counts and not (now.low <= then.low and then.high <= buckets_of(now).high):
        return unknown
    counts = list(now.counts)
    for place, count in enumerate(then.counts, then.low - now.low):
        counts[place] -= count
    zeros = now.zeros - before.zeros
    if min(counts, default=0) < 0 or zeros < 0:
        return unknown
    return unknown._replace(counts=counts, zeros=zeros, sum=now.sum - before.sum)


def explicit(value: Exponential) -> tuple[tuple[float, ...], Distribution]:
    """The same with boundaries, for who knows no others: powers of two, so that they stay the same ones.

    The first boundary is the lower end of the lowest bucket: only zeros are below.
    """
    buckets = buckets_of(value).at_scale(min(value.scale, 0))
    width = 1 << -buckets.scale
    ends = [number * width for number in range(buckets.low, buckets.high + 2)] if buckets.counts else []
    counts = [value.zeros, *buckets.counts, 0]
    if ends and ends[-1] > _MOST_EXPONENT:
        # What has no upper boundary that is a number is below infinity.
        del ends[-1]
        counts[-2:] = [counts[-2] + counts[-1]]
    bounds = tuple(math.ldexp(1.0, end) for end in ends)
    return bounds, Distribution(counts if ends else [value.zeros], value.sum, value.min, value.max)
