"""From an attribute set to its cell: caches, the limit on sets, several streams."""

import itertools
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelc2c.record.attribute_sets import clean, key_of
from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.points import OVERFLOW, Distribution, Instrument, Scope
from otelc2c.record.streams import Fan, Feed, Stream, Table
from otelc2c.record.views import StreamPlan

COUNTER = Instrument(Scope("m"), "c", "counter")


def feed(store: Store, limit: int = 10, **plan: Any) -> Feed:
    """A feed of one counter."""
    made = StreamPlan(COUNTER, **plan)
    return Feed([made], [Stream(store, COUNTER, limit)], "add", limit)


def quickly(feed: Feed, attributes: Any) -> Any:
    """The sink that a hot path finds, written as instruments write it, or None."""
    try:
        if not attributes:
            return feed.bare[0]
        shape = feed.shapes[len(attributes)]
        values = shape.values(attributes)
        return shape.tables[values[shape.at].__class__][values]
    except (LookupError, TypeError):
        return None


def held(feed: Feed) -> int:
    """Sinks that a feed's caches hold."""

    def inside(table: Table | dict[Any, Any]) -> int:
        return len(table) if isinstance(table, dict) else sum(map(inside, table.tables.values()))

    return sum(map(inside, [*feed.shapes.values(), *feed.others.values()]))


def totals(store: Store) -> dict[Any, Any]:
    """The value of each set."""
    return {
        key_of(clean(point.attributes)): point.value
        for family in families_of(store)
        for point in family.points
    }


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"a": "x"},
        {"a": 1},
        {"a": "x", "b": "y"},
        {"a": "x", "b": 200},
        {"a": "x", "b": False},
        {"a": 1, "b": "x", "c": 2.5, "d": True},
    ],
)
def test_a_known_set_is_found_the_short_way(attributes: Any) -> None:
    """In whatever order its attributes come."""
    found = feed(Store.open_private())
    sink = found.find(attributes)
    assert quickly(found, attributes) is sink
    assert quickly(found, dict(reversed(attributes.items()))) is sink


def test_a_set_of_another_shape_of_the_same_size_is_still_cached() -> None:
    """By the names in the order in which they came, and by the same rules."""
    found = feed(Store.open_private())
    found.find({"a": "x", "b": "y"})
    sink = found.find({"c": "x", "d": 1})
    assert quickly(found, {"c": "x", "d": 1}) is None
    assert found.find({"c": "x", "d": 1}) is sink
    assert found.others[("c", "d")][("x", 1)] is sink
    assert found.find({"c": "x", "d": True}) is not sink
    assert held(found) == 3


def test_a_shape_learns_where_values_are_not_text() -> None:
    """What it held before is found again."""
    found = feed(Store.open_private())
    sets: list[dict[str, Any]] = [
        {"a": "x", "b": "y"},
        {"a": "x", "b": 1},
        {"a": 1, "b": 1},
        {"a": 1, "b": "y"},
    ]
    sinks = [found.find(attributes) for attributes in sets]
    assert [found.find(attributes) for attributes in sets] == sinks
    assert [quickly(found, attributes) for attributes in sets] == sinks
    assert quickly(found, {"a": True, "b": 1}) is None
    assert quickly(found, {"a": 1, "b": 1.0}) is None


def test_the_overflow_is_never_cached_and_takes_what_is_above_the_limit() -> None:
    """The limit counts sets, the overflow point among them (T35)."""
    store = Store.open_private()
    found = feed(store, limit=5)
    for number in range(1000):
        found.find({"host": f"h{number}"}).add(1)
    assert held(found) == 4
    assert len(totals(store)) == 5
    assert totals(store)[key_of(OVERFLOW)] == 996


def test_sets_that_are_there_go_on_when_the_limit_is_reached() -> None:
    """Only new ones overflow."""
    store = Store.open_private()
    found = feed(store, limit=3)
    for number in (0, 1, 2, 3, 0, 1, 2, 3):
        found.find({"host": number}).add(1)
    assert totals(store) == {key_of({"host": 0}): 2, key_of({"host": 1}): 2, key_of(OVERFLOW): 4}


def test_a_limit_of_one_leaves_only_the_overflow() -> None:
    """The smallest limit there is."""
    store = Store.open_private()
    found = feed(store, limit=1)
    found.find({}).add(1)
    found.find({"a": 1}).add(1)
    assert totals(store) == {key_of(OVERFLOW): 2}


def test_the_limit_counts_sets_after_views() -> None:
    """A view that leaves the attribute without end out saves the rest; the caches stay bounded."""
    store = Store.open_private()
    found = feed(store, limit=5, exclude=frozenset({"user"}))
    for number in range(1000):
        found.find({"user": f"u{number}", "a": "x"}).add(1)
        assert held(found) <= 10
    assert totals(store) == {key_of({"a": "x"}): 1000}


def test_shapes_of_every_size_stay_bounded() -> None:
    """Beyond some size the way is longer."""
    found = feed(Store.open_private(), limit=5000)
    for size in range(1, 60):
        found.find({f"n{size}.{number}": "x" for number in range(size)})
    assert len(found.shapes) == 32
    assert held(found) == 59


def test_names_without_end_stay_bounded() -> None:
    """Names may be the caller's choice as well; only sets that have a place of their own are kept."""
    found = feed(Store.open_private(), limit=5)
    for number in range(1000):
        found.find({f"n{number}": "x"})
    assert len(found.shapes) + len(found.others) <= 10


def test_a_handler_of_a_signal_may_count_while_a_cell_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes in the thread that makes the cell, and waiting for it would be for ever. Nothing is lost."""
    store = Store.open_private()
    stream = Stream(store, COUNTER)
    make = store.counter_cell

    def interrupted(*asked: Any) -> Any:
        monkeypatch.setattr(store, "counter_cell", make)
        stream.cell({"a": "x"})[0].add(2)
        return make(*asked)

    monkeypatch.setattr(store, "counter_cell", interrupted)
    thread = threading.Thread(target=lambda: stream.cell({"a": "x"})[0].add(1), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    stream.cell({"a": "x"})[0].add(4)
    assert totals(store) == {key_of({"a": "x"}): 7}


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b", "c"]),
            st.one_of(
                st.sampled_from([0, 1, True, False, 0.0, 1.0, "0", "1", "", "x", -0.0, None]),
                st.lists(st.sampled_from([0, 1, True, 1.0, "1"]), max_size=2),
            ),
        ),
        max_size=30,
    )
)
@settings(max_examples=100, deadline=None)
def test_caches_never_change_what_is_counted(sets: list[dict[str, Any]]) -> None:
    """The same numbers as by keys alone, whatever came before (hot-path 4)."""
    store = Store.open_private()
    found = feed(store, limit=10_000)
    expected: dict[Any, int] = {}
    for attributes in itertools.chain(sets, sets):
        (quickly(found, attributes) or found.find(attributes)).add(1)
        key = key_of(clean(attributes))
        expected[key] = expected.get(key, 0) + 1
    assert totals(store) == expected


def test_a_fan_writes_to_all_and_offers_exemplars_where_they_are_kept() -> None:
    """Each cell in its own way; the first that is due decides."""
    store = Store.open_private()
    counter = store.counter_cell(COUNTER, {})
    gauge = store.gauge_cell(COUNTER._replace(name="g", kind="gauge"), {})
    histogram = store.histogram_cell(COUNTER._replace(name="h", kind="histogram", bounds=(1.0,)), {})
    fan = Fan([counter, gauge, histogram])
    fan.add(2)
    fan.exemplar(2, 5, b"t" * 16, b"s" * 8)
    families = {family.instrument.name: family.points[0] for family in families_of(store)}
    assert (families["c"].value, families["g"].value) == (2, 2)
    assert families["h"].value == Distribution([0, 1], 2, 2, 2)
    assert families["c"].exemplars == families["h"].exemplars == ((5, 2.0, b"t" * 16, b"s" * 8),)
    assert fan.exemplar_due == counter.exemplar_due > 5
    assert Fan([]).exemplar_due > counter.exemplar_due
