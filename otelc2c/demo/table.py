"""The table by route that `otelc2c demo` prints, made from the samples of a metrics page."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from otelc2c.demo.page import Sample

DURATION = "http_server_request_duration_seconds"
OPERATIONS = "otelc2c_request_operations"
OPERATION_DURATION = "otelc2c_request_operation_duration_seconds"
NO_ROUTE = "(no route)"
KINDS: Final = {"sql": "SQL", "redis": "Redis", "http": "outgoing"}
"""What other systems do for a request: the label's value, and the title of the column."""
MANY: Final = 10
"""From this number of operations on, a route is named below the table."""


class Key(NamedTuple):
    """What one line of the table is about."""

    method: str
    route: str


class Operations(NamedTuple):
    """What a request had done by other systems of one kind: means of the requests that had any.

    How many operations, and the time of all of them together, in seconds.
    """

    number: float
    seconds: float


class Row(NamedTuple):
    """One line: how many requests, how many of them answered with 5xx, and durations in seconds.

    `operations` are by kind. The page has them by route alone: lines of one route have the same.
    """

    key: Key
    requests: int
    errors: int
    p50: float
    p95: float
    operations: Mapping[str, Operations]


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
    done = operations(samples)
    return [
        Row(
            key,
            count,
            errors[key],
            quantile(0.5, buckets[key]),
            quantile(0.95, buckets[key]),
            done.get(key.route, {}),
        )
        for key, count in sorted(counts(samples).items(), key=_order)
    ]


def operations(samples: Iterable[Sample]) -> dict[str, dict[str, Operations]]:
    """What requests had done by other systems, by route and kind."""
    requests: dict[tuple[str, str], float] = defaultdict(float)
    number: dict[tuple[str, str], float] = defaultdict(float)
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    sums = {
        OPERATIONS + "_count": requests,
        OPERATIONS + "_sum": number,
        OPERATION_DURATION + "_sum": seconds,
    }
    for sample in samples:
        if sample.name in sums:
            place = (sample.labels.get("http_route") or NO_ROUTE, sample.labels["otelc2c_operation"])
            sums[sample.name][place] += sample.value
    found: dict[str, dict[str, Operations]] = defaultdict(dict)
    for (route, kind), count in requests.items():
        if count:
            at = (route, kind)
            found[route][kind] = Operations(number[at] / count, seconds[at] / count)
    return dict(found)


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
    """The table in aligned columns, with a line for the total.

    Kinds of operations have a column each if any request had some.
    """
    lines = [["route", "count", "errors", "p50", "p95"]]
    for row in table:
        counted = [_name(row.key), str(row.requests), str(row.errors)]
        lines.append([*counted, _milliseconds(row.p50), _milliseconds(row.p95)])
    for kind in _kinds(table):
        column = [KINDS[kind], *_done([row.operations.get(kind) for row in table])]
        for line, cell in zip(lines, column, strict=True):
            line.append(cell)
    lines.append(["total", str(sum(row.requests for row in table)), str(sum(row.errors for row in table))])
    widths = [max(len(line[at]) for line in lines if at < len(line)) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=False))
        ).rstrip()
        for line in lines
    )


def remarks(table: Sequence[Row]) -> list[str]:
    """How the columns of operations are read, and which route asks most; nothing where there are none."""
    kinds = _kinds(table)
    if not kinds:
        return []
    titles = ", ".join(KINDS[kind] for kind in kinds)
    said = [f"{titles}: how many operations a request had, and the time of all of them, on average."]
    most = max(((row, kind) for row in table for kind in row.operations), key=_number)
    if _number(most) >= MANY:
        row, kind = most
        said.append(
            f"{_name(row.key)} stands out: {_rounded(_number(most))} {KINDS[kind]} operations a request."
        )
    return said


def _order(item: tuple[Key, int]) -> tuple[bool, str, str]:
    """By route and method; what matched no route comes last."""
    key, _ = item
    return key.route == NO_ROUTE, key.route, key.method


def _kinds(table: Sequence[Row]) -> list[str]:
    """The kinds of operations that there were."""
    return [kind for kind in KINDS if any(kind in row.operations for row in table)]


def _number(place: tuple[Row, str]) -> float:
    row, kind = place
    return row.operations[kind].number


def _name(key: Key) -> str:
    return f"{key.method} {key.route}"


def _done(column: Sequence[Operations | None]) -> list[str]:
    """The cells of one kind, in which numbers stand below numbers and times below times."""
    cells = [(_rounded(one.number), _milliseconds(one.seconds)) if one else ("", "") for one in column]
    number, time = (max(len(cell[part]) for cell in cells) for part in (0, 1))
    return [f"{cell[0]:>{number}} in {cell[1]:>{time}}" if cell[0] else "" for cell in cells]


def _rounded(number: float) -> str:
    """A mean with one decimal, which is left out where it is zero."""
    return f"{number:.1f}".removesuffix(".0")


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds * 1000:.1f} ms"


def _key(labels: Mapping[str, str]) -> Key:
    return Key(labels.get("http_request_method", ""), labels.get("http_route") or NO_ROUTE)


def _status(sample: Sample) -> str:
    return sample.labels.get("http_response_status_code", "")
