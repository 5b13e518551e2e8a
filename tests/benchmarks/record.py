"""Instructions of one histogram record with five attributes, by us and by the peers."""

import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.callgrind import ROOT, count
from tests.benchmarks.cases import INHERITED

WHO: Final = {
    "own": "otelc2c, its own instruments",
    "api": "otelc2c, through the API",
    "sdk": "OpenTelemetry SDK",
    "prometheus": "prometheus_client, several processes",
}
LIMITS: Final = {"own": 6_000, "api": 12_000}


class Recorded(NamedTuple):
    """Instructions of one record, without the loop around it."""

    who: str
    rounds: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """Largest distance of a round from the median, as a part of it."""
        return max(abs(each - self.median) for each in self.rounds) / self.median


def count_records(folder: Path, rounds: int, records: int) -> list[Recorded]:
    """Everybody's record; what the loop costs by itself is taken off."""
    loop = statistics.median(_rounds(folder, "nothing", rounds, records))
    return [Recorded(who, [each - loop for each in _rounds(folder, who, rounds, records)]) for who in WHO]


def _rounds(folder: Path, who: str, rounds: int, records: int) -> list[float]:
    inside = folder / f"record-{who}"
    inside.mkdir()
    environ = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environ |= {"PYTHONPATH": str(ROOT), "BENCH_FOLDER": str(inside)}
    marks = count(inside, "tests.benchmarks.counted_records", (who, str(rounds), str(records)), environ)
    return [marks[f"records-{number}"] / records for number in range(rounds)]
