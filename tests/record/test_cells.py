"""Numbers in cells: exact, bound for life, own to each process."""

import os
import threading
from pathlib import Path

import pytest

from otelc2c.record import files, layout
from otelc2c.record.cells import Chunk, Store, SumCell, memory_of
from otelc2c.record.merging import Merger, Source, families_of
from otelc2c.record.points import Distribution, Instrument, Point, Scope
from otelc2c.record.reading import CellsReader

SCOPE = Scope("tests")
COUNTER = Instrument(SCOPE, "tests.counter", "counter")
GAUGE = Instrument(SCOPE, "tests.gauge", "gauge", combine="recent")
HISTOGRAM = Instrument(SCOPE, "tests.histogram", "histogram", "s", "", (0.1, 1.0, 5.0))


def points(store: Store, name: str = "tests.counter") -> list[Point]:
    return [
        point for family in families_of(store) if family.instrument.name == name for point in family.points
    ]


def read(path: Path) -> list[Point]:
    reader = CellsReader(memory_of(str(path)), lambda: memory_of(str(path)))
    return [point for family in Merger().collect([Source(reader)]) for point in family.points]


def test_whole_numbers_stay_whole_beside_fractions() -> None:
    store = Store.open_private()
    whole = store.counter_cell(COUNTER, {"kind": "whole"})
    mixed = store.counter_cell(COUNTER, {"kind": "mixed"})
    whole.add(2**53 + 1)
    mixed.add(3)
    mixed.add(0.5)
    values = [point.value for point in points(store)]
    assert values == [2**53 + 1, 3.5]
    assert isinstance(values[0], int)


def test_a_whole_number_too_large_for_a_word_is_kept_as_a_fraction() -> None:
    store = Store.open_private()
    cell = store.counter_cell(COUNTER, {})
    cell.add(5)
    cell.add(2**63 - 1)
    assert points(store)[0].value == pytest.approx(2.0**63)


def test_an_observed_total_replaces_what_was_there() -> None:
    store = Store.open_private()
    cell = store.counter_cell(COUNTER, {})
    for total in (7, 9.5, 12):
        cell.set_total(total)
        assert points(store)[0].value == total


def test_a_histogram_counts_its_buckets_sum_and_extremes() -> None:
    store = Store.open_private()
    cell = store.histogram_cell(HISTOGRAM, {"route": "/a"})
    for value in (0.1, 0.5, 0.5, 7.0):
        cell.record(value)
    assert points(store, "tests.histogram") == [
        Point({"route": "/a"}, Distribution([1, 2, 0, 1], 8.1, 0.1, 7.0))
    ]


def test_an_exemplar_stands_in_its_bucket_and_is_taken_once_a_second() -> None:
    store = Store.open_private()
    cell = store.histogram_cell(HISTOGRAM, {})
    start = 1_000_000_000_000
    for number, value in enumerate((0.5, 0.6, 7.0)):
        cell.record(value)
        cell.exemplar(value, start + number * 600_000_000, bytes([number]) * 16, bytes([number]) * 8)
    exemplars = points(store, "tests.histogram")[0].exemplars
    assert [(found.value, found.trace_id) for found in exemplars] == [(0.5, bytes(16)), (7.0, b"\2" * 16)]


def test_a_cleared_gauge_has_no_value() -> None:
    store = Store.open_private()
    cell = store.gauge_cell(GAUGE, {})
    cell.set(4)
    assert points(store, "tests.gauge")[0].value == 4
    cell.clear()
    assert points(store, "tests.gauge") == []


def test_cells_move_into_the_file_with_their_values(tmp_path: Path) -> None:
    store = Store()
    cell = store.counter_cell(COUNTER, {})
    cell.add(1)
    store.publish(str(tmp_path / "cells"))
    cell.add(2)
    assert read(tmp_path / "cells") == [Point({}, 3)]


def test_a_child_has_its_own_numbers_in_the_same_cells(tmp_path: Path) -> None:
    """The child's cells are the parent's objects, bound to another file (hot-path 4)."""
    store = Store()
    counter = store.counter_cell(COUNTER, {})
    histogram = store.histogram_cell(HISTOGRAM, {})
    store.publish(str(tmp_path / "parent"))
    counter.add(5)
    histogram.record(0.2)
    child = os.fork()
    if not child:
        store.restart(str(tmp_path / "child"))
        counter.add(1)
        histogram.record(2.0)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert read(tmp_path / "parent") == [Point({}, 5), Point({}, Distribution([0, 1, 0, 0], 0.2, 0.2, 0.2))]
    assert read(tmp_path / "child") == [Point({}, 1), Point({}, Distribution([0, 0, 1, 0], 2.0, 2.0, 2.0))]


def test_a_child_does_not_take_over_cells_that_its_parent_makes_meanwhile(tmp_path: Path) -> None:
    """Until the child has moved, it sees the memory into which its parent goes on writing."""
    store = Store()
    store.counter_cell(COUNTER, {"of": "both"}).add(5)
    store.publish(str(tmp_path / "parent"))
    made, write = os.pipe()
    child = os.fork()
    if not child:
        os.read(made, 1)
        store.restart(str(tmp_path / "child"))
        os._exit(0)
    store.counter_cell(COUNTER, {"of": "parent"}).add(7)
    os.write(write, b"1")
    assert os.waitpid(child, 0)[1] == 0
    os.close(made)
    os.close(write)
    assert read(tmp_path / "child") == [Point({"of": "both"}, 0)]
    assert [point.value for point in read(tmp_path / "parent")] == [5, 7]


def test_a_fork_waits_for_a_cell_that_another_thread_is_making() -> None:
    """And not for ever."""
    store = Store()
    making, go_on, made = threading.Event(), threading.Event(), threading.Event()

    def slow(chunk: Chunk, base: int) -> SumCell:
        making.set()
        go_on.wait(10)
        made.set()
        return SumCell(chunk, base)

    thread = threading.Thread(target=lambda: store.make_cell(COUNTER, {}, SumCell.words, slow))
    thread.start()
    assert making.wait(10)
    threading.Timer(0.05, go_on.set).start()
    store.before_fork()
    assert made.is_set()
    store.after_fork_in_parent()
    thread.join()
    store.counter_cell(COUNTER, {"of": "the parent"}).add(1)


def test_a_fork_that_waited_in_vain_leaves_the_lock_to_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otelc2c.record.cells.FORK_WAITS", 0.01)
    store = Store()
    taken, done = threading.Event(), threading.Event()

    def holds() -> None:
        with store._lock:
            taken.set()
            done.wait(10)

    thread = threading.Thread(target=holds)
    thread.start()
    assert taken.wait(10)
    store.before_fork()
    store.after_fork_in_parent()
    done.set()
    thread.join()


def test_a_store_grows_by_chunks_that_a_reader_follows(tmp_path: Path) -> None:
    path = tmp_path / "cells"
    store = Store()
    store.publish(str(path))
    reader = CellsReader(memory_of(str(path)), lambda: memory_of(str(path)))
    source, merger = Source(reader), Merger(limit=10_000)
    cells = []
    for number in range(4000):
        cells.append(store.counter_cell(COUNTER, {"number": number}))
        cells[-1].add(number)
        if number % 500 == 0:
            assert len(merger.collect([source])[0].points) == number + 1
    assert path.stat().st_size > layout.CHUNK_BYTES
    assert sum(point.value for point in merger.collect([source])[0].points) == sum(range(4000))


def test_a_store_without_room_to_grow_loses_the_series_and_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-60: a full disk costs new series, nothing else."""
    store = Store()
    store.publish(str(tmp_path / "cells"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "reserve", full)
    kept = 0
    for number in range(5000):
        store.counter_cell(COUNTER, {"number": number}).add(1)
    path = str(tmp_path / "cells")
    reader = CellsReader(memory_of(path), lambda: memory_of(path))
    kept = len(Merger(limit=10_000).collect([Source(reader)])[0].points)
    assert 0 < kept < 5000
    assert reader.lost_series == 5000 - kept


def test_a_restart_without_room_leaves_cells_that_can_be_written(tmp_path: Path) -> None:
    store = Store()
    cell = store.counter_cell(COUNTER, {})
    store.publish(str(tmp_path / "cells"))
    with pytest.raises(OSError, match="No such file"):
        store.restart(str(tmp_path / "missing" / "cells"))
    cell.add(1)
    assert read(tmp_path / "cells") == [Point({}, 0)]


def test_the_layout_has_no_overlapping_words() -> None:
    """hot-path 4: sizes come from one table, and a slot must not reach into its neighbour."""
    store = Store.open_private()
    cells = [store.histogram_cell(HISTOGRAM, {"number": number}) for number in range(3)]
    for number, cell in enumerate(cells):
        for value in (0.05, 0.5, 3.0, 9.0):
            cell.record(value * (number + 1))
            cell.exemplar_due = 0
            cell.exemplar(value * (number + 1), 1, bytes([number] * 16), bytes([number] * 8))
    found = points(store, "tests.histogram")
    for number, point in enumerate(found):
        assert isinstance(point.value, Distribution)
        assert point.value.count == 4
        assert point.value.sum == pytest.approx(12.55 * (number + 1))
        assert {exemplar.span_id for exemplar in point.exemplars} == {bytes([number] * 8)}
