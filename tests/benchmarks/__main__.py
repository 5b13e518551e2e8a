"""`make bench`: all figures in one run, printed and written to `results.md` beside this file."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import load, results, scrape
from tests.benchmarks.record import count_records
from tests.benchmarks.whole_request import count_cases, count_subject

RESULTS = Path(__file__).parent / "results.md"


def main() -> None:
    """Run what was asked for; the page is written when everything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; writes no page")
    parser.add_argument("--only", choices=tuple(_sections(Path(), quick=True)), help="one section")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        made = [
            _said(name, make)
            for name, make in _sections(Path(folder), quick=asked.quick).items()
            if asked.only in {None, name}
        ]
    text = results.page(made)
    sys.stdout.write(text)
    if not asked.quick and not asked.only:
        RESULTS.write_text(text)


def _said(name: str, make: Callable[[], str]) -> str:
    begun = time.monotonic()
    section = make()
    sys.stderr.write(f"{name}: {time.monotonic() - begun:.0f} s\n")
    return section


def _sections(folder: Path, *, quick: bool) -> dict[str, Callable[[], str]]:
    """What makes each section. The long page comes first: the peak of a process' memory only grows."""

    def scrapes() -> str:
        length, grown = scrape.long_page_bytes()
        return results.scrapes(scrape.compare(folder, 5 if quick else 15), length, grown)

    turns = (2, 1) if quick else (9, 3)
    return {
        "scrape": scrapes,
        "request": lambda: results.whole_requests(count_cases(folder, 2, 30 if quick else 100)),
        "redis": lambda: results.whole_requests(
            count_subject(folder, "redis", 2, 30 if quick else 100),
            "A request with Redis",
            "two Redis commands",
        ),
        "mixed": lambda: results.whole_requests(
            count_subject(folder, "mixed", 2, 20 if quick else 50),
            "A request that does more",
            "3 statements, 2 commands, 1 call",
        ),
        "record": lambda: results.records(count_records(folder, 2, 200 if quick else 1000)),
        "load": lambda: results.loads(load.run_load(folder, *turns)),
        "mixed-load": lambda: results.loads(load.run_load(folder, *turns, "mixed")),
    }


if __name__ == "__main__":
    main()
