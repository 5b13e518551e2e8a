"""The table by route that `otelc2c demo` prints, made from the samples of a metrics page."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from otelc2c.demo.page import Sample

DURATION = "http_server_request_duration_seconds"
NO_ROUTE = "(no route)"


class Key(NamedTuple):
    """What one line of the table is about."""

    method: str
    route: str


class Row(NamedTuple):
    """One line: how many requests, how many of them answered with 5xx, and durations in seconds."""

    key: Key
    requests: int
    errors: int
    p50: float
    p95: float


def counts(samples: Iterable[Sample]) -> dict[Key, int]:
    """Requests by method and route."""
    found: dict[Key, int] = defaultdict(int)
    for sample in samples:
        if sample.name == DURATION + "_count":
            found[_key(sample.labels)] += int(sample.value)
    return dict(found)


def rows(samples: Sequence[Sample]) -> list[Row]:
    """The table, by route and method. Requests of one route add up over all statuses."""
    errors: dict[Key, int] = defaultdict(int)
    buckets: dict[Key, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for sample in samples:
        key = _key(sample.labels)
        if sample.name == DURATION + "_bucket":
            buckets[key][float(sample.labels["le"])] += sample.value
        elif sample.name == DURATION + "_count" and _status(sample).startswith("5"):
            errors[key] += int(sample.value)
    return [
        Row(key, count, errors[key], quantile(0.5, buckets[key]), quantile(0.95, buckets[key]))
        for key, count in sorted(counts(samples).items(), key=_order)
    ]


def quantile(share: float, cumulative: Mapping[float, float]) -> float:
    """A quantile of a histogram with `cumulative` counts by upper boundary, in the boundaries' unit.

    Interpolated linearly within the bucket, as Prometheus' `histogram_quantile` does: in the
    last bucket, which has no upper boundary, it is the boundary below. NaN where nothing was counted.
    """
    total = cumulative.get(math.inf, 0.0)
    if not total:
        return math.nan
    rank = share * total
    lower = below = 0.0
    for upper in sorted(cumulative):
        upto = cumulative[upper]
        if upto >= rank:
            if math.isinf(upper):
                return lower
            return lower + (upper - lower) * (rank - below) / (upto - below)
        lower, below = upper, upto
    return lower


def text(table: Sequence[Row]) -> str:
    """The table in aligned columns, with a line for the total."""
    total = sum(row.requests for row in table)
    errors = sum(row.errors for row in table)
    lines = [("route", "count", "errors", "p50", "p95")]
    lines += [
        (
            f"{row.key.method} {row.key.route}",
            str(row.requests),
            str(row.errors),
            _milliseconds(row.p50),
            _milliseconds(row.p95),
        )
        for row in table
    ]
    lines.append(("total", str(total), str(errors), "", ""))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(line[i].rjust(widths[i]) for i in range(1, 5))]).rstrip()
        for line in lines
    )


def _order(item: tuple[Key, int]) -> tuple[bool, str, str]:
    """By route and method; what matched no route comes last."""
    key, _ = item
    return key.route == NO_ROUTE, key.route, key.method


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds * 1000:.1f} ms"


def _key(labels: Mapping[str, str]) -> Key:
    return Key(labels.get("http_request_method", ""), labels.get("http_route") or NO_ROUTE)


def _status(sample: Sample) -> str:
    return sample.labels.get("http_response_status_code", "")
