"""Where the time of a request and of its flush goes, by Python function: `python -m tests.benchmarks.where`.

Run by the same launcher as the counted program, without valgrind. Read it as parts, not as times.
"""

import cProfile
import pstats
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.application import call, make_application
from tests.benchmarks.callgrind import ROOT
from tests.benchmarks.cases import CASES, environ
from tests.benchmarks.counted_requests import flush_of
from tests.process.receiver import Receiver

REQUESTS = 500
SHOWN = 40


def main(name: str) -> None:
    """Start the case of this name in a process of its own, as it is counted."""
    case = next(case for case in CASES if case.name == name)
    with tempfile.TemporaryDirectory() as folder, Receiver(Path(folder)) as receiver:
        command = [sys.executable, "-m", "tests.benchmarks.where", "inside", case.who]
        subprocess.run(command, env=environ(case, receiver.address), cwd=ROOT, check=True)


def inside(who: str) -> None:
    """Warm up, then profile rounds of requests and their flushes apart."""
    application = make_application()
    flush = flush_of(who)

    def requests() -> None:
        for _ in range(REQUESTS):
            call(application)

    requests()
    flush()
    _profile(f"{REQUESTS} requests", requests)
    _profile("their flush", flush)


def _profile(title: str, run: Callable[[], None]) -> None:
    profile = cProfile.Profile()
    profile.runcall(run)
    sys.stdout.write(f"\n== {title}\n")
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(SHOWN)


if __name__ == "__main__":
    if sys.argv[1] == "inside":
        inside(sys.argv[2])
    else:
        main(sys.argv[1])
