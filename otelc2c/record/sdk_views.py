"""The SDK's `View` objects as rules of ours.

A `View` has no public attributes; its private ones are read here and nowhere else. The contract
tests compare the outcome with the SDK's, so a change there is noticed.
"""

import logging
from typing import Any, Final

from opentelemetry.metrics import Instrument as ApiInstrument
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.view import (
    DefaultAggregation,
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    LastValueAggregation,
    SumAggregation,
    View,
)

from otelc2c.record.exponential import LARGEST_SCALE, USUAL_BUCKETS
from otelc2c.record.views import Aggregation, ViewRule, checked_bounds

_logger: Final = logging.getLogger(__name__)

CLASSES: Final[dict[str, type[ApiInstrument]]] = {
    "counter": sdk.Counter,
    "up_down_counter": sdk.UpDownCounter,
    "histogram": sdk.Histogram,
    "gauge": sdk._Gauge,
    "observable_counter": sdk.ObservableCounter,
    "observable_up_down_counter": sdk.ObservableUpDownCounter,
    "observable_gauge": sdk.ObservableGauge,
}
"""The SDK's class for each kind. A view may name one of these, or any of their base classes."""


def rule_of(view: object) -> ViewRule:
    """The rule that says what the SDK's `view` says. Raises TypeError for anything else.

    Extremes are always recorded, reservoirs of exemplars are our own. Raises ValueError for an
    exponential histogram of a size or scale that cannot be.
    """
    if not isinstance(view, View):
        raise TypeError(f"{view!r} is no view")
    private: Any = view
    aggregation, bounds = _aggregation(private)
    keys = private._attribute_keys
    asked = private._aggregation
    exponential = isinstance(asked, ExponentialBucketHistogramAggregation)
    return ViewRule(
        buckets=asked._max_size if exponential else USUAL_BUCKETS,
        scale=min(asked._max_scale, LARGEST_SCALE) if exponential else LARGEST_SCALE,
        selector=private._instrument_name or "*",
        drop=isinstance(private._aggregation, DropAggregation),
        rename=private._name,
        keys=None if keys is None else frozenset(keys),
        bounds=bounds,
        description=private._description,
        aggregation=aggregation,
        kinds=_kinds(private._instrument_type),
        unit=private._instrument_unit,
        meter=private._meter_name,
        meter_version=private._meter_version,
        meter_schema_url=private._meter_schema_url,
    )


def _kinds(wanted: type | None) -> frozenset[str] | None:
    if wanted is None:
        return None
    return frozenset(kind for kind, known in CLASSES.items() if issubclass(known, wanted))


def _aggregation(view: Any) -> tuple[Aggregation, tuple[float, ...] | None]:
    asked = view._aggregation
    if isinstance(asked, ExplicitBucketHistogramAggregation):
        boundaries = asked._boundaries
        return "histogram", None if boundaries is None else checked_bounds(boundaries)
    if isinstance(asked, ExponentialBucketHistogramAggregation):
        return "exponential", None
    if isinstance(asked, SumAggregation):
        return "sum", None
    if isinstance(asked, LastValueAggregation):
        return "last", None
    if not isinstance(asked, DefaultAggregation | DropAggregation):
        _logger.warning("View %s has an unknown aggregation: it gets the default one.", view)
    return "default", None
