"""A small application with asynchronous instruments, registered where `BEGIN` of the environment says.

Served by gunicorn, or by wsgiref as a program on the port it is told. As a gunicorn configuration it
registers them before the server has become a daemon, as an instrumentation does that the launcher loads.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import make_server

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

_answered: dict[int, int] = {}


def _here(_: CallbackOptions) -> list[Observation]:
    """One for each process that observes."""
    return [Observation(1)]


def _answers(_: CallbackOptions) -> list[Observation]:
    """How many requests this process has answered."""
    return [Observation(_answered.get(os.getpid(), 0))]


def _process(_: CallbackOptions) -> list[Observation]:
    """Who it is."""
    return [Observation(os.getpid(), {"of": str(os.getpid())})]


def register(where: str) -> None:
    """Make the instruments, if `where` is the place that was asked for."""
    if os.environ["BEGIN"] == where:
        meter = metrics.get_meter("observed")
        meter.create_observable_up_down_counter("here", [_here])
        meter.create_observable_counter("answers", [_answers])
        meter.create_observable_gauge("process", [_process])


def make_application() -> Callable[..., list[bytes]]:
    """The application."""
    register("application")

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """Answer 200; `/fork` forks a process that only waits for its end."""
        pid = os.getpid()
        _answered[pid] = _answered.get(pid, 0) + 1
        if environ["PATH_INFO"] == "/fork" and not os.fork():
            signal.pause()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    return application


if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), make_application()).serve_forever()
else:
    register("configuration")
