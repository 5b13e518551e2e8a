import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelc2c.demo.page import Sample, read
from otelc2c.demo.table import (
    DURATION,
    NO_ROUTE,
    OPERATION_DURATION,
    OPERATIONS,
    Key,
    Operations,
    Row,
    counts,
    operations,
    quantile,
    remarks,
    rows,
    text,
)

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


def done(route: str, kind: str, requests: int, number: int, seconds: float) -> str:
    """The sums of the two histograms of what requests had done, as a page shows them."""
    labels = f'{{otelc2c_operation="{kind}",http_route="{route}"}}'
    lines = [f"{OPERATIONS}_count{labels} {requests}", f"{OPERATIONS}_sum{labels} {number}"]
    lines += [f"{OPERATION_DURATION}_count{labels} {requests}", f"{OPERATION_DURATION}_sum{labels} {seconds}"]
    return "\n".join(lines) + "\n"


def routes_that_ask() -> list[Sample]:
    """Two routes with a request or two each, one of which asks for everything one by one."""
    page = "".join(series(route, 200, [("0.1", 2), ("+Inf", 2)]) for route in ("/joined", "/late", "/no"))
    page += done("/late", "sql", 2, 66, 0.029) + done("/joined", "sql", 2, 2, 0.0008)
    page += done("/joined", "http", 2, 3, 2.5)
    return list(read(page))


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
    assert both == Row(Key("GET", "/a"), 20, 10, pytest.approx(0.12), 0.2, {})
    assert post == Row(Key("POST", "/a"), 1, 0, pytest.approx(0.05), pytest.approx(0.095), {})
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


def test_operations_are_means_of_the_requests_that_had_any() -> None:
    assert operations(routes_that_ask()) == {
        "/late": {"sql": Operations(33, pytest.approx(0.0145))},
        "/joined": {"sql": Operations(1, pytest.approx(0.0004)), "http": Operations(1.5, 1.25)},
    }


def test_operations_of_requests_without_a_route_are_in_the_line_without_a_route() -> None:
    page = series("", 404, [("+Inf", 1)])
    page += done("", "sql", 4, 8, 1.0).replace(',http_route=""', "")
    (row,) = rows(list(read(page)))
    assert row.operations == {"sql": Operations(2, 0.25)}


def test_a_histogram_that_nothing_was_counted_in_is_no_operation() -> None:
    assert operations(read(done("/a", "sql", 0, 0, 0))) == {}


def test_each_kind_that_was_used_is_a_column_of_the_table() -> None:
    assert text(rows(routes_that_ask())) == (
        "route        count  errors      p50      p95            SQL          outgoing\n"
        "GET /joined      2       0  50.0 ms  95.0 ms   1 in  0.4 ms  1.5 in 1250.0 ms\n"
        "GET /late        2       0  50.0 ms  95.0 ms  33 in 14.5 ms\n"
        "GET /no          2       0  50.0 ms  95.0 ms\n"
        "total            6       0"
    )


def test_a_mean_that_is_nearly_whole_is_shown_as_whole() -> None:
    page = series("/a", 200, [("+Inf", 60)]) + done("/a", "redis", 60, 121, 0.06)
    assert text(rows(list(read(page)))).splitlines()[1].endswith("  2 in 1.0 ms")


def test_the_route_that_asks_for_everything_one_by_one_is_named() -> None:
    assert remarks(rows(routes_that_ask())) == [
        "SQL, outgoing: how many operations a request had, and the time of all of them, on average.",
        "GET /late stands out: 33 SQL operations a request.",
    ]


def test_few_operations_need_no_remark_and_none_need_no_explanation() -> None:
    page = series("/a", 200, [("+Inf", 1)]) + done("/a", "redis", 1, 9, 0.1)
    assert remarks(rows(list(read(page)))) == [
        "Redis: how many operations a request had, and the time of all of them, on average."
    ]
    assert remarks(rows(samples())) == []
