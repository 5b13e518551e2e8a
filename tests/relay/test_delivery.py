"""One destination's story: what is counted, when it is asked again, what the operator reads."""

import pytest

from otelc2c import catalog
from otelc2c.record.points import Distribution
from otelc2c.relay.delivery import SAY_EVERY, Delivery
from otelc2c.relay.http import Backoff, Rejected, Retry
from otelc2c.relay.otlp import Delivered, Outcome
from otelc2c.relay.state import Component, State


class FakeExporter:
    """Takes a second, then answers with what it was told to."""

    address = "http://collector:4318/v1/traces"
    component = Component("fake")

    def __init__(self, retries: bool = True) -> None:
        self.retries = retries
        self.now = 1000.0
        self.outcome: Outcome = Delivered()
        self.inflight: list[float] = []
        self.state = State()

    def export(self, items: object, deadline: float | None = None) -> Outcome:
        self.now += 1
        self.inflight.append(values(self.state, catalog.SDK_SPAN_INFLIGHT)[0])
        return self.outcome

    def close(self) -> None:
        pass

    def clock(self) -> float:
        return self.now


def values(state: State, metric: catalog.Metric, error: str | None = None) -> list[float]:
    """What a metric's points say, a histogram's as its count."""
    return [
        point.value.count if isinstance(point.value, Distribution) else point.value
        for family in state.families()
        if family.instrument.name == metric.name
        for point in family.points
        if point.attributes.get("error.type") == error
    ]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the operator was told."""
    lines: list[str] = []
    monkeypatch.setattr("otelc2c.guard.say", lines.append)
    return lines


@pytest.fixture
def exporter(said: list[str]) -> FakeExporter:
    """One whose lines are collected in `said`."""
    return FakeExporter()


def delivering(exporter: FakeExporter) -> Delivery:
    """A delivery whose pauses are as long as they can be."""
    return Delivery(exporter, exporter.state, clock=exporter.clock, backoff=Backoff(lambda: 1.0))


def test_what_is_on_its_way_is_in_flight_and_what_took_place_has_a_duration(exporter: FakeExporter) -> None:
    assert delivering(exporter).attempt([], 5)
    assert exporter.inflight == [5]
    assert values(exporter.state, catalog.SDK_SPAN_INFLIGHT) == [0]
    assert values(exporter.state, catalog.SDK_EXPORT_DURATION) == [1]
    assert values(exporter.state, catalog.SDK_SPAN_EXPORTED) == [5]


def test_nothing_stays_in_flight_when_an_exporter_of_ours_fails(
    exporter: FakeExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "export", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        delivering(exporter).attempt([], 5)
    assert values(exporter.state, catalog.SDK_SPAN_INFLIGHT) == [0]


def test_pauses_grow_while_it_fails_and_begin_anew_after_a_success(exporter: FakeExporter) -> None:
    delivery = delivering(exporter)
    exporter.outcome = Retry("503")
    pauses = []
    for _ in range(3):
        assert not delivery.attempt([], 1)
        pauses.append(delivery.not_before - exporter.now)
    exporter.outcome = Delivered()
    assert delivery.attempt([], 1)
    assert delivery.not_before == 0
    exporter.outcome = Retry("503", 30.0)
    assert not delivery.attempt([], 1)
    assert [*pauses, delivery.not_before - exporter.now] == [1, 2, 4, 30]


def test_an_outage_is_two_lines_however_long_it_lasts(exporter: FakeExporter, said: list[str]) -> None:
    """F-20: one when it begins, one when it ends."""
    delivery = delivering(exporter)
    exporter.outcome = Retry("ConnectionRefusedError")
    for _ in range(10):
        delivery.attempt([], 1)
    exporter.outcome = Delivered()
    for _ in range(10):
        delivery.attempt([], 1)
    assert said == [
        "http://collector:4318/v1/traces does not take spans (ConnectionRefusedError); trying again",
        "http://collector:4318/v1/traces takes spans again, after 10 s",
    ]


def test_refused_items_are_said_once_a_minute(exporter: FakeExporter, said: list[str]) -> None:
    delivery = delivering(exporter)
    exporter.outcome = Rejected("400")
    delivery.attempt([], 3)
    delivery.attempt([], 3)
    exporter.now += SAY_EVERY
    exporter.outcome = Delivered(2, "too old")
    delivery.attempt([], 3)
    assert said == [
        "http://collector:4318/v1/traces did not take 3 of 3 spans: 400",
        "http://collector:4318/v1/traces did not take 2 of 3 spans: too old",
    ]
    assert values(exporter.state, catalog.SDK_SPAN_EXPORTED, "400") == [6]
    assert values(exporter.state, catalog.SDK_SPAN_EXPORTED, "rejected") == [2]
    assert values(exporter.state, catalog.SDK_SPAN_EXPORTED) == [1]


def test_what_is_given_up_counts_for_the_reason_it_failed(exporter: FakeExporter) -> None:
    delivery = delivering(exporter)
    exporter.outcome = Retry("timeout")
    delivery.attempt([], 4)
    delivery.give_up(4)
    assert values(exporter.state, catalog.SDK_SPAN_EXPORTED, "timeout") == [4]


def test_one_that_is_not_asked_again_is_done_whatever_it_says(said: list[str]) -> None:
    exporter = FakeExporter(retries=False)
    exporter.outcome = Retry("timeout")
    assert delivering(exporter).attempt([], 4)
    assert values(exporter.state, catalog.SDK_SPAN_EXPORTED, "timeout") == [4]
    assert len(said) == 1
