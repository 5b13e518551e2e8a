"""Our provider where it has no model in the SDK, or differs from it on purpose."""

import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics as api
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics.view import View
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.meter import MeterProvider
from otelc2c.record.points import OVERFLOW, Family
from otelc2c.settings.values import View as SettingsView

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store() -> Store:
    """A store of this test alone."""
    return Store.open_private()


def meter(store: Store, **arguments: Any) -> api.Meter:
    """A meter of a provider on that store."""
    return MeterProvider(store, observe_interval=3600, **arguments).get_meter("m")


def told(store: Store) -> dict[str, Family]:
    """The families by name."""
    return {family.instrument.name: family for family in families_of(store)}


def values(family: Family) -> dict[Any, Any]:
    """The values of a family by attributes."""
    return {tuple(sorted(point.attributes.items())): point.value for point in family.points}


def test_sets_above_the_limit_go_to_the_overflow_point(store: Store) -> None:
    """The limit is each stream's own, and holds for instruments that are asked, too (T35)."""
    made = meter(
        store, cardinality_limit=3, views=[View(instrument_name="o"), View(instrument_name="o", name="p")]
    )
    counter = made.create_counter("c")
    for number in range(10):
        counter.add(1, {"a": number})
    made.create_observable_counter("o", [lambda _: [Observation(1, {"a": number}) for number in range(10)]])
    made._registry.observer.observe_now()  # type: ignore[attr-defined]
    families = told(store)
    overflow = tuple(OVERFLOW.items())
    for name in ("c", "o", "p"):
        assert len(families[name].points) == 3
        assert values(families[name])[overflow] == 8


def test_the_default_limit_is_two_thousand(store: Store) -> None:
    """The specification's."""
    counter = meter(store).create_counter("c")
    for number in range(2100):
        counter.add(1, {"a": number})
    (family,) = told(store).values()
    assert len(family.points) == 2000
    assert values(family)[tuple(OVERFLOW.items())] == 101


def test_settings_shape_instruments(store: Store) -> None:
    """Views, boundaries and how gauges combine, by variable."""
    made = meter(
        store,
        views=[SettingsView("c", name="d", exclude=("user",))],
        buckets={"h": (1.0,)},
        gauge_combine={"g": "worker"},
    )
    made.create_counter("c").add(1, {"user": "u", "a": 1})
    made.create_histogram("h", explicit_bucket_boundaries_advisory=[5.0]).record(2)
    made.create_gauge("g").set(1)
    made.create_gauge("other").set(1)
    families = told(store)
    assert values(families["d"]) == {(("a", 1),): 1}
    assert families["h"].instrument.bounds == (1.0,)
    assert families["g"].instrument.combine == "worker"
    assert families["other"].instrument.combine == "recent"


def test_two_instruments_that_views_make_one_share_their_numbers(store: Store) -> None:
    """A back end sees one series, not two of the same identity."""
    made = meter(
        store, views=[View(instrument_name="a", name="same"), View(instrument_name="b", name="same")]
    )
    made.create_counter("a").add(1, {"k": 1})
    made.create_counter("b").add(2, {"k": 1})
    assert values(told(store)["same"]) == {(("k", 1),): 3}


def test_one_name_with_two_meanings_is_warned_about(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Both work; on the page they cannot both keep the name."""
    made = meter(store)
    made.create_counter("c", "s").add(1)
    made.create_counter("c", "By").add(1)
    made.create_histogram("d").record(1)
    made.create_counter("c", "s").add(1)
    assert len(caplog.records) == 1
    assert "Instrument c is there twice in scope m" in caplog.text
    assert sorted(
        family.points[0].value for family in families_of(store) if family.instrument.name == "c"
    ) == [1, 2]


@pytest.mark.parametrize("boundaries", [[2.0, 1.0], [float("inf")]])
def test_advised_boundaries_that_cannot_be_used_are_left_out(
    store: Store, boundaries: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK raises at the first measurement instead."""
    meter(store).create_histogram("h", explicit_bucket_boundaries_advisory=boundaries).record(1)
    assert len(told(store)["h"].instrument.bounds) == 15
    assert "explicit_bucket_boundaries_advisory is ignored" in caplog.text


@pytest.mark.parametrize("amount", ["1", None, b"1", object(), 1j, [1]])
def test_an_amount_that_is_no_number_never_raises(
    store: Store, amount: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK raises TypeError into the application."""
    made = meter(store)
    made.create_counter("c").add(amount)
    made.create_up_down_counter("u").add(amount, {"a": 1})
    made.create_histogram("h").record(amount)
    made.create_gauge("g").set(amount)
    assert told(store) == {}
    assert caplog.text.count("not a number, ignored") == 4


def test_numbers_of_other_types_are_numbers(store: Store) -> None:
    """Decimals, truth values, integers above 64 bits."""
    counter = meter(store).create_counter("c")
    for amount in (Decimal("0.5"), True, 2**70):
        counter.add(amount)  # type: ignore[arg-type]
    assert values(told(store)["c"]) == {(): float(2**70) + 1.5}


@pytest.mark.parametrize("attributes", [{"a": 1}, {"a": "x", "b": 1}, {}, None])
def test_the_second_measurement_counts_like_the_first(store: Store, attributes: Any) -> None:
    """Whichever way it takes."""
    made = meter(store)
    counter, total = made.create_counter("c"), made.create_up_down_counter("u")
    histogram, gauge = made.create_histogram("h"), made.create_gauge("g")
    for number in range(3):
        counter.add(2, attributes)
        total.add(-2, attributes)
        histogram.record(2, attributes)
        gauge.set(number, attributes)
    families = told(store)
    assert [families[name].points[0].value for name in ("c", "u", "g")] == [6, -6, 2]
    assert families["h"].points[0].value.count == 3  # type: ignore[union-attr]
    assert {len(family.points) for family in families.values()} == {1}


def test_what_is_refused_is_refused_the_second_time_too(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """When the series is known."""
    counter = meter(store).create_counter("c")
    counter.add(1, {"a": "x"})
    for amount in (-1, float("nan"), float("inf"), "1"):
        counter.add(amount, {"a": "x"})  # type: ignore[arg-type]
    assert values(told(store)["c"]) == {(("a", "x"),): 1}
    assert len(caplog.records) == 4


@pytest.mark.parametrize(("choice", "kept"), [("trace_based", 1), ("always_on", 2), ("always_off", 0)])
def test_exemplar_filters(store: Store, choice: str, kept: int) -> None:
    """The values of OTEL_METRICS_EXEMPLAR_FILTER; without a trace the ids are zero."""
    counter = meter(store, exemplar_filter=choice).create_counter("c")
    with use_span(NonRecordingSpan(SpanContext(5, 6, False, TraceFlags(1)))):
        counter.add(1, {"a": 1})
    counter.add(1, {"a": 2})
    found = [exemplar for point in told(store)["c"].points for exemplar in point.exemplars]
    assert len(found) == kept
    assert {int.from_bytes(exemplar.trace_id) for exemplar in found} <= {0, 5}


def test_an_unknown_exemplar_filter_is_refused(store: Store) -> None:
    """It names itself."""
    with pytest.raises(ValueError, match="'sometimes'"):
        MeterProvider(store, exemplar_filter="sometimes")


def test_threads_that_meet_at_a_new_set_make_one_series(store: Store) -> None:
    """And lose nothing."""
    counter = meter(store).create_counter("c")
    together = threading.Barrier(8)

    def add() -> None:
        together.wait()
        for number in range(200):
            counter.add(1, {"a": number})

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = values(told(store)["c"])
    assert len(found) == 200
    assert set(found.values()) == {8}


FORK = """
import os
from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record import streams
from otelc2c.record.meter import MeterProvider

store = Store.open_private()
os.register_at_fork(after_in_child=lambda: store.restart(None))
provider = MeterProvider(store)
counter = provider.get_meter("m").create_counter("c")
counter.add(5, {"a": "known"})
# As if other threads were making meters, instruments and series at the moment of the fork.
streams._registration.lock.acquire()
provider._lock.acquire()
provider._registry._lock.acquire()
next(iter(provider._meters.values()))._lock.acquire()
if os.fork() == 0:
    counter.add(1, {"a": "known"})
    counter.add(1, {"a": "new"})
    provider.get_meter("m").create_counter("d").add(1)
    provider.get_meter("n").create_counter("e").add(1)
    print(sorted((f.instrument.name, p.value) for f in families_of(store) for p in f.points), flush=True)
    os._exit(0)
os.wait()
"""


def test_a_child_records_its_own_numbers_whatever_its_parent_was_doing() -> None:
    """No lock of the parent's is left locked (a fork may come at any moment)."""
    ended = subprocess.run(
        [sys.executable, "-c", FORK],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ended.stdout.strip() == "[('c', 1), ('c', 1), ('d', 1), ('e', 1)]"


def test_no_callback_runs_while_an_instrument_is_registered(store: Store) -> None:
    """A generator may therefore make instruments of the same meter itself."""
    provider = MeterProvider(store, observe_interval=3600)
    made = provider.get_meter("m")

    def generates() -> Any:
        counter = made.create_counter("inside")
        yield []
        while True:
            counter.add(1)
            yield [Observation(1)]

    made.create_observable_gauge("g", [generates()])
    assert provider.observer.observe_now()
    assert told(store).keys() == {"inside", "g"}
    provider.shutdown()
