"""Asynchronous instruments: whoever answers requests observes, and no other process does."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.ledger import HELLO, Client
from tests.process.server import Server, free_port, gunicorn, kill, telemetry
from tests.process.waiting import steady, until

APPLICATION = "tests.process.observed:make_application()"
WORKERS = 3


@contextmanager
def served(folder: Path, page: int, begin: str, *arguments: str) -> Iterator[tuple[Server, int]]:
    """A gunicorn with observed instruments, and the id of its master, which may be a daemon."""
    pidfile = folder / "pid"
    variables = telemetry(page, BEGIN=begin, OTELC2C_OBSERVE_INTERVAL="0.1")
    arguments = ("-c", "python:tests.process.observed", "--pid", str(pidfile), *arguments)
    server = gunicorn(folder, variables, *arguments, workers=WORKERS, application=APPLICATION)
    if "--daemon" not in arguments:
        with server:
            yield server, server.main.pid
        return
    server.start()
    try:
        assert server.main.wait(20) == 0
        master = int(until(lambda: pidfile.exists() and pidfile.read_text().strip(), 20, "the daemon"))
        yield server, master
        kill(master, signal.SIGTERM)
        until(lambda: server.processes() == [], 10, "everything ends")
    finally:
        server.__exit__(None, None, None)


def observing(server: Server) -> list[int]:
    """Ids of the processes that observe."""
    samples = server.page.samples().items()
    return sorted(int(value) for (name, _), value in samples if name == "process")


@pytest.mark.parametrize("begin", ["application", "configuration"])
@pytest.mark.parametrize(
    "arguments",
    [(), ("--preload",), ("--daemon",), ("--preload", "--daemon")],
    ids=["", "preload", "daemon", "preload, daemon"],
)
def test_each_worker_observes_and_the_master_does_not(
    tmp_path: Path, page_port: int, begin: str, arguments: tuple[str, ...]
) -> None:
    """Must hold 11: however often the server forks before its workers are there."""
    with served(tmp_path, page_port, begin, *arguments) as (server, master):
        workers = server.wait_workers(WORKERS, master)
        until(server.page.ready, 10, "the page")

        assert steady(lambda: observing(server), workers, 10) == workers
        Client(server.port).send(30, [HELLO])
        assert steady(lambda: server.page.total("answers_total"), 30) == 30
        assert server.page.total("here") == WORKERS


def test_a_process_that_answers_requests_observes_whatever_it_forks(tmp_path: Path, page_port: int) -> None:
    """A pool of processes, as of `multiprocessing`, does not make it a master."""
    port = free_port()
    command = (sys.executable, "-m", "tests.process.observed", str(port))
    variables = telemetry(page_port, BEGIN="application", OTELC2C_OBSERVE_INTERVAL="0.1")
    with Server(command, tmp_path, variables, port=port) as server:
        client = Client(server.port)
        client.send(1, [HELLO])
        client.send(1, [HELLO._replace(path="/fork")])
        until(lambda: len(server.workers()) == 1, 10, "another process")
        until(server.page.ready, 10, "the page")
        assert steady(lambda: server.page.total("answers_total"), 2) == 2
        assert observing(server) == [server.main.pid]
        assert server.page.total("here") == 1
