"""The relay's own numbers: declared names, safe in threads, and carried over to its follower."""

import json
import threading
from typing import Any

import pytest

from otelc2c import catalog
from otelc2c.record.points import Distribution, Family, Scope
from otelc2c.relay.state import Component, State

EXPORTER = Component("otlp_http_span_exporter", 0, "collector", 4318)


class FakeFiles:
    """A pod that has counted something of everything."""

    def __init__(self, **counted: int) -> None:
        self.bad_files = 2
        self.backlog_dropped = 4
        self.living = 3
        self.backlog_bytes = 5
        self._counted = {
            "full": 10,
            "large": 20,
            "holes": 30,
            "lost": 40,
            "guarded": 50,
            "folded": 60,
            **counted,
        }

    def counted(self, kind: str) -> int:
        """As the files' headers say."""
        return self._counted[kind]


def shown(state: State) -> dict[str, dict[tuple[object, ...], Any]]:
    """Values by metric and by the values of their attributes."""
    return {
        family.instrument.name: {tuple(point.attributes.values()): point.value for point in family.points}
        for family in state.families()
    }


def test_attributes_are_those_of_the_conventions() -> None:
    """otel.component.*, server.* and error.type, which is absent where nothing failed."""
    assert EXPORTER.attributes() == {
        "otel.component.type": "otlp_http_span_exporter",
        "otel.component.name": "otlp_http_span_exporter/0",
        "server.address": "collector",
        "server.port": 4318,
    }
    assert Component("console", 2).attributes("timeout") == {
        "otel.component.type": "console",
        "otel.component.name": "console/2",
        "error.type": "timeout",
    }


def test_attributes_are_declared_in_the_catalogue() -> None:
    """What the relay attaches is in the reference."""
    for metric in (catalog.SDK_SPAN_EXPORTED, catalog.SDK_DATA_POINT_EXPORTED, catalog.SDK_EXPORT_DURATION):
        assert EXPORTER.attributes("timeout").keys() == set(metric.attributes)


def test_families_are_what_the_catalogue_declares() -> None:
    """Name, kind, unit, sentence and buckets, under the scope of the relay."""
    state = State(Scope("relay", "1"))
    state.add(catalog.RELAY_STARTS, 1)
    state.record(catalog.SDK_EXPORT_DURATION, 0.03, EXPORTER.attributes())
    found = {family.instrument.name: family for family in state.families()}
    instrument = found[catalog.SDK_EXPORT_DURATION.name].instrument
    assert instrument.scope == Scope("relay", "1")
    assert (instrument.kind, instrument.unit, instrument.bounds) == ("histogram", "s", catalog.SECONDS_HTTP)
    assert instrument.description == catalog.SDK_EXPORT_DURATION.description
    assert found[catalog.RELAY_STARTS.name].points[0].value == 1


def test_a_histogram_puts_values_into_the_conventions_buckets() -> None:
    """A value on a boundary belongs to the bucket that ends there."""
    state = State()
    for seconds in (0.005, 0.006, 99.0):
        state.record(catalog.SDK_EXPORT_DURATION, seconds)
    value = state.families()[0].points[0].value
    assert isinstance(value, Distribution)
    assert (value.counts[0], value.counts[1], value.counts[-1]) == (1, 1, 1)
    assert (value.min, value.max, value.count) == (0.005, 99.0, 3)
    assert value.sum == pytest.approx(99.011)


def test_a_counter_that_is_put_never_goes_down() -> None:
    """A follower that sees fewer files than its predecessor shows no smaller number."""
    state = State()
    for value in (5, 3):
        state.put(catalog.RING_HOLES, value)
        state.put(catalog.RELAY_WORKERS, value)
    assert shown(state) == {"otelc2c.relay.ring.holes": {(): 5}, "otelc2c.relay.workers": {(): 3}}


def test_what_the_files_count_is_shown() -> None:
    """Drops by reason, holes, lost series, swallowed failures, bad files, workers."""
    state = State()
    state.note_files(FakeFiles())
    found = shown(state)
    assert found["otelc2c.relay.ring.dropped"] == {("full",): 10, ("large",): 20, ("backlog",): 4}
    assert found["otelc2c.relay.ring.holes"] == {(): 30}
    assert found["otelc2c.series.lost"] == {(): 40}
    assert found["otelc2c.guard.swallowed"] == {(): 50}
    assert found["otelc2c.relay.bad_files"] == {(): 2}
    assert found["otelc2c.relay.workers"] == {(): 3}
    assert found["otelc2c.relay.folded"] == {(): 60}
    assert found["otelc2c.relay.backlog"] == {(): 5}
    processed = found["otel.sdk.processor.span.processed"]
    assert sum(value for key, value in processed.items() if "queue_full" in key) == 14
    assert sum(value for key, value in processed.items() if "too_large" in key) == 20


def test_totals_are_carried_over_and_what_only_holds_now_is_not() -> None:
    """No counter of the page goes down when the relay is started again (must hold 3)."""
    first = State()
    first.add(catalog.SDK_SPAN_EXPORTED, 7, EXPORTER.attributes())
    first.add(catalog.SDK_SPAN_INFLIGHT, 7, EXPORTER.attributes())
    first.record(catalog.SDK_EXPORT_DURATION, 0.5, EXPORTER.attributes())
    first.put(catalog.SDK_SPAN_QUEUE_SIZE, 9)
    saved = json.loads(json.dumps(first.to_dict()))
    second = State()
    second.from_dict(saved)
    second.add(catalog.SDK_SPAN_EXPORTED, 1, EXPORTER.attributes())
    second.record(catalog.SDK_EXPORT_DURATION, 1.5, EXPORTER.attributes())
    by_name: dict[str, Family] = {family.instrument.name: family for family in second.families()}
    assert by_name.keys() == {catalog.SDK_SPAN_EXPORTED.name, catalog.SDK_EXPORT_DURATION.name}
    assert [point.value for point in by_name[catalog.SDK_SPAN_EXPORTED.name].points] == [8]
    value = by_name[catalog.SDK_EXPORT_DURATION.name].points[0].value
    assert isinstance(value, Distribution)
    assert (value.count, value.sum, value.min, value.max) == (2, 2.0, 0.5, 1.5)


@pytest.mark.parametrize(
    "saved",
    [
        None,
        [],
        {"numbers": 1},
        {"numbers": [1, [], ["otelc2c.relay.starts"], ["unknown", {}, 1]]},
        {"numbers": [["otelc2c.relay.starts", {}, "many"], ["otelc2c.relay.starts", 5, 1]]},
        {"histograms": [["otel.sdk.exporter.operation.duration", {}, [[1], 2, 3, 4]]]},
        {"histograms": [["otel.sdk.exporter.operation.duration", {}, 1]]},
        {"histograms": [["otelc2c.relay.starts", {}, [[1], 2, 3, 4]]]},
        {"numbers": [["otel.sdk.exporter.operation.duration", {}, 4]]},
        {"numbers": [["otelc2c.relay.starts", {"a": [1]}, 4]]},
    ],
)
def test_whatever_was_saved_a_relay_starts(saved: object) -> None:
    """F-61: what is not understood is left out."""
    state = State()
    state.from_dict(saved)
    state.add(catalog.RELAY_STARTS, 1)
    assert shown(state)["otelc2c.relay.starts"][()] == 1
    assert all(point.value is not None for family in state.families() for point in family.points)


def test_threads_lose_nothing() -> None:
    """The pump, the pushes and the page count at the same time."""
    state = State()

    def count() -> None:
        for _ in range(2000):
            state.add(catalog.RELAY_RESENT, 1)
            state.record(catalog.SDK_EXPORT_DURATION, 1.0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = shown(state)
    assert found[catalog.RELAY_RESENT.name] == {(): 8000}
    assert found[catalog.SDK_EXPORT_DURATION.name][()].count == 8000


def test_losses_are_what_was_dropped_and_nothing_else() -> None:
    """What an exporter gets of the relay unasked: drops are always visible, routine figures are not."""
    state = State()
    state.add(catalog.RELAY_STARTS, 1)
    state.add(catalog.SDK_SPAN_EXPORTED, 100, EXPORTER.attributes())
    state.record(catalog.SDK_EXPORT_DURATION, 0.1, EXPORTER.attributes())
    assert state.losses() == []
    state.note_files(FakeFiles(large=0, holes=0))
    state.add(catalog.SDK_SPAN_EXPORTED, 7, EXPORTER.attributes("rejected"))
    found = {
        family.instrument.name: {
            point.attributes.get("otelc2c.reason") or point.attributes.get("error.type"): point.value
            for point in family.points
        }
        for family in state.losses()
    }
    assert found == {
        "otelc2c.relay.ring.dropped": {"full": 10, "backlog": 4},
        "otel.sdk.processor.span.processed": {"queue_full": 14},
        "otelc2c.series.lost": {None: 40},
        "otelc2c.guard.swallowed": {None: 50},
        "otelc2c.relay.bad_files": {None: 2},
        "otel.sdk.exporter.span.exported": {"rejected": 7},
    }
