"""A scrape of eight workers with 2,000 lines each costs at most a quarter of the peer's."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.scrape import LIMIT, LINES, compare, long_page_bytes

pytestmark = pytest.mark.bench


def samples(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Values by name and labels, but those of the scope."""
    parse: Callable[[str], Iterable[Metric]] = text_string_to_metric_families
    return {
        (
            s.name,
            tuple(sorted((k, v) for k, v in s.labels.items() if not k.startswith("otel_scope_"))),
        ): s.value
        for metric in parse(page.decode())
        for s in metric.samples
    }


def test_a_scrape_costs_a_quarter_of_the_peers(tmp_path: Path) -> None:
    """Both pages say the same numbers, so that the times may be compared."""
    found = compare(tmp_path, scrapes=5)
    ours, theirs = samples(found.our_page), samples(found.their_page)
    assert len(ours) == LINES == 2000
    assert {k: round(v, 9) for k, v in ours.items()} == {k: round(v, 9) for k, v in theirs.items()}
    assert found.ratio <= LIMIT


def test_a_page_of_10000_series_needs_little_memory() -> None:
    """Rows and remembered labels may cost 1.5 kB a series at most, the page itself is never whole."""
    length, grown = long_page_bytes()
    assert length > 1_000_000
    assert grown < 15_000_000
