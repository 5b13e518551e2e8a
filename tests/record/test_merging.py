"""Several processes' numbers as one."""

import os
from typing import Any

import pytest

from otelc2c.record.cells import Store, memory_of
from otelc2c.record.exponential_cells import exponential_cell
from otelc2c.record.merging import WORKER, Merger, Source
from otelc2c.record.points import OVERFLOW, Distribution, Family, Instrument, Scope
from otelc2c.record.reading import CellsReader

SCOPE = Scope("tests")
COUNTER = Instrument(SCOPE, "counter", "counter")
UP_DOWN = Instrument(SCOPE, "up_down", "up_down_counter")
HISTOGRAM = Instrument(SCOPE, "histogram", "histogram", bounds=(1.0, 2.0))


def gauge(combine: Any) -> Instrument:
    return Instrument(SCOPE, f"gauge.{combine}", "gauge", combine=combine)


def source(store: Store, worker: str = "") -> Source:
    return Source(CellsReader(store.memory, lambda: store.memory), worker)


def values(families: list[Family]) -> dict[tuple[str, Any], Any]:
    return {
        (family.instrument.name, *point.attributes.values()): point.value
        for family in families
        for point in family.points
    }


def two_workers() -> list[Source]:
    stores = [Store.open_private(), Store.open_private()]
    for number, store in enumerate(stores, 1):
        store.counter_cell(COUNTER, {"a": "x"}).add(number)
        store.counter_cell(UP_DOWN, {}).add(number)
        cell = store.histogram_cell(HISTOGRAM, {})
        cell.record(number)
        cell.exemplar(number, 10 * number, bytes([number] * 16), bytes([number] * 8))
        for combine in ("sum", "max", "recent", "worker"):
            # The second worker's value is older and smaller.
            store.gauge_cell(gauge(combine), {}).set(10 // number, 1000 - number)
    return [source(store, str(number)) for number, store in enumerate(stores)]


def test_sums_and_histograms_are_added() -> None:
    found = values(Merger().collect(two_workers()))
    assert found["counter", "x"] == 3
    assert found["up_down",] == 3
    assert found["histogram",] == Distribution([1, 1, 0], 3.0, 1.0, 2.0)


def test_a_sum_falls_by_no_rounding_when_a_process_ends_and_is_added_first() -> None:
    """T3: a counter that falls has begun anew to Prometheus, and counts twice in a rate."""
    exponential = HISTOGRAM._replace(name="exponential", bounds=(), buckets=20)
    stores = [Store.open_private() for _ in range(3)]
    for store, value in zip(stores, (0.1, 0.2, 0.3), strict=True):
        store.counter_cell(COUNTER, {"a": "x"}).add(value)
        store.histogram_cell(HISTOGRAM, {}).record(value)
        exponential_cell(store, exponential, {}).record(value)
        store.counter_cell(UP_DOWN, {}).add(value)
    sources = [source(store) for store in stores]
    merger = Merger()

    def sums() -> list[float]:
        found = values(merger.collect(sources))
        return [found["counter", "x"], found["histogram",].sum, found["exponential",].sum, found["up_down",]]

    before = sums()
    sources.reverse()
    assert sums() == before == [0.1 + 0.2 + 0.3] * 4
    assert before[0] > 0.3 + 0.2 + 0.1
    # What really falls is told.
    stores[0].counter_cell(UP_DOWN, {}).add(-1e-9)
    assert sums()[3] == pytest.approx(0.6 - 1e-9, abs=1e-15)


def test_the_newest_exemplar_of_each_bucket_is_kept() -> None:
    families = Merger().collect(two_workers())
    (point,) = next(family.points for family in families if family.instrument == HISTOGRAM)
    assert [(exemplar.time_ns, exemplar.value) for exemplar in point.exemplars] == [(10, 1.0), (20, 2.0)]


def test_gauges_combine_as_they_declare() -> None:
    """D4: sum, max, most recent, per worker."""
    found = values(Merger().collect(two_workers()))
    assert found["gauge.sum",] == 15
    assert found["gauge.max",] == 10
    assert found["gauge.recent",] == 10
    assert (found["gauge.worker", "0"], found["gauge.worker", "1"]) == (10, 5)


def test_a_gauge_a_worker_tells_its_workers_apart_by_an_attribute() -> None:
    families = Merger().collect(two_workers())
    (family,) = [family for family in families if family.instrument.name == "gauge.worker"]
    assert [point.attributes for point in family.points] == [{WORKER: "0"}, {WORKER: "1"}]


def test_one_true_and_a_fraction_are_three_attribute_sets() -> None:
    """hot-path 4: 1 == True == 1.0."""
    store = Store.open_private()
    for value in (1, True, 1.0, (1,), (True,)):
        store.counter_cell(COUNTER, {"a": value}).add(1)
    (family,) = Merger().collect([source(store)])
    assert len(family.points) == 5


def test_the_order_of_attributes_does_not_matter() -> None:
    store = Store.open_private()
    store.counter_cell(COUNTER, {"a": 1, "b": "x"}).add(1)
    store.counter_cell(COUNTER, {"b": "x", "a": 1}).add(1)
    (family,) = Merger().collect([source(store)])
    assert [point.value for point in family.points] == [2]


def test_attribute_sets_above_the_limit_share_the_overflow_set() -> None:
    stores = [Store.open_private(), Store.open_private()]
    for offset, store in enumerate(stores):
        for number in range(10):
            store.counter_cell(COUNTER, {"number": number + offset * 10}).add(1)
    (family,) = Merger(limit=15).collect([source(store) for store in stores])
    assert len(family.points) == 16
    assert [point.value for point in family.points if point.attributes == OVERFLOW] == [5]


def test_what_is_kept_of_the_dead_is_what_outlives_them(tmp_path: Any) -> None:
    path = str(tmp_path / "fold")
    merger = Merger()
    before = values(merger.collect(two_workers()))
    kept = merger.keep(["one", "two"], lambda store: store.publish(path))
    reader = CellsReader(memory_of(path), lambda: memory_of(path))
    read_again = values(Merger().collect([Source(reader)]))
    lasting = {("counter", "x"), ("histogram",), ("gauge.recent",)}
    assert read_again == {key: value for key, value in before.items() if key in lasting}
    assert values(merger.collect([kept])) == read_again
    assert reader.folded == ["one", "two"]


def test_what_was_kept_is_added_to_the_living() -> None:
    merger = Merger()
    workers = two_workers()
    merger.collect(workers)
    kept = merger.keep([], lambda store: None)
    assert values(merger.collect([kept, *workers]))["counter", "x"] == 6


def test_exemplars_are_kept_with_the_dead(tmp_path: Any) -> None:
    merger = Merger()
    merger.collect(two_workers())
    kept = merger.keep([], lambda store: store.publish(os.fspath(tmp_path / "fold")))
    (family,) = [family for family in merger.collect([kept]) if family.instrument == HISTOGRAM]
    assert [exemplar.time_ns for exemplar in family.points[0].exemplars] == [10, 20]


@pytest.mark.parametrize("value", [2**62, -(2**62)])
def test_sums_larger_than_a_word_are_kept(value: int) -> None:
    stores = [Store.open_private() for _ in range(4)]
    for store in stores:
        store.counter_cell(COUNTER, {}).add(value)
    merger = Merger()
    sources = [source(store) for store in stores]
    assert values(merger.collect(sources)) == {("counter",): 4 * value}
    kept = merger.keep([], lambda store: None)
    assert values(merger.collect([kept])) == {("counter",): float(4 * value)}
