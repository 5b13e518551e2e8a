"""Cells of exponential histograms: the SDK's values, whole at any moment, for processes together."""

import math
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    InMemoryMetricReader,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from otelc2c.record import layout
from otelc2c.record.cells import Store
from otelc2c.record.exponential_cells import ExponentialCell, exponential_cell, read_exponential
from otelc2c.record.files import BadFile
from otelc2c.record.merging import Merger, Source, families_of
from otelc2c.record.meter import MeterProvider
from otelc2c.record.points import Exponential, Instrument, Point, Scope
from otelc2c.record.reading import CellsReader

INSTRUMENT = Instrument(Scope("tests"), "h", "histogram", buckets=8)
TRACE, SPAN = b"\x01" * 16, b"\x02" * 8
amounts = st.one_of(
    st.floats(0, 1e9),
    st.floats(0, allow_infinity=False),
    st.integers(0, 2000),
    st.just(0),
    st.floats(1, 1.01),
)


def cell_of(store: Store, buckets: int = 8, scale: int = 20) -> ExponentialCell:
    """A new cell."""
    return exponential_cell(store, INSTRUMENT._replace(buckets=buckets, scale=scale), {})


def told(store: Store) -> Exponential:
    """The only value in a store."""
    ((point,),) = (family.points for family in families_of(store))
    assert isinstance(point.value, Exponential)
    return point.value


def sources(stores: Sequence[Store]) -> list[Source]:
    """A source for each process."""

    def grow(store: Store) -> Any:
        return lambda: store.memory

    return [Source(CellsReader(store.memory, grow(store))) for store in stores]


def kept(merger: Merger) -> tuple[Store, Source]:
    """A fold, and the source that stands for it."""
    found: list[Store] = []

    def publish(store: Store) -> None:
        store._write_header()
        found.append(store)

    source = merger.keep(["a"], publish)
    return found[0], source


def both(
    aggregation: ExponentialBucketHistogramAggregation, parts: Sequence[Sequence[float]]
) -> Iterator[Any]:
    """The SDK's point and ours after each part, all of which are recorded."""
    sides = []
    for provider in (sdk.MeterProvider, lambda **given: MeterProvider(Store.open_private(), **given)):
        reader = InMemoryMetricReader()
        made = provider(metric_readers=[reader], views=[View(instrument_name="h", aggregation=aggregation)])
        sides.append((reader, made.get_meter("m").create_histogram("h"), made))
    for part in parts:
        found = []
        for reader, histogram, _ in sides:
            for value in part:
                histogram.record(value)
            data: Any = reader.get_metrics_data()
            (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
            assert isinstance(metric.data, ExponentialHistogram)
            assert metric.data.aggregation_temporality is AggregationTemporality.CUMULATIVE
            found.append(metric.data.data_points[0])
        yield found
    for _, _, made in sides:
        made.shutdown()


def words(point: Any) -> tuple[Any, ...]:
    """A point of the SDK's as what can be compared: empty buckets have no place."""
    counts = list(point.positive.bucket_counts)
    used = [place for place, count in enumerate(counts) if count]
    low = point.positive.offset + used[0] if used else 0
    return (
        point.scale if used else 0,
        low,
        counts[used[0] : used[-1] + 1] if used else [],
        point.zero_count,
        point.count,
        point.min,
        point.max,
    )


@given(st.lists(amounts, min_size=1, max_size=40), st.sampled_from([2, 5, 20, 160]), st.integers(-10, 20))
def test_values_are_counted_as_by_the_sdk(values: list[float], size: int, scale: int) -> None:
    """Scale, place and count of every bucket, zeros, extremes, sum."""
    for theirs, ours in both(ExponentialBucketHistogramAggregation(size, scale), [values]):
        assert words(ours) == words(theirs)
        assert ours.sum == pytest.approx(theirs.sum, rel=1e-12)
        assert sum(ours.negative.bucket_counts) == 0


@given(st.lists(st.lists(amounts, min_size=1, max_size=15), min_size=2, max_size=4))
def test_parts_of_several_processes_are_what_one_would_have_counted(parts: list[list[float]]) -> None:
    """Merged at the smallest scale that is needed, and kept in the fold."""
    stores = [Store.open_private() for _ in parts]
    for store, part in zip(stores, parts, strict=True):
        cell = cell_of(store)
        for value in part:
            cell.record(value)
    whole = Store.open_private()
    one = cell_of(whole)
    for part in parts:
        for value in part:
            one.record(value)
    merger = Merger()
    ((point,),) = (family.points for family in merger.collect(sources(stores)))
    found, wanted = point.value, told(whole)
    assert isinstance(found, Exponential)
    assert found._replace(sum=0.0) == wanted._replace(sum=0.0)
    assert found.sum == pytest.approx(wanted.sum, rel=1e-12)
    folded, source = kept(merger)
    assert told(folded) == found
    ((again,),) = (family.points for family in merger.collect([source]))
    assert again.value == found


def test_exemplars_are_kept_and_merged() -> None:
    """The newest of all processes, one a second."""
    stores = [Store.open_private(), Store.open_private()]
    for time_ns, store in enumerate(stores, 5):
        cell = cell_of(store)
        cell.record(1.0)
        cell.exemplar(1.0, time_ns, TRACE, SPAN)
        cell.exemplar(2.0, time_ns + 1, TRACE, SPAN)
    merger = Merger()
    for _ in range(2):
        ((point,),) = (family.points for family in merger.collect(sources(stores)))
        assert [(found.time_ns, found.value) for found in point.exemplars] == [(6, 1.0)]
        stores = [kept(merger)[0]]


def test_a_fork_counts_anew_at_the_same_place(tmp_path: Path) -> None:
    """The cell is held by the application's objects."""
    store = Store()
    cell = cell_of(store)
    for value in (0, 1, 1e9):
        cell.record(value)
    store.publish(str(tmp_path / "parent"))
    assert told(store).count == 3
    store.restart(str(tmp_path / "child"))
    cell.record(1.5)
    assert told(store) == Exponential(20, 613377, [1], 0, 1.5, 1.5, 1.5)
    store.close()


@pytest.fixture
def fast_switches() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("fast_switches")
def test_threads_lose_no_count_and_a_reader_sees_none_twice() -> None:
    """While buckets become wider under their hands."""
    store = Store.open_private()
    threads, each = 4, 1500
    cells = [cell_of(store, 4) for _ in range(3)]
    seen: list[int] = []
    ended = threading.Event()

    def write(seed: int) -> None:
        for number in range(each):
            spread = 1 + number // 10
            for cell in cells:
                cell.record(math.ldexp(1.0 + number * 1e-4, (number * 7 + seed) % (2 * spread) - spread))

    def read() -> None:
        cell = cells[0]
        while not ended.is_set():
            chunk = cell.chunk
            found = read_exponential(chunk.q, chunk.d, cell.base, cell.buckets)
            seen.append(found.count)
            assert len(found.counts) <= 4

    reading = threading.Thread(target=read)
    writing = [threading.Thread(target=write, args=(seed,)) for seed in range(threads)]
    for thread in (reading, *writing):
        thread.start()
    for thread in writing:
        thread.join()
    ended.set()
    reading.join()
    assert seen == sorted(seen)
    for cell in cells:
        found = read_exponential(cell.chunk.q, cell.chunk.d, cell.base, cell.buckets)
        assert found.count == threads * each


@pytest.mark.parametrize("moment", range(1, 40))
def test_a_worker_that_is_killed_while_buckets_move_loses_no_count(moment: int) -> None:
    """Every store may be the last one."""

    class Killed(Exception):
        """Ends the writing."""

    class Counting:
        """Memory that takes so many stores and no more."""

        def __init__(self, memory: memoryview, left: int) -> None:
            self.memory, self.left = memory, left

        def __getitem__(self, at: Any) -> Any:
            return self.memory[at]

        def __setitem__(self, at: Any, value: Any) -> None:
            if not self.left:
                raise Killed
            self.left -= 1
            self.memory[at] = value

    store = Store.open_private()
    cell = cell_of(store)
    for value in (1.0, 2.0, 0.0, 1000.0):
        cell.record(value)
    before = told(store)
    memory = cell.chunk.q
    changed: Any = cell.chunk
    changed.q = Counting(memory, moment)
    try:
        cell.record(1e-9)
    except Killed:
        pass
    changed.q = memory
    after = told(store)
    assert after.zeros == before.zeros
    assert after.count in (before.count, before.count + 1)
    # Whoever was only interrupted goes on.
    cell.record(1e-9)
    assert told(store).count == after.count + 1


def test_a_file_that_nobody_wrote_is_refused() -> None:
    """F-61: buckets of an impossible number, and those that never rest."""
    store = Store.open_private()
    odd = INSTRUMENT._replace(buckets=10**9)
    store.make_cell(odd, {}, 4, lambda chunk, base: ExponentialCell(chunk, base, 2, 20))
    with pytest.raises(BadFile):
        families_of(store)

    class Restless:
        """Says another generation at each look."""

        def __init__(self) -> None:
            self.looks = 0

        def __getitem__(self, at: Any) -> Any:
            self.looks += 1
            return memoryview(bytes(64)).cast("q") if isinstance(at, slice) else self.looks

    memory: Any = Restless()
    with pytest.raises(BadFile):
        read_exponential(memory, memory, 0, 8)


def test_an_empty_cell_says_nothing_of_its_values() -> None:
    """As the SDK's does: scale 0."""
    store = Store.open_private()
    cell_of(store)
    assert told(store) == Exponential(0, 0, (), 0, 0.0, math.inf, -math.inf)
    assert layout.exponential_words(8) == 30
    assert Point({}, told(store)).value.count == 0  # type: ignore[union-attr]
