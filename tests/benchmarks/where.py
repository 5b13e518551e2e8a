"""Where the time of a request and of its flush goes, by Python function.

`python -m tests.benchmarks.where CASE [SUBJECT]`. The case is run by the same launcher as the counted
program, without valgrind. Read it as parts, not as times.
"""

import cProfile
import pstats
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.application import PATHS, REDIS_URL, call, make_application
from tests.benchmarks.callgrind import ROOT
from tests.benchmarks.cases import CASES, REDIS_CASES, environ
from tests.benchmarks.counted_requests import flush_of
from tests.process.receiver import Receiver
from tests.services.redis_server import RedisServer

REQUESTS = 500
SHOWN = 40


def main(name: str, subject: str = "hello") -> None:
    """Start the case of this name in a process of its own, as it is counted."""
    case = next(case for case in (*CASES, *REDIS_CASES) if (case.name, case.subject) == (name, subject))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = stack.enter_context(Receiver(folder))
        variables = {}
        if subject == "redis":
            server = stack.enter_context(RedisServer(folder))
            variables[REDIS_URL] = f"redis://127.0.0.1:{server.port}/0"
        command = [sys.executable, "-m", "tests.benchmarks.where", "inside", case.who, subject]
        subprocess.run(command, env=environ(case, receiver.address, variables), cwd=ROOT, check=True)


def inside(who: str, subject: str) -> None:
    """Warm up, then profile rounds of requests and their flushes apart."""
    application, path = make_application(subject), PATHS[subject]
    flush = flush_of(who)

    def requests() -> None:
        for _ in range(REQUESTS):
            call(application, path)

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
        inside(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
