"""Numbers as values: what lies between the files and everything that shows or sends them.

Nothing here knows how numbers are stored or how they are rendered. Only the standard
library is imported, because the relay starts without site packages.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

AttributeValue: TypeAlias = (
    str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
)
Attributes: TypeAlias = Mapping[str, AttributeValue]

Kind: TypeAlias = Literal[
    "counter",
    "up_down_counter",
    "histogram",
    "gauge",
    "observable_counter",
    "observable_up_down_counter",
    "observable_gauge",
]
Combine: TypeAlias = Literal["sum", "max", "recent", "worker"]

MONOTONIC_KINDS: frozenset[str] = frozenset({"counter", "observable_counter"})
SUM_KINDS: frozenset[str] = MONOTONIC_KINDS | {"up_down_counter", "observable_up_down_counter"}
GAUGE_KINDS: frozenset[str] = frozenset({"gauge", "observable_gauge"})

OVERFLOW: Attributes = {"otel.metric.overflow": True}
"""The attribute set that takes what is above the cardinality limit (metrics SDK specification)."""


class Scope(NamedTuple):
    """The instrumentation scope a number or span came from. `attributes` are pairs, sorted by key."""

    name: str
    version: str = ""
    schema_url: str = ""
    attributes: tuple[tuple[str, AttributeValue], ...] = ()


class Instrument(NamedTuple):
    """One metric stream: what an instrument became after views. Equal streams of two workers are equal."""

    scope: Scope
    name: str
    kind: Kind
    unit: str = ""
    description: str = ""
    bounds: tuple[float, ...] = ()
    """Upper boundaries of the buckets; histograms only."""
    combine: Combine = "sum"
    """How the values of several workers become one."""
    buckets: int = 0
    """Most buckets of an exponential histogram; 0 where boundaries divide them."""
    scale: int = 20
    """The scale with which an exponential histogram begins."""

    @property
    def monotonic(self) -> bool:
        """Whether the value only ever grows."""
        return self.kind in MONOTONIC_KINDS


class Exemplar(NamedTuple):
    """One measurement that was made inside a sampled span."""

    time_ns: int
    value: float
    trace_id: bytes
    span_id: bytes


class Distribution(NamedTuple):
    """What a histogram holds: one count a bucket (the last has no upper boundary), sum, and extremes.

    `min` is infinity and `max` minus infinity while nothing was recorded.
    """

    counts: Sequence[int]
    sum: float
    min: float
    max: float

    @property
    def count(self) -> int:  # type: ignore[override]  # a tuple can count, nobody asks this one to
        """Derived from the buckets, so that it can never disagree with them."""
        return sum(self.counts)


class Exponential(NamedTuple):
    """What an exponential histogram holds: see `otelc2c.record.exponential`.

    `low` is the number of the first of `counts`, which speak of values above 0.
    """

    scale: int
    low: int
    counts: Sequence[int]
    zeros: int
    sum: float
    min: float
    max: float

    @property
    def count(self) -> int:  # type: ignore[override]  # as above
        """Derived from the buckets, so that it can never disagree with them."""
        return self.zeros + sum(self.counts)


class Point(NamedTuple):
    """The pod's value for one attribute set."""

    attributes: Attributes
    value: int | float | Distribution | Exponential
    exemplars: tuple[Exemplar, ...] = ()
    time_ns: int = 0
    """When a gauge was set; 0 where it does not matter."""


class Family(NamedTuple):
    """All points of one stream."""

    instrument: Instrument
    points: Sequence[Point]
