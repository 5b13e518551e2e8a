"""Requests a second under gunicorn with sync workers and `wrk`, and CPU of all processes a request.

The servers of all cases live side by side and are asked in turn, so that a busy machine is unfair
to all of them alike. Server, workers and relay share one core; `wrk` and the receiver have another,
where there is one. Each figure is a ratio to the plain server of the same turn.
"""

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.application import PATHS
from tests.benchmarks.cases import METRICS_ONLY, OTHERS, Case, environ, of_subject
from tests.benchmarks.whole_request import other_servers
from tests.process.receiver import Receiver
from tests.process.server import BIN, Server, free_port

WORKERS: Final = 2
OF_A_KIND: Final[Mapping[str, tuple[str, ...]]] = {
    "hello": ("--worker-class", "sync"),
    "mixed": ("--worker-class", "gthread", "--threads", "4"),
}
"""gunicorn's workers, by what the application does."""
WARM_UP: Final = 4
"""Seconds of a first turn, in which libraries are loaded."""
FLUSHED: Final = 1.5
"""Seconds after a turn: every case sends what it has within one (OTEL_BSP_SCHEDULE_DELAY)."""
SETTLED: Final = {"OTEL_BSP_SCHEDULE_DELAY": "1000"}
CASES: Final = (
    Case("plain", "plain", {}),
    Case("plain again", "plain", {}),
    Case("contrib, everything sampled", "contrib", SETTLED),
    Case("contrib, metrics only", "contrib", SETTLED | METRICS_ONLY),
    Case("otelc2c, everything sampled", "otelc2c", SETTLED | OTHERS, limit=0.85),
    Case("otelc2c, metrics only", "otelc2c", SETTLED | OTHERS | METRICS_ONLY),
)


class Missing(RuntimeError):
    """A program that is needed is not installed."""


class Turn(NamedTuple):
    """One run of wrk: requests a second, and CPU seconds of all processes a request."""

    rate: float
    cpu: float
    requests: int


class Loaded(NamedTuple):
    """All turns of a case, beside the plain turns they are compared with."""

    case: Case
    turns: Sequence[Turn]
    plain: Sequence[Turn]
    arrived: float
    """Server spans at the receiver for each request that was answered: 1 where none was lost."""

    @property
    def ratios(self) -> list[float]:
        """Requests a second, as a part of the plain server's of the same turn."""
        return [mine.rate / other.rate for mine, other in zip(self.turns, self.plain, strict=True)]

    @property
    def added_cpu(self) -> list[float]:
        """CPU seconds a request more than the plain server of the same turn."""
        return [mine.cpu - other.cpu for mine, other in zip(self.turns, self.plain, strict=True)]


class _Running(NamedTuple):
    case: Case
    server: Server
    receiver: Receiver
    turns: list[Turn]

    def arrived(self) -> float:
        """Server spans a request."""
        spans = sum(one.span.kind == one.span.SPAN_KIND_SERVER for one in self.receiver.spans())
        return spans / sum(turn.requests for turn in self.turns)


def run_load(folder: Path, turns: int, seconds: int, subject: str = "hello") -> list[Loaded]:
    """All cases, `turns` times `seconds` each. Raises Missing without wrk."""
    with contextlib.ExitStack() as stack:
        at = stack.enter_context(other_servers(folder)) if subject != "hello" else {}
        return _run(folder, turns, seconds, subject, at)


def _run(folder: Path, turns: int, seconds: int, subject: str, variables: Mapping[str, str]) -> list[Loaded]:
    if shutil.which("wrk") is None:
        raise Missing("wrk is not installed (Debian's package `wrk`)")
    cores = sorted(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        running = []
        for case in (of_subject(case, subject) for case in CASES):
            inside = folder / f"load-{subject}-{case.name.replace(' ', '-').replace(',', '')}"
            inside.mkdir()
            receiver = stack.enter_context(Receiver(inside))
            environment = environ(case, receiver.address, variables)
            server = stack.enter_context(_server(case, environment, inside, cores[0]))
            running.append(_Running(case, server, receiver, [_turn(server, case, WARM_UP, cores[-1])]))
        for _ in range(turns):
            for one in running:
                one.turns.append(_turn(one.server, one.case, seconds, cores[-1]))
        # The first turn warmed up; its spans count, its times do not.
        plain = running[0].turns[1:]
        return [Loaded(one.case, one.turns[1:], plain, one.arrived()) for one in running]


def _server(case: Case, environment: Mapping[str, str], folder: Path, core: int) -> Server:
    port = free_port()
    application = f"tests.benchmarks.application:make_application('{case.subject}')"
    command = [
        *("taskset", "--cpu-list", str(core), str(BIN / "gunicorn"), "--no-control-socket"),
        *("--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "--log-level", "warning"),
        *OF_A_KIND[case.subject],
        application,
    ]
    return Server(command, folder, environment, port=port, launcher=False)


def _turn(server: Server, case: Case, seconds: int, core: int) -> Turn:
    before = server.cpu()
    requests, rate = _wrk(server, PATHS[case.subject], seconds, core)
    time.sleep(FLUSHED)
    return Turn(rate, (server.cpu() - before) / requests, requests)


def _wrk(server: Server, path: str, seconds: int, core: int) -> tuple[int, float]:
    """How many requests were answered, and how many a second."""
    url = f"http://127.0.0.1:{server.port}{path}?lang=en&page=2"
    command = ["taskset", "--cpu-list", str(core), "wrk", "-t1", "-c8", f"-d{seconds}s", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    total = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if total is None or rate is None or "Non-2xx" in said:
        raise RuntimeError(f"wrk said: {said}\n{server.printed()}")
    return int(total[1]), float(rate[1])


def median_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """The median, and half the distance between the smallest and the largest."""
    return statistics.median(values), (max(values) - min(values)) / 2
