"""Differences between exports: nothing is sent twice, and nothing is left out."""

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from otelc2c.record.points import Distribution, Exemplar, Exponential, Family, Instrument, Kind, Point, Scope
from otelc2c.relay.temporality import PREFERENCES, Baseline

DELTA = PREFERENCES["delta"]


def family(value: float | Distribution | Exponential, kind: Kind = "counter", **attributes: str) -> Family:
    """A family with one point."""
    bounds = (1.0,) if kind == "histogram" else ()
    return Family(Instrument(Scope("app"), "n", kind, bounds=bounds), [Point(attributes, value)])


def values(families: list[Family]) -> list[object]:
    """The values of all points."""
    return [point.value for family in families for point in family.points]


def test_cumulative_numbers_pass_as_they_are() -> None:
    """Counted since the pod's start, every time."""
    baseline = Baseline(PREFERENCES["cumulative"], 10)
    for now in (20, 30):
        found, window = baseline.since_last([family(7)], now)
        baseline.arrived()
        assert values(found) == [7]
        assert window.start_of("counter") == 10


def test_differences_are_to_what_arrived_last() -> None:
    """An export that did not arrive is part of the next one, with the window it belongs to."""
    baseline = Baseline(DELTA, 10)
    assert values(baseline.since_last([family(7)], 20)[0]) == [7]
    found, window = baseline.since_last([family(9)], 30)
    assert (values(found), window.start_of("counter")) == ([9], 10)
    baseline.arrived()
    found, window = baseline.since_last([family(12)], 40)
    assert (values(found), window.start_of("counter")) == ([3], 30)


def test_what_did_not_change_is_left_out_unless_it_is_observed() -> None:
    """As the SDK does: an observable instrument reports as long as it is observed."""
    baseline = Baseline(DELTA, 10)
    both = [family(7), family(7, "observable_counter"), family(1, "up_down_counter")]
    baseline.since_last(both, 20)
    baseline.arrived()
    assert values(baseline.since_last(both, 30)[0]) == [0, 1]


def test_an_exponential_histogram_gives_buckets_and_sum_of_the_window(tmp_path: Path) -> None:
    """Also where buckets have become wider in between, and from the file of an earlier relay."""
    path = str(tmp_path / "base")
    first = Exponential(1, 2, [1, 0, 2], 1, 9.0, 0.0, 4.0)
    baseline = Baseline(DELTA, 10, path)
    assert values(baseline.since_last([family(first, "histogram")], 20)[0]) == [
        first._replace(min=math.inf, max=-math.inf)
    ]
    baseline.arrived()
    again = Baseline(DELTA, 10, path)
    assert values(again.since_last([family(first, "histogram")], 25)[0]) == []
    whole = Exponential(0, 0, [4, 1, 2], 3, 20.0, 0.0, 7.0)
    assert values(again.since_last([family(whole, "histogram")], 30)[0]) == [
        Exponential(0, 0, [4, 0, 0], 2, 11.0, math.inf, -math.inf)
    ]


def test_a_histogram_of_another_kind_begins_anew(tmp_path: Path) -> None:
    """A file that was kept before the setting was changed."""
    path = str(tmp_path / "base")
    explicit = Distribution((1, 2), 5.0, math.inf, -math.inf)
    exponential = Exponential(0, 0, [3], 0, 5.0, math.inf, -math.inf)
    for before, now in ((explicit, exponential), (exponential, explicit)):
        baseline = Baseline(DELTA, 10, path)
        baseline.since_last([family(before, "histogram")], 20)
        baseline.arrived()
        assert values(baseline.since_last([family(now, "histogram")], 30)[0]) == [now]


def test_a_histogram_gives_buckets_and_sum_of_the_window() -> None:
    """Extremes of the window are unknown, and not sent."""
    baseline = Baseline(DELTA, 10)
    baseline.since_last([family(Distribution((1, 2), 5.0, 0.5, 3.0), "histogram")], 20)
    baseline.arrived()
    found, _ = baseline.since_last([family(Distribution((1, 4), 11.0, 0.5, 4.0), "histogram")], 30)
    assert values(found) == [Distribution((0, 2), 6.0, math.inf, -math.inf)]


def test_a_number_that_fell_begins_anew() -> None:
    """A difference is never negative."""
    baseline = Baseline(DELTA, 10)
    baseline.since_last([family(7), family(Distribution((3, 2), 5.0, 0.5, 3.0), "histogram")], 20)
    baseline.arrived()
    found, _ = baseline.since_last([family(2), family(Distribution((1, 9), 5.0, 0, 3), "histogram")], 30)
    assert values(found) == [2, Distribution((1, 9), 5.0, math.inf, -math.inf)]


def test_exemplars_belong_to_the_window_they_were_made_in() -> None:
    """An exemplar is not sent again with the next differences."""
    old, new = (Exemplar(time, 1.0, b"t" * 16, b"s" * 8) for time in (15, 25))
    baseline = Baseline(DELTA, 10)
    instrument = Instrument(Scope("app"), "n", "counter")
    baseline.since_last([Family(instrument, [Point({}, 1, (old,))])], 20)
    baseline.arrived()
    found, _ = baseline.since_last([Family(instrument, [Point({}, 2, (old, new))])], 30)
    assert found[0].points[0].exemplars == (new,)


def test_a_new_relay_goes_on_from_the_file(tmp_path: Path) -> None:
    """A relay that is started again does not send everything once more."""
    path = str(tmp_path / "baseline")
    first = Baseline(DELTA, 10, path)
    spread = Distribution((1, 2), 5.0, 0.5, 3.0)
    first.since_last([family(7, method="GET"), family(spread, "histogram")], 20)
    first.arrived()
    second = Baseline(DELTA, 10, path)
    found, window = second.since_last([family(8, method="GET"), family(spread, "histogram")], 30)
    assert (values(found), window.start_of("counter")) == ([1], 20)


def test_a_file_that_is_broken_or_of_another_pod_is_left_alone(tmp_path: Path) -> None:
    """F-61: whatever is in the file, numbers go out."""
    path = tmp_path / "baseline"
    first = Baseline(DELTA, 10, str(path))
    first.since_last([family(7)], 20)
    first.arrived()
    good = path.read_text()
    assert values(Baseline(DELTA, 11, str(path)).since_last([family(8)], 30)[0]) == [8]
    for content in ("", "[]", "{", good[:-5], '{"values": 1}', '{"values": {}, "start_ns": 10}'):
        path.write_text(content)
        assert values(Baseline(DELTA, 10, str(path)).since_last([family(8)], 30)[0]) == [8]


def test_a_file_that_cannot_be_written_costs_nothing_but_itself(tmp_path: Path) -> None:
    """A full disk, or a folder that is gone."""
    baseline = Baseline(DELTA, 10, str(tmp_path / "absent" / "baseline"))
    baseline.since_last([family(7)], 20)
    baseline.arrived()
    assert values(baseline.since_last([family(9)], 30)[0]) == [2]


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=20))
def test_differences_that_arrived_add_up_to_the_whole(steps: list[tuple[int, bool]]) -> None:
    """Whatever arrives and whatever does not, the receiver's sum is what was counted by the last arrival."""
    baseline = Baseline(DELTA, 0)
    total = received = at_last_arrival = 0
    for now, (added, arrives) in enumerate(steps, 1):
        total += added
        found, _ = baseline.since_last([family(total)], now)
        if arrives:
            baseline.arrived()
            received += sum(int(str(value)) for value in values(found))
            at_last_arrival = total
    assert received == at_last_arrival
