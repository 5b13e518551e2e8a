"""Views: what becomes of an instrument's measurements before they reach the cells.

A rule selects instruments and changes their streams (metrics SDK specification, "View"). Rules
come from `OTELC2C_VIEWS`, or from code as the SDK's `View` objects; both end as `ViewRule`.
`Views.plans` answers with the streams of one instrument.
"""

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeAlias, cast

from otelc2c.record.exponential import (
    FEWEST_BUCKETS,
    LARGEST_SCALE,
    MOST_BUCKETS,
    SMALLEST_SCALE,
    USUAL_BUCKETS,
)
from otelc2c.record.points import (
    GAUGE_KINDS,
    SUM_KINDS,
    Attributes,
    AttributeValue,
    Combine,
    Instrument,
    Kind,
)
from otelc2c.settings.values import View

_logger: Final = logging.getLogger(__name__)

DEFAULT_BOUNDS: Final = (
    0.0,
    5.0,
    10.0,
    25.0,
    50.0,
    75.0,
    100.0,
    250.0,
    500.0,
    750.0,
    1000.0,
    2500.0,
    5000.0,
    7500.0,
    10000.0,
)
"""Boundaries of a histogram for which nobody named any (metrics SDK specification)."""

Aggregation: TypeAlias = Literal["default", "sum", "last", "histogram", "exponential"]
AGGREGATIONS: Final = frozenset({"default", "sum", "last", "histogram", "exponential"})
COMBINES: Final = frozenset({"sum", "max", "recent", "worker"})
NAME: Final = re.compile(r"[a-zA-Z][-_./a-zA-Z0-9]{0,254}")
"""What the name of an instrument, and so of a stream, looks like."""


def checked_bounds(bounds: Iterable[float]) -> tuple[float, ...]:
    """Boundaries as the cells want them. Raises ValueError unless they are finite and increase."""
    checked = tuple(float(bound) for bound in bounds)
    for index, bound in enumerate(checked):
        if not math.isfinite(bound):
            raise ValueError(f"boundary {bound!r} is not finite")
        if index and checked[index - 1] >= bound:
            raise ValueError(f"boundaries must increase, {bound!r} follows {checked[index - 1]!r}")
    return checked


@dataclass(frozen=True, slots=True)
class ViewRule:
    """One view. What is None or left out selects everything, or changes nothing.

    `selector` is a pattern over the instrument's name (`*` and `?`, case does not matter).
    Raises ValueError where the rule cannot be meant.
    """

    selector: str = "*"
    drop: bool = False
    rename: str | None = None
    keys: frozenset[str] | None = None
    """The only attributes that are kept."""
    exclude: frozenset[str] = frozenset()
    """Attributes that are left out."""
    bounds: tuple[float, ...] | None = None
    """Boundaries of the histogram; they make a histogram of any synchronous instrument."""
    description: str | None = None
    aggregation: Aggregation = "default"
    buckets: int = USUAL_BUCKETS
    """Most buckets of an exponential histogram."""
    scale: int = LARGEST_SCALE
    """The scale with which it begins."""
    kinds: frozenset[str] | None = None
    unit: str | None = None
    meter: str | None = None
    meter_version: str | None = None
    meter_schema_url: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.rename is not None:
            if any(wild in self.selector for wild in "*?["):
                raise ValueError(f"view {self.selector!r}: one name for several instruments")
            if NAME.fullmatch(self.rename) is None:
                raise ValueError(f"view {self.selector!r}: {self.rename!r} is no name of a metric")
        if self.aggregation not in AGGREGATIONS:
            raise ValueError(f"view {self.selector!r}: unknown aggregation {self.aggregation!r}")
        if not FEWEST_BUCKETS <= self.buckets <= MOST_BUCKETS:
            raise ValueError(f"view {self.selector!r}: {self.buckets} buckets")
        if not SMALLEST_SCALE <= self.scale <= LARGEST_SCALE:
            raise ValueError(f"view {self.selector!r}: scale {self.scale}")

    @classmethod
    def of_setting(cls, view: View) -> "ViewRule":
        """The rule that a part of `OTELC2C_VIEWS` says. Raises ValueError where it cannot be meant."""
        return cls(
            selector=view.selector,
            drop=view.drop,
            rename=view.name,
            keys=None if view.keys is None else frozenset(view.keys),
            exclude=frozenset(view.exclude),
            bounds=None if view.buckets is None else checked_bounds(view.buckets),
        )

    def matches(self, asked: Instrument) -> bool:
        """Whether the rule is meant for the instrument."""
        scope = asked.scope
        return (
            fnmatchcase(asked.name, self.selector.lower())
            and (self.kinds is None or asked.kind in self.kinds)
            and (self.unit is None or fnmatchcase(asked.unit, self.unit))
            and (self.meter is None or scope.name == self.meter)
            and (self.meter_version is None or scope.version == self.meter_version)
            and (self.meter_schema_url is None or scope.schema_url == self.meter_schema_url)
        )


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream that an instrument feeds: its identity, and which attributes reach it."""

    instrument: Instrument
    keys: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    rule: ViewRule | None = None

    def filtered(self, attributes: Attributes) -> dict[str, AttributeValue]:
        """The attributes that the stream keeps, in the order they came in."""
        keys, exclude = self.keys, self.exclude
        return {
            name: value
            for name, value in attributes.items()
            if (keys is None or name in keys) and name not in exclude
        }


DEFAULT_RULE: Final = ViewRule()


class Views:
    """All rules of a provider, with the boundaries and gauge combinations that variables name.

    `rules` may mix `ViewRule`, those of the settings and the SDK's views; `buckets` and `gauges` go from
    a name or pattern to boundaries and to one of `sum`, `max`, `recent`, `worker`. A view's own
    boundaries win over `buckets`, which win over those of the instrument. With `exponential`, histograms
    for which neither names boundaries are exponential.
    Raises ValueError, TypeError for what cannot be meant.
    """

    def __init__(
        self,
        rules: Iterable[object] = (),
        buckets: Mapping[str, Sequence[float]] | None = None,
        gauges: Mapping[str, str] | None = None,
        *,
        exponential: bool = False,
    ) -> None:
        self._exponential = exponential
        self._rules = [as_rule(rule) for rule in rules]
        self._buckets = {name.lower(): checked_bounds(value) for name, value in (buckets or {}).items()}
        self._gauges = {name.lower(): value for name, value in (gauges or {}).items()}
        for name, value in self._gauges.items():
            if value not in COMBINES:
                raise ValueError(f"gauge {name!r}: {value!r} is none of {', '.join(sorted(COMBINES))}")

    def plans(self, asked: Instrument, advised: tuple[float, ...] | None = None) -> list[StreamPlan]:
        """The streams of an instrument: one a matching rule, or one as the instrument asks.

        `advised` are the boundaries that the instrument itself names. A rule that makes a histogram
        of an asynchronous instrument is not applied, with a warning, as the SDK does.
        """
        matching = [rule for rule in self._rules if rule.matches(asked) and _fits(rule, asked)]
        if not matching:
            return [self._plan(DEFAULT_RULE, asked, advised)]
        return [self._plan(rule, asked, advised) for rule in matching if not rule.drop]

    def _plan(self, rule: ViewRule, asked: Instrument, advised: tuple[float, ...] | None) -> StreamPlan:
        kind = _kind(rule, asked.kind)
        name = rule.rename or asked.name
        bounds: tuple[float, ...] | None = ()
        if kind == "histogram":
            bounds = self._bounds(rule, asked, advised)
        combine: Combine = "sum"
        if kind in GAUGE_KINDS:
            combine = cast(Combine, _named(self._gauges, asked.name, name) or asked.combine)
        instrument = asked._replace(
            name=name,
            kind=kind,
            description=rule.description or asked.description,
            bounds=bounds or (),
            combine=combine,
            buckets=rule.buckets if bounds is None else 0,
            scale=rule.scale,
        )
        return StreamPlan(instrument, rule.keys, rule.exclude, None if rule is DEFAULT_RULE else rule)

    def _bounds(
        self, rule: ViewRule, asked: Instrument, advised: tuple[float, ...] | None
    ) -> tuple[float, ...] | None:
        """The boundaries of a histogram, None for an exponential one."""
        if rule.aggregation == "exponential" and _never_negative(rule, asked):
            return None
        if rule.bounds is not None:
            return rule.bounds
        named = _named(self._buckets, asked.name, rule.rename or asked.name)
        if named is not None:
            return cast(tuple[float, ...], named)
        if self._exponential and asked.kind == "histogram" and rule.aggregation == "default":
            return None
        return DEFAULT_BOUNDS if advised is None else advised


def _fits(rule: ViewRule, asked: Instrument) -> bool:
    histogram = not rule.drop and _kind(rule, asked.kind) == "histogram"
    if histogram and asked.kind.startswith("observable_"):
        _logger.warning(
            "View %s and instrument %s will produce semantic errors when matched, "
            "the view has not been applied.",
            rule,
            asked.name,
        )
        return False
    return True


def _never_negative(rule: ViewRule, asked: Instrument) -> bool:
    """Whether there can be an exponential histogram; ours have no buckets below zero."""
    if asked.kind in ("histogram", "counter"):
        return True
    _logger.warning("View %s: %s may be negative and gets explicit boundaries.", rule, asked.name)
    return False


def _kind(rule: ViewRule, kind: Kind) -> Kind:
    """The kind of stream that the rule makes of an instrument of `kind`."""
    prefix = "observable_" if kind.startswith("observable_") else ""
    if rule.aggregation in ("histogram", "exponential") or (
        rule.aggregation == "default" and rule.bounds is not None
    ):
        return "histogram"
    if rule.aggregation == "sum" and kind not in SUM_KINDS:
        return cast(Kind, f"{prefix}up_down_counter")
    if rule.aggregation == "last":
        return cast(Kind, f"{prefix}gauge")
    return kind


def _named(table: Mapping[str, Any], *names: str) -> Any:
    """The entry for the first of `names` that the table has, exactly or by pattern; else None."""
    for name in names:
        if name.lower() in table:
            return table[name.lower()]
    for name in names:
        for pattern, value in table.items():
            if fnmatchcase(name.lower(), pattern):
                return value
    return None


def as_rule(view: object) -> ViewRule:
    """A rule, whichever way it was written. Raises TypeError for what is no view."""
    if isinstance(view, ViewRule):
        return view
    if isinstance(view, View):
        return ViewRule.of_setting(view)
    # Deferred: a process whose views all come from variables need not load the SDK's metrics.
    from otelc2c.record import sdk_views

    return sdk_views.rule_of(view)
