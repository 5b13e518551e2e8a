"""What a request asked of other systems, added up."""

from otelc2c.measure.totals import LEFT_OUT, NOTHING, RequestTotals, place_of, server_timing
from otelc2c.record import wire
from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.points import Distribution


def totals_with(**kinds: tuple[int, int]) -> list[int]:
    """Totals by kind: number, nanoseconds."""
    totals = NOTHING[:]
    for kind, (number, ns) in kinds.items():
        totals[place_of(kind)] = number
        totals[place_of(kind) + 1] = ns
    return totals


def test_a_request_counts_once_for_each_kind_that_it_used() -> None:
    """So that the distribution of the number of statements by route shows an N+1."""
    store = Store.open_private()
    totals = RequestTotals(store)
    totals.record(totals_with(sql=(12, 30_000_000), http=(1, 5_000_000)), "/orders", "/shop")
    totals.record(totals_with(sql=(2, 10_000_000)), "/orders", "/shop")
    found = {}
    for family in families_of(store):
        for point in family.points:
            assert isinstance(point.value, Distribution)
            key = family.instrument.name, point.attributes["otelc2c.operation"]
            found[key] = point.value.count, round(point.value.sum, 6)
            assert point.attributes["http.route"] == "/shop/orders"
    assert found == {
        ("otelc2c.request.operations", "sql"): (2, 14),
        ("otelc2c.request.operation.duration", "sql"): (2, 0.04),
        ("otelc2c.request.operations", "http"): (1, 1),
        ("otelc2c.request.operation.duration", "http"): (1, 0.005),
    }


def test_the_span_says_what_was_used_and_what_was_left_out() -> None:
    totals = totals_with(redis=(3, 1_500_000_000))
    totals[LEFT_OUT] = 7
    assert wire.read_attributes(RequestTotals(Store.open_private()).attributes(totals)) == {
        "otelc2c.redis.count": 3,
        "otelc2c.redis.duration": 1.5,
        "otelc2c.leaf_spans.left_out": 7,
    }


def test_server_timing_is_in_milliseconds() -> None:
    """As the Server-Timing specification has it; MT-55 wrote `due` for `dur` in some versions."""
    assert server_timing(None, 2_000_000) == "total;dur=2.0"
    both = totals_with(sql=(3, 1_250_000), http=(1, 40_000_000))
    assert server_timing(both, 50_000_000) == 'total;dur=50.0, sql;dur=1.2;desc="3", http;dur=40.0;desc="1"'
