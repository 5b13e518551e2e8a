"""Views by variable and by code: which streams an instrument feeds."""

from typing import Any

import pytest
from opentelemetry.metrics import Instrument as Instrument_
from opentelemetry.sdk.metrics.view import (
    ExponentialBucketHistogramAggregation,
    View,
)

from otelc2c.record.points import Instrument, Kind, Scope
from otelc2c.record.views import DEFAULT_BOUNDS, ViewRule, Views, checked_bounds
from otelc2c.settings.values import View as SettingsView

HISTOGRAM = Instrument(Scope("m"), "h", "histogram")
GAUGE = Instrument(Scope("m"), "g", "gauge", combine="recent")


def bounds(views: Views, advised: tuple[float, ...] | None = None) -> tuple[float, ...]:
    """The boundaries of the one stream of a histogram."""
    (plan,) = views.plans(HISTOGRAM, advised)
    return plan.instrument.bounds


def test_without_views_the_instrument_is_its_own_stream() -> None:
    """With the default boundaries."""
    (plan,) = Views().plans(HISTOGRAM)
    assert plan.instrument == HISTOGRAM._replace(bounds=DEFAULT_BOUNDS)
    assert plan.filtered({"a": 1}) == {"a": 1}


def test_a_view_of_the_settings_says_what_a_rule_says() -> None:
    """Every part of OTELC2C_VIEWS."""
    view = SettingsView("h", False, "renamed", ("a", "b"), ("b",), (1.0, 2.0))
    (plan,) = Views([view]).plans(HISTOGRAM)
    assert (plan.instrument.name, plan.instrument.bounds) == ("renamed", (1.0, 2.0))
    assert plan.filtered({"a": 1, "b": 2, "c": 3}) == {"a": 1}
    assert Views([SettingsView("H*", drop=True)]).plans(HISTOGRAM) == []


def test_boundaries_of_a_view_win_over_the_variable_over_the_instrument_over_the_default() -> None:
    """Who is nearer to the operator decides."""
    rule = ViewRule("h", bounds=(1.0,))
    by_variable = {"h": (2.0,)}
    assert bounds(Views([rule], by_variable), (3.0,)) == (1.0,)
    assert bounds(Views([], by_variable), (3.0,)) == (2.0,)
    assert bounds(Views([ViewRule("h")], by_variable), (3.0,)) == (2.0,)
    assert bounds(Views(), (3.0,)) == (3.0,)
    assert bounds(Views(), ()) == ()


@pytest.mark.parametrize("name", ["h", "H", "*", "?", "renamed"])
def test_the_variable_for_boundaries_names_instrument_or_stream(name: str) -> None:
    """Exactly, by pattern, or by the name that a view gave."""
    views = Views([ViewRule("h", rename="renamed")], {name: (2.0,), "other": (9.0,)})
    assert bounds(views) == (2.0,)


def test_an_exact_name_wins_over_a_pattern() -> None:
    """Whatever their order."""
    assert bounds(Views([], {"*": (1.0,), "h": (2.0,)})) == (2.0,)


def test_gauges_are_combined_as_the_variable_says() -> None:
    """And else as the instrument says; sums are always summed."""
    views = Views([], gauges={"g": "max", "h*": "max", "c": "max"})
    assert views.plans(GAUGE)[0].instrument.combine == "max"
    assert Views().plans(GAUGE)[0].instrument.combine == "recent"
    assert views.plans(HISTOGRAM)[0].instrument.combine == "sum"
    assert views.plans(GAUGE._replace(name="c", kind="counter"))[0].instrument.combine == "sum"


EXPONENTIAL = View(
    instrument_type=Instrument_, aggregation=ExponentialBucketHistogramAggregation(max_size=20, max_scale=30)
)


@pytest.mark.parametrize("kind", ["histogram", "counter"])
def test_a_view_of_the_sdks_asks_for_an_exponential_histogram(kind: Kind) -> None:
    """With its size, and at most the largest scale whose buckets have numbers of 32 bits."""
    (plan,) = Views([EXPONENTIAL], {"h": (1.0,)}).plans(HISTOGRAM._replace(kind=kind), (2.0,))
    assert plan.instrument == HISTOGRAM._replace(buckets=20, scale=20)


@pytest.mark.parametrize("kind", ["up_down_counter", "gauge"])
def test_what_may_be_negative_gets_explicit_boundaries_with_a_warning(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """There are no buckets below zero."""
    (plan,) = Views([EXPONENTIAL]).plans(HISTOGRAM._replace(kind=kind))
    assert plan.instrument == HISTOGRAM._replace(bounds=DEFAULT_BOUNDS)
    assert "may be negative" in caplog.text


def test_histograms_are_exponential_by_default_where_that_is_asked_for() -> None:
    """Whatever boundaries an instrument advises, but not against those that an operator names."""

    def size(views: Views, instrument: Instrument = HISTOGRAM) -> int:
        (plan,) = views.plans(instrument, (3.0,))
        assert bool(plan.instrument.bounds) is (
            plan.instrument.kind == "histogram" and not plan.instrument.buckets
        )
        return plan.instrument.buckets

    assert size(Views(exponential=True)) == 160
    assert size(Views([ViewRule("h", rename="x")], exponential=True)) == 160
    assert size(Views([], {"h": (2.0,)}, exponential=True)) == 0
    assert size(Views([ViewRule("h", bounds=(1.0,))], exponential=True)) == 0
    assert size(Views([ViewRule("h", aggregation="histogram")], exponential=True)) == 0
    assert size(Views(exponential=True), GAUGE) == 0
    assert size(Views()) == 0


@pytest.mark.parametrize(
    "rule",
    [
        {"selector": "h*", "rename": "x"},
        {"selector": "h", "rename": "1x"},
        {"selector": "h", "aggregation": "average"},
        {"selector": "h", "buckets": 1},
        {"selector": "h", "buckets": 8193},
        {"selector": "h", "scale": 21},
        {"selector": "h", "scale": -11},
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, Any]) -> None:
    """Where it is made."""
    with pytest.raises(ValueError, match="view 'h"):
        ViewRule(**rule)


def test_what_is_no_view_is_refused() -> None:
    """It names itself."""
    with pytest.raises(TypeError, match="'h' is no view"):
        Views(["h"])
    with pytest.raises(ValueError, match="'least' is none of"):
        Views([], gauges={"g": "least"})


@pytest.mark.parametrize("wrong", [(2.0, 1.0), (1.0, 1.0), (float("inf"),), (float("nan"),)])
def test_boundaries_are_finite_and_increase(wrong: tuple[float, ...]) -> None:
    """As the cells need them."""
    with pytest.raises(ValueError, match="boundar"):
        checked_bounds(wrong)
    with pytest.raises(ValueError, match="boundar"):
        Views([], {"h": wrong})
