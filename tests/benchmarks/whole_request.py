"""Instructions of a whole request, case by case: the program that starts the counted ones."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.callgrind import count
from tests.benchmarks.cases import CASES, Case, environ
from tests.process.receiver import Receiver


class Counted(NamedTuple):
    """A case's figures, in instructions a request; the flush that ends a round is shared by its requests."""

    case: Case
    rounds: Sequence[float]
    requests: float
    flush: float
    spans: float
    """Spans a request that the receiver got."""

    @property
    def total(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """Largest distance of a round from the median, as a part of it."""
        return max(abs(each - self.total) for each in self.rounds) / self.total


def count_case(folder: Path, case: Case, rounds: int, requests: int) -> Counted:
    """Run one case under valgrind, with a receiver of its own."""
    inside_folder = folder / case.name.replace(" ", "-").replace(",", "")
    inside_folder.mkdir()
    with Receiver(inside_folder) as at:
        marks = count(
            inside_folder,
            "tests.benchmarks.counted_requests",
            (case.who, str(rounds), str(requests)),
            environ(case, at.address),
        )
        # The warm-up's are there, too.
        spans = len(at.spans()) / requests / (rounds + 1)
    inside = [marks[f"requests-{number}"] / requests for number in range(rounds)]
    flushes = [marks[f"flush-{number}"] / requests for number in range(rounds)]
    return Counted(
        case,
        [one + other for one, other in zip(inside, flushes, strict=True)],
        statistics.median(inside),
        statistics.median(flushes),
        spans,
    )


def count_cases(folder: Path, rounds: int, requests: int, names: Sequence[str] = ()) -> list[Counted]:
    """Every case, or those that are named."""
    chosen = [case for case in CASES if not names or case.name in names]
    return [count_case(folder, case, rounds, requests) for case in chosen]
