"""Collections of the garbage collector, counted exactly."""

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

from otelc2c import catalog, guard
from otelc2c.catalog import Metric
from otelc2c.measure.garbage import Collections
from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.points import Distribution


class Ring:
    """Something that only the collector can free."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def quiet() -> Iterator[None]:
    """The collector only runs when it is told to."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    yield
    if was:
        gc.enable()


@pytest.fixture
def store(quiet: None) -> Iterator[Store]:
    """A store in which this process' collections are counted."""
    made = Store.open_private()
    counting = Collections(made)
    counting.start()
    yield made
    counting.stop()
    assert counting not in gc.callbacks
    counting.stop()


def values(store: Store, metric: Metric) -> dict[Any, Any]:
    """By generation."""
    return {
        point.attributes[catalog.GC_GENERATION]: point.value
        for family in families_of(store)
        if family.instrument.name == metric.name
        for point in family.points
    }


def test_collections_and_what_they_found_are_counted_by_generation(store: Store) -> None:
    for _ in range(5):
        Ring()
    gc.collect(0)
    Ring()
    gc.collect(2)
    gc.collect(2)
    gc.collect(1)
    assert values(store, catalog.GC_COLLECTIONS) == {0: 1, 1: 1, 2: 2}
    collected = values(store, catalog.GC_COLLECTED_OBJECTS)
    assert collected[0] >= 5
    assert collected[2] >= 1
    assert values(store, catalog.GC_UNCOLLECTABLE_OBJECTS) == {0: 0, 1: 0, 2: 0}


def test_what_cannot_be_freed_is_counted(store: Store) -> None:
    counting = gc.callbacks[-1]
    counting("start", {"generation": 1, "collected": 0, "uncollectable": 0})
    counting("stop", {"generation": 1, "collected": 3, "uncollectable": 2})
    assert values(store, catalog.GC_UNCOLLECTABLE_OBJECTS)[1] == 2
    assert values(store, catalog.GC_COLLECTED_OBJECTS)[1] == 3


def test_pauses_have_a_length(store: Store) -> None:
    kept = [[number] for number in range(50_000)]
    gc.collect(2)
    (pause,) = [value for value in values(store, catalog.GC_PAUSE).values() if value.count]
    assert isinstance(pause, Distribution)
    assert pause.count == 1
    assert 0.0001 < pause.sum < 60
    assert kept


def test_counting_leaves_nothing_for_the_collector(store: Store) -> None:
    """What the callback makes would bring the next collection nearer."""
    counting = gc.callbacks[-1]
    info = {"generation": 0, "collected": 7, "uncollectable": 0}
    counting("start", info)
    counting("stop", info)
    before = gc.get_count()[0]
    for _ in range(1000):
        counting("start", info)
        counting("stop", info)
    assert gc.get_count()[0] - before < 50


def test_a_fork_counts_its_own(store: Store) -> None:
    gc.collect(2)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        store.restart(None)
        gc.collect(2)
        gc.collect(2)
        os.write(write, str(values(store, catalog.GC_COLLECTIONS)[2]).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(read, 10) == b"2"
    os.close(read)
    os.close(write)
    assert values(store, catalog.GC_COLLECTIONS)[2] == 1


def test_a_child_writes_nothing_into_the_files_of_its_parent(store: Store) -> None:
    """Until it has its own; a sum that went back was seen of workers that were killed."""
    counting = next(each for each in gc.callbacks if isinstance(each, Collections))
    counting._pause()
    gc.collect()
    assert values(store, catalog.GC_COLLECTIONS).get(2, 0) == 0
    counting._go_on()
    gc.collect()
    assert values(store, catalog.GC_COLLECTIONS)[2] == 1


def test_a_collection_during_which_the_process_forked_has_no_length(store: Store) -> None:
    counting = next(each for each in gc.callbacks if isinstance(each, Collections))
    counting("start", {"generation": 0})
    counting._pause()
    counting._go_on()
    counting("stop", {"generation": 0, "collected": 0, "uncollectable": 0})
    assert values(store, catalog.GC_COLLECTIONS).get(0, 0) == 0


def test_a_generation_that_nobody_knows_is_swallowed(store: Store) -> None:
    guard.strict(False)
    counting = gc.callbacks[-1]
    counting("start", {"generation": 9})
    counting("stop", {"generation": 9, "collected": 0, "uncollectable": 0})
    assert guard.counts() == {"measure.garbage": 1}
