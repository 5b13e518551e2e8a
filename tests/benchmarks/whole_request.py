"""Instructions of a whole request, case by case: the program that starts the counted ones."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.application import REDIS_URL, STOCK_URL
from tests.benchmarks.callgrind import count
from tests.benchmarks.cases import CASES, Case, cases_of, environ
from tests.benchmarks.stock import Stock
from tests.process.receiver import Receiver
from tests.services.redis_server import RedisServer


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


def count_case(
    folder: Path, case: Case, rounds: int, requests: int, variables: Mapping[str, str] | None = None
) -> Counted:
    """Run one case under valgrind, with a receiver of its own."""
    inside_folder = folder / f"{case.subject} {case.name}".replace(" ", "-").replace(",", "")
    inside_folder.mkdir()
    with Receiver(inside_folder) as at:
        marks = count(
            inside_folder,
            "tests.benchmarks.counted_requests",
            (case.who, str(rounds), str(requests), case.subject),
            environ(case, at.address, variables),
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


@contextmanager
def other_servers(folder: Path) -> Iterator[Mapping[str, str]]:
    """Redis, and a service to call: the variables by which an application finds them."""
    with RedisServer(folder) as server, Stock() as stock:
        yield {REDIS_URL: f"redis://127.0.0.1:{server.port}/0", STOCK_URL: stock.url}


def count_subject(
    folder: Path, subject: str, rounds: int, requests: int, names: Sequence[str] = ()
) -> list[Counted]:
    """Every case, or those that are named, of a subject that asks other servers: the same for all cases."""
    with other_servers(folder) as at:
        chosen = [case for case in cases_of(subject) if not names or case.name in names]
        return [count_case(folder, case, rounds, requests, at) for case in chosen]
