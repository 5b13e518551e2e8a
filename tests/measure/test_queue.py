"""The time before the application, as proxies tell it; what cannot be is left out."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelc2c import catalog
from otelc2c.measure.queue import HEADER, Queue, waited
from otelc2c.record import wire
from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.points import Distribution
from otelc2c.record.samplers import Inline
from otelc2c.wsgi import Measured
from tests.measure.corpus import APPLICATIONS, make_environ, observe
from tests.measure.kit import Kit

NOW = 1_795_246_083.75


@pytest.mark.parametrize(
    "text",
    [
        "t=1795246083.250",
        "1795246083.25",
        "t=1795246083250",
        "1795246083250",
        "1795246083250.0",
        "t=1795246083250000",
        "1795246083250000000",
        " t=1795246083.250 ",
        "t=1795246083.250, t=1795246083.700",
    ],
)
def test_seconds_and_smaller_units_are_told_apart_by_their_size(text: str) -> None:
    """real-parts: nginx sends seconds, haproxy milliseconds; of several proxies the first counts."""
    assert waited(text, NOW) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "t=",
        "t=t=1795246083.25",
        "(null)",
        "-",
        "t=-1795246083.25",
        "+1795246083.25",
        "1_795_246_083.25",
        "1795246083e0",
        "0x6b000000",
        "inf",
        "nan",
        "t=1.795.246",
        "\u00b2795246083",
        "\u0661795246083",
        "t=1795246084.0",  # yet to come
        "t=1795242483.0",  # more than an hour ago
        "0",
        "12",
        "9" * 21,
        "1795246083." + "0" * 100,
    ],
)
def test_what_cannot_be_is_left_out(text: str) -> None:
    assert waited(text, NOW) is None


def test_an_hour_is_the_limit() -> None:
    assert waited(f"t={NOW - 3600:.2f}", NOW) == pytest.approx(3600)
    assert waited(f"t={NOW - 3600.01:.2f}", NOW) is None
    assert waited(f"t={NOW:.2f}", NOW) == 0.0


@given(st.text(max_size=80))
def test_any_text_gives_a_wait_that_can_be_or_nothing(text: str) -> None:
    found = waited(text, time.time())
    assert found is None or 0.0 <= found <= 3600.0


@given(st.floats(0, 3599), st.sampled_from([(1, "t={:.6f}"), (1e3, "{:.3f}"), (1e6, "t={:.0f}")]))
def test_every_unit_gives_the_same(wait: float, how: tuple[float, str]) -> None:
    unit, form = how
    assert waited(form.format((NOW - wait) * unit), NOW) == pytest.approx(wait, abs=2e-6)


def test_a_wait_is_counted_by_method_and_is_an_attribute() -> None:
    store = Store.open_private()
    queue = Queue(store)
    began = int(NOW * 1e9)
    encoded = queue.note({HEADER: f"t={NOW - 2:.3f}"}, "GET", began)
    ((name, seconds),) = wire.read_attributes(encoded).items()
    assert name == "otelc2c.request.queue.duration"
    assert seconds == pytest.approx(2.0, abs=1e-6)
    for untold in ({}, {HEADER: "t=17"}, {HEADER: None}, {HEADER: 1795246083}):
        assert queue.note(untold, "GET", began) == b""
    (family,) = families_of(store)
    (point,) = family.points
    assert point.attributes == {"http.request.method": "GET"}
    assert isinstance(point.value, Distribution)
    assert (point.value.count, point.value.sum) == (1, seconds)


@pytest.mark.parametrize("sampled", [True, False])
def test_a_request_behind_a_proxy_tells_how_long_it_waited(sampled: bool) -> None:
    name = catalog.REQUEST_QUEUE_DURATION.name
    with Kit(sampler=None if sampled else Inline(0, parent_based=False)) as kit:
        for told in (f"t={time.time() - 3:.3f}", f"{(time.time() - 3) * 1000:.0f}", "nonsense", None):
            changes = {} if told is None else {HEADER: told}
            observe(Measured(APPLICATIONS["list"]), make_environ(changes))
        assert kit.points(name) == {frozenset({("http.request.method", "GET")}): 2}
        waits = [span.attributes.get(name) for span in kit.spans]
    assert waits == ([pytest.approx(3, abs=2)] * 2 + [None] * 2 if sampled else [])
