"""Instruments of our own catalogue: keyed by values in their declared order."""

import pytest

from otelc2c import catalog, guard
from otelc2c.catalog import Metric
from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.own import SCOPE, OwnCounter, OwnGauge, OwnHistogram, OwnUpDownCounter
from otelc2c.record.points import OVERFLOW, Distribution, Family
from otelc2c.record.views import ViewRule, Views

COUNTER = Metric("c", "counter", "{x}", "Counts.", ("a", "b"))
LATENCY = Metric("h", "histogram", "s", "Takes.", ("a",), (1.0, 2.0))


@pytest.fixture
def store() -> Store:
    """A store of this test alone."""
    return Store.open_private()


def only(store: Store) -> Family:
    """The one family there is."""
    (family,) = families_of(store)
    return family


def values(family: Family) -> dict[tuple[tuple[str, object], ...], object]:
    """The points of a family by their attributes."""
    return {tuple(sorted(point.attributes.items())): point.value for point in family.points}


def test_a_histogram_counts_under_the_catalogue_entry(store: Store) -> None:
    """Name, unit, boundaries and the sentence are those of the entry."""
    metric = catalog.HTTP_SERVER_REQUEST_DURATION
    histogram = OwnHistogram(store, metric)
    key = ("GET", "http", "/a", 200, "1.1", None)
    histogram.cell(key).record(0.02)
    histogram.cell(key).record(0.3)

    instrument, points = only(store)
    assert instrument.scope == SCOPE
    assert (instrument.name, instrument.unit, instrument.description) == (
        metric.name,
        metric.unit,
        metric.description,
    )
    assert instrument.bounds == metric.bounds
    assert points[0].attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": "/a",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }
    assert isinstance(points[0].value, Distribution)
    assert (points[0].value.count, points[0].value.min, points[0].value.max) == (2, 0.02, 0.3)


def test_the_same_values_get_the_same_cell(store: Store) -> None:
    """A cell may be kept by whoever asked for it."""
    counter = OwnCounter(store, COUNTER)
    assert counter.cell(("x", 1)) is counter.cell(("x", 1))


def test_text_and_numbers_are_different_series(store: Store) -> None:
    """The status 200 is not the text "200" (hot-path 4)."""
    counter = OwnCounter(store, COUNTER)
    for value in (200, "200"):
        counter.cell(("x", value)).add(1)
    assert {point.attributes["b"] for point in only(store).points} == {200, "200"}


def test_a_value_of_none_is_absent(store: Store) -> None:
    """There is no attribute without a value."""
    counter = OwnCounter(store, COUNTER)
    counter.cell((None, "y")).add(2)
    assert values(only(store)) == {(("b", "y"),): 2}


def test_up_down_counters_and_gauges_keep_their_kind(store: Store) -> None:
    """What goes down may go down, a gauge says how workers are combined."""
    OwnUpDownCounter(store, catalog.HTTP_SERVER_ACTIVE_REQUESTS).cell(("GET", "http")).add(-1)
    gauge = Metric("g", "gauge", "1", "Is.", combine="max")
    OwnGauge(store, gauge).cell(()).set(1.5)
    families = {family.instrument.name: family for family in families_of(store)}
    assert families["http.server.active_requests"].points[0].value == -1
    assert families["g"].points[0].value == 1.5
    assert families["g"].instrument.combine == "max"


def test_sets_above_the_limit_share_the_overflow_point_and_are_not_kept(store: Store) -> None:
    """The limit counts sets and the overflow point is one of them; the cache stays bounded."""
    counter = OwnCounter(store, COUNTER, limit=4)
    for number in range(100):
        counter.cell(("x", number)).add(1)
    counter.cell(("x", 0)).add(1)
    points = values(only(store))
    assert len(points) == 4
    assert points[tuple(OVERFLOW.items())] == 97
    assert points[(("a", "x"), ("b", 0))] == 2
    assert len(counter._cells) <= 4


def test_views_apply_to_our_own_metrics(store: Store) -> None:
    """Attributes are left out and boundaries changed by the same variables."""
    views = Views([ViewRule("c", exclude=frozenset({"b"}))], buckets={"h": (0.5,)})
    counter = OwnCounter(store, COUNTER, views=views)
    counter.cell(("x", 1)).add(1)
    counter.cell(("x", 2)).add(1)
    OwnHistogram(store, LATENCY, views=views).cell(("x",)).record(0.7)
    families = {family.instrument.name: family for family in families_of(store)}
    assert values(families["c"]) == {(("a", "x"),): 2}
    assert families["h"].instrument.bounds == (0.5,)


def test_a_dropped_metric_has_cells_that_nobody_reads(store: Store) -> None:
    """Whoever measures need not know."""
    cell = OwnHistogram(store, LATENCY, views=Views([ViewRule("h", drop=True)])).cell(("x",))
    cell.record(1.0)
    cell.exemplar(1.0, 1, bytes(16), bytes(8))
    assert families_of(store) == []


def test_two_views_make_two_streams(store: Store) -> None:
    """One measurement arrives in both."""
    views = Views([ViewRule("h"), ViewRule("h", rename="h.total", aggregation="sum")])
    OwnHistogram(store, LATENCY, views=views).cell(("x",)).record(1.5)
    families = {family.instrument.name: family for family in families_of(store)}
    assert families["h"].points[0].value.count == 1  # type: ignore[union-attr]
    assert families["h.total"].points[0].value == 1.5


def test_a_wrong_number_of_values_never_reaches_the_caller(store: Store) -> None:
    """The failure is counted by the guard; the cell that comes back takes anything."""
    guard.strict(False)
    cell = OwnCounter(store, COUNTER).cell(("x",))
    cell.add(1)
    assert guard.counts() == {"record.own": 1}
    assert families_of(store) == []
