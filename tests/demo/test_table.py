import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelc2c.demo.page import Sample, read
from otelc2c.demo.table import DURATION, NO_ROUTE, Key, Row, counts, quantile, rows, text

INF = math.inf


def series(route: str, status: int, buckets: Sequence[tuple[str, int]], method: str = "GET") -> str:
    """The lines of one histogram, as a page shows them."""
    labels = f'http_request_method="{method}",http_response_status_code="{status}"'
    if route:
        labels += f',http_route="{route}"'
    lines = [f'{DURATION}_bucket{{{labels},le="{le}"}} {count}' for le, count in buckets]
    lines.append(f"{DURATION}_sum{{{labels}}} 1.5")
    lines.append(f"{DURATION}_count{{{labels}}} {buckets[-1][1]}")
    return "\n".join(lines) + "\n"


def samples() -> list[Sample]:
    page = series("/a", 200, [("0.1", 8), ("0.2", 10), ("+Inf", 10)])
    page += series("/a", 500, [("0.1", 0), ("0.2", 8), ("+Inf", 10)])
    page += series("/a", 200, [("0.1", 1), ("0.2", 1), ("+Inf", 1)], method="POST")
    page += series("", 404, [("0.1", 2), ("0.2", 2), ("+Inf", 2)])
    page += 'http_server_active_requests{http_request_method="GET"} 1\n'
    return list(read(page))


def test_requests_are_counted_by_method_and_route_over_all_statuses() -> None:
    assert counts(samples()) == {Key("GET", "/a"): 20, Key("POST", "/a"): 1, Key("GET", NO_ROUTE): 2}


def test_a_row_merges_the_buckets_of_all_statuses_and_counts_5xx_as_errors() -> None:
    both, post, none = rows(samples())
    # 8 of 20 are below 0.1 and 18 below 0.2: the tenth is a fifth of the way, the 19th has no bound.
    assert both == Row(Key("GET", "/a"), 20, 10, pytest.approx(0.12), 0.2)
    assert post == Row(Key("POST", "/a"), 1, 0, pytest.approx(0.05), pytest.approx(0.095))
    assert (none.key, none.requests, none.errors) == (Key("GET", NO_ROUTE), 2, 0)


def test_a_quantile_in_the_last_bucket_is_the_boundary_below() -> None:
    assert quantile(0.95, {0.1: 0.0, INF: 5.0}) == 0.1
    assert quantile(0.95, {INF: 5.0}) == 0.0


def test_nothing_counted_has_no_quantile() -> None:
    assert math.isnan(quantile(0.5, {}))
    assert math.isnan(quantile(0.5, {0.1: 0.0, INF: 0.0}))


@given(st.lists(st.integers(0, 50), min_size=5, max_size=5).filter(any), st.floats(0.01, 0.99))
def test_a_quantile_lies_in_the_bucket_that_holds_its_rank(each: list[int], share: float) -> None:
    bounds = (0.01, 0.1, 0.5, 1.0, INF)
    cumulative = {bound: float(sum(each[: i + 1])) for i, bound in enumerate(bounds)}
    found = quantile(share, cumulative)
    holding = next(i for i, bound in enumerate(bounds) if cumulative[bound] >= share * sum(each))
    lower = bounds[holding - 1] if holding else 0.0
    assert lower <= found <= (lower if holding == 4 else bounds[holding] + 1e-12)


def test_the_table_is_aligned_and_has_a_total() -> None:
    assert text(rows(samples())) == (
        "route           count  errors       p50       p95\n"
        "GET /a             20      10  120.0 ms  200.0 ms\n"
        "POST /a             1       0   50.0 ms   95.0 ms\n"
        "GET (no route)      2       0   50.0 ms   95.0 ms\n"
        "total              23      10"
    )
