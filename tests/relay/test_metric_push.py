"""Numbers pushed at an interval, and what becomes of those that did not go out."""

import threading
import time
from collections.abc import Callable

import pytest

from otelc2c import catalog
from otelc2c.record.points import Family, Instrument, Point, Scope
from otelc2c.relay.http import HttpSender, Rejected, Retry
from otelc2c.relay.metric_push import MetricPush, Numbers, OtlpMetrics
from otelc2c.relay.otlp import Delivered, Outcome
from otelc2c.relay.state import Component, State
from otelc2c.relay.temporality import PREFERENCES, Baseline
from tests.sink import Sink, metrics_of


class Counting:
    """A pod whose one counter goes up at each look."""

    def __init__(self) -> None:
        self.total = 0

    def __call__(self) -> list[Family]:
        self.total += 1
        return [Family(Instrument(Scope("app"), "looks", "counter"), [Point({}, self.total)])]


class FakeExporter:
    """Takes, or answers with what it was told to."""

    address = "somewhere"
    retries = True

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.component = Component("fake")
        self.taken: list[object] = []

    def export(self, items: Numbers, deadline: float | None = None) -> Outcome:
        """Note the value, then answer."""
        outcome = self.outcomes.pop(0) if self.outcomes else Delivered()
        if isinstance(outcome, Delivered):
            self.taken += [point.value for family in items.families for point in family.points]
        return outcome

    def close(self) -> None:
        """Nothing is open."""


class FakeReader(FakeExporter):
    """One that collects by itself."""

    def attach(self, numbers: Callable[[], Numbers]) -> None:
        """Remember how."""
        self.numbers = numbers


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the operator was told."""
    lines: list[str] = []
    monkeypatch.setattr("otelc2c.guard.say", lines.append)
    return lines


def pushing(exporter: FakeExporter | OtlpMetrics, state: State, interval: float = 60.0) -> MetricPush:
    """A push of differences to `exporter`."""
    return MetricPush(Counting(), exporter, Baseline(PREFERENCES["delta"], 1), state, interval=interval)


def exported(state: State, error: str | None = None) -> int:
    """Data points that were exported, or failed for this reason."""
    return sum(
        int(str(point.value))
        for family in state.families()
        if family.instrument.name == catalog.SDK_DATA_POINT_EXPORTED.name
        for point in family.points
        if point.attributes.get("error.type") == error
    )


def test_numbers_arrive_at_a_receiver() -> None:
    """The whole way, with the resource."""
    resource = b"\x0a\x0c\x0a\x01k\x12\x07\x0a\x05value"
    with Sink() as sink:
        push = pushing(OtlpMetrics(HttpSender(sink.metrics), resource, schema_url="https://x/1"), State())
        assert push.push(time.monotonic() + 5)
        push.close()
        [(found, scope, metric)] = metrics_of(sink.received())
    assert (scope.name, metric.name, metric.sum.data_points[0].as_int) == ("app", "looks", 1)
    assert found.attributes[0].value.string_value == "value"


def test_each_interval_has_its_push_until_the_end() -> None:
    """OTEL_METRIC_EXPORT_INTERVAL; the end is told from outside and waits for no interval."""
    with Sink() as sink:
        state = State()
        push = pushing(OtlpMetrics(HttpSender(sink.metrics), b""), state, interval=0.02)
        loop = threading.Thread(target=push.run)
        loop.start()
        assert sink.wait(lambda: len(sink.accepted) >= 3)
        push.stop()
        loop.join(5)
        assert not loop.is_alive()
        before = len(sink.received())
        assert push.push(time.monotonic() + 5)
        push.close()
        assert len(sink.received()) == before + 1
        assert exported(state) == before + 1


def test_a_push_is_tried_again_until_its_deadline() -> None:
    """A receiver that is back in time gets it."""
    state = State()
    exporter = FakeExporter(Retry("503"))
    assert pushing(exporter, state).push(time.monotonic() + 5)
    assert exporter.taken == [1]
    assert exported(state) == 1


def test_what_did_not_go_out_is_in_the_next_push() -> None:
    """Nothing is kept, because the cells keep it."""
    state = State()
    exporter = FakeExporter(Retry("503", 60.0))
    push = pushing(exporter, state)
    assert not push.push(time.monotonic() + 0.1)
    assert exported(state, "503") == 1
    assert push.push(time.monotonic() + 5)
    assert exporter.taken == [2]


def test_what_is_refused_for_good_is_not_sent_again(said: list[str]) -> None:
    """The next differences are to what was refused."""
    state = State()
    exporter = FakeExporter(Rejected("400"))
    push = pushing(exporter, state)
    assert push.push(time.monotonic() + 5)
    assert push.push(time.monotonic() + 5)
    assert exporter.taken == [1]
    assert exported(state, "400") == 1
    assert len(said) == 1


def test_stop_ends_a_pause_and_leaves_the_rest_to_the_final_push() -> None:
    """The end of the relay does not wait for a back-off."""
    exporter = FakeExporter(Retry("503", 60.0))
    push = pushing(exporter, State(), interval=0.01)
    loop = threading.Thread(target=push.run)
    loop.start()
    while exporter.outcomes:
        time.sleep(0.005)
    push.stop()
    loop.join(2)
    assert not loop.is_alive()
    assert push.push(time.monotonic() + 5)
    assert exporter.taken == [2]


def test_nothing_is_sent_where_there_is_nothing_to_say() -> None:
    """No empty requests."""
    exporter = FakeExporter()
    push = MetricPush(list, exporter, Baseline(frozenset(), 1), State())
    assert push.push(time.monotonic() + 5)
    assert exporter.taken == []


def test_one_that_collects_by_itself_gets_the_numbers_of_the_moment() -> None:
    """A reader has no interval; each collection goes on from the one before."""
    reader = FakeReader()
    push = pushing(reader, State(), interval=0.001)
    loop = threading.Thread(target=push.run)
    loop.start()
    values = [point.value for _ in range(2) for point in reader.numbers().families[0].points]
    push.stop()
    loop.join(2)
    assert not loop.is_alive()
    assert values == [1, 1]
    assert reader.taken == []
    assert push.push(time.monotonic() + 1)
