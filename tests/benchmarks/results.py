"""The figures as one page: tables with their limits and their spread, dated."""

import datetime as dt
import platform
from collections.abc import Iterable, Sequence
from importlib import metadata

from tests.benchmarks.load import OF_A_KIND, Loaded, median_and_spread
from tests.benchmarks.record import LIMITS, WHO, Recorded
from tests.benchmarks.scrape import LIMIT as SCRAPE_LIMIT
from tests.benchmarks.scrape import LINES, WORKERS, Compared
from tests.benchmarks.whole_request import Counted

SUBJECTS = {"hello": "Under load", "mixed": "Under load, doing more"}
VERSIONS = ("otelc2c", "opentelemetry-sdk", "opentelemetry-instrumentation-pyramid", "pyramid", "gunicorn")


def page(sections: Iterable[str]) -> str:
    """All sections under a heading that says when, with what, and on what."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in VERSIONS)
    head = (
        f"# Speed\n\nMeasured on {dt.datetime.now(dt.UTC).date().isoformat()} by `make bench`: "
        f"CPython {platform.python_version()} on {platform.machine()}, {versions}.\n"
    )
    return "\n".join((head, *sections))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns are as wide as they need to be; all but the first to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    marks = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, marks)
    return "".join(
        "| "
        + " | ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |\n"
        for line in lines
    )


def verdict(value: float, limit: float) -> str:
    """Whether `value` is within its limit."""
    return "met" if value <= limit else "missed"


def whole_requests(counted: Sequence[Counted], title: str = "A request", subject: str = "JSON hello") -> str:
    """Instructions a request, over the plain application of the `subject`."""
    totals = {one.case.name: one.total for one in counted}
    rows = []
    for one in counted:
        case, added = one.case, one.total - totals["plain"]
        part = goal = ""
        if case.peer in totals:
            ratio = added / (totals[case.peer] - totals["plain"])
            part = f"{ratio:.3f}"
            goal = f"{verdict(ratio, case.limit)} (at most {case.limit})"
            if case.subject != "hello" and case.limit_k:
                goal = f"{verdict(added / 1e3, case.limit_k)} (at most {case.limit_k:g} k)"
        shown = f"{one.total / 1e3:,.0f}", f"{added / 1e3:+,.1f}", f"{one.flush / 1e3:,.1f}"
        rows.append((case.name, *shown, f"{one.spread:.1%}", f"{one.spans:g}", part, goal))
    head = (subject, "k a request", "added k", "of it flush", "spread", "spans", "of the peer's", "goal")
    return (
        f"## {title}\n\nThousand user-space instructions a request, by valgrind; what the relay does for it "
        "(reading, encoding, sending spans, and metrics once a round) is counted in.\n\n" + table(head, rows)
    )


def records(recorded: Sequence[Recorded]) -> str:
    """Instructions a record."""
    rows = []
    for one in recorded:
        goal = ""
        if one.who in LIMITS:
            goal = f"{verdict(one.median, LIMITS[one.who])} (at most {LIMITS[one.who]:,})"
        rows.append((WHO[one.who], f"{one.median:,.0f}", f"{one.spread:.1%}", goal))
    return "## A record\n\nInstructions of one histogram record with five attributes.\n\n" + table(
        ("by", "instructions", "spread", "goal"), rows
    )


def loads(loaded: Sequence[Loaded]) -> str:
    """Requests a second and CPU under load."""
    rows = []
    for one in loaded:
        ratio, spread = median_and_spread(one.ratios)
        cpu, cpu_spread = median_and_spread(one.added_cpu)
        goal = ""
        if one.case.limit:
            goal = f"{'met' if ratio >= one.case.limit else 'missed'} (at least {one.case.limit})"
        rates = (
            f"{median_and_spread([turn.rate for turn in one.turns])[0]:,.0f}",
            f"{ratio:.2f} ± {spread:.2f}",
        )
        costs = f"{cpu * 1e6:+,.0f} ± {cpu_spread * 1e6:,.0f}", f"{one.arrived:.3f}"
        rows.append((one.case.name, *rates, *costs, goal))
    subject = loaded[0].case.subject
    head = (f"{subject} under wrk", "requests/s", "of plain", "added CPU µs", "spans arrived", "goal")
    return (
        f"## {SUBJECTS[subject]}\n\ngunicorn with two workers ({' '.join(OF_A_KIND[subject][1::2])}) on one "
        f"core, {len(loaded[0].turns)} turns each, in turn; CPU is user and system time of server, workers "
        "and relay a request.\n\n" + table(head, rows)
    )


def scrapes(compared: Compared, page_bytes: int, grown: int) -> str:
    """Time of a scrape and memory of a long page."""
    goal = f"{verdict(compared.ratio, SCRAPE_LIMIT)} (at most {SCRAPE_LIMIT})"
    rows = [
        (name, f"{taken.median * 1e3:.1f}", f"{taken.spread * 1e3:.1f}", part, verdict_text)
        for name, taken, part, verdict_text in (
            ("otelc2c", compared.ours, f"{compared.ratio:.2f}", goal),
            ("prometheus_client, several processes", compared.theirs, "", ""),
        )
    ]
    return (
        f"## A scrape\n\nCPU milliseconds of a scrape of {WORKERS} workers with {LINES:,} lines each.\n\n"
        + table(("by", "ms", "spread", "of the peer's", "goal"), rows)
        + f"\nA page of 10,000 series has {page_bytes / 1e6:.1f} MB; the peak of memory grew by "
        f"{grown / 1e6:.1f} MB while it was written twice.\n"
    )
