"""Workers, relays and masters killed with -9 under load (must hold 2, 3, 4): T3, T4, T46."""

import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.process.ledger import HELLO, Client, Ledger
from tests.process.page import Request, Watch
from tests.process.procfs import cpu_seconds
from tests.process.receiver import Receiver
from tests.process.server import Server, free_port, gunicorn, kill, telemetry
from tests.process.waiting import steady, until

KILLS = 20
RELAY_KILLS = 5
SMALL = "tests.process.small:application"
SCRAPES = 5
ROUNDS = 60
LIVES = 1.2
"""Seconds that each relay works under load before it is killed, too."""


def another(server: Server, relay: int) -> bool:
    """Whether there is a relay that is not this one."""
    return server.relays() not in ([], [relay])


def wait_answers(ledger: Ledger, count: int) -> None:
    """Return once there are more than `count` answers."""
    until(lambda: len(ledger.answers) > count, 10, "answers go on")


def assert_page_agrees(server: Server, ledger: Ledger) -> None:
    """Every answered request is counted, and nothing that was not asked."""
    answered = ledger.counted()
    found = steady(server.page.requests, answered)
    maybe = ledger.maybe()
    assert not answered - found, f"answered and not counted: {answered - found}"
    over: dict[str, int] = {}
    for request, count in (found - answered).items():
        over[request.route] = over.get(request.route, 0) + count
    assert all(count <= maybe[route] for route, count in over.items()), f"counted and not asked: {over}"


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_killed_workers_lose_nothing_that_was_answered(
    tmp_path: Path, page_port: int, receiver: Receiver, worker: str
) -> None:
    with gunicorn(tmp_path, telemetry(page_port, receiver.address), worker=worker) as server:
        server.wait_workers(3)
        with Watch(server.page) as watch, Client(server.port).load() as ledger:
            for turn in range(KILLS):
                before = len(ledger.answers)
                workers = server.wait_workers(3)
                kill(workers[turn % 3])
                wait_answers(ledger, before + 30)
        assert_page_agrees(server, ledger)
        assert watch.fell == []
        assert watch.failed == []
        assert watch.scrapes >= KILLS // 2, "the page was looked at too seldom to say anything"
        received = receiver.wait_numbers(ledger.numbers())
        assert server.end() < 5
    assert ledger.numbers() <= received.keys(), "spans of answered requests are missing"
    assert max(received.values()) == 1, "a span came twice"


def test_killed_relays_are_noticed_by_nobody_who_asks(
    tmp_path: Path, page_port: int, receiver: Receiver
) -> None:
    with gunicorn(tmp_path, telemetry(page_port, receiver.address)) as server:
        server.wait_workers(3)
        until(server.page.ready, 5, "the page")
        with Watch(server.page) as watch, Client(server.port).load() as ledger:
            for _ in range(RELAY_KILLS):
                (relay,) = until(server.relays, 5, "a relay")
                killed = time.monotonic()
                kill(relay)
                until(partial(another, server, relay), 2, "another relay")
                until(server.page.ready, 2, "the page again")
                assert time.monotonic() - killed < 1.0
                # One that lives shorter than a second is started again later and later.
                time.sleep(LIVES)
        assert not ledger.lost
        assert all(answer.status == int(answer.asked.counted.status) for answer in ledger.answers)
        assert ledger.slowest(1.0) < 1.0
        assert_page_agrees(server, ledger)
        assert watch.fell == []
        received = receiver.wait_numbers(ledger.numbers())
        resent = server.page.total("otelc2c_relay_span_resent_total")
        assert server.end() < 5
    assert ledger.numbers() <= received.keys(), "spans of answered requests are missing"
    doubled = sum(count - 1 for count in received.values())
    print(f"page away {watch.away:.3f} s at most, {doubled} server spans twice, {resent:.0f} announced")
    assert doubled <= resent


def test_a_killed_supervisor_leaves_a_relay(tmp_path: Path, page_port: int) -> None:
    with gunicorn(tmp_path, telemetry(page_port), workers=2) as server:
        ledger = Client(server.port).send(20)
        (supervisor,) = until(server.supervisors, 5, "a supervisor")
        (relay,) = server.relays()
        kill(supervisor)
        assert server.page.requests() == ledger.counted()
        kill(relay)
        # Both are gone: the master, which looks after its workers each second, finds that out.
        until(server.page.ready, 5, "the page again")
        assert server.page.requests() == ledger.counted()
        assert len(server.relays()) == 1


def wait_settled(server: Server) -> None:
    """Return once the dead are folded and four workers are there, with nothing else going on."""
    server.wait_workers(4)
    until(lambda: len(list(server.pod().glob("*.cells"))) == 5, 10, "files of the master and four workers")


def scrape_seconds(servers: Sequence[Server]) -> list[float]:
    """Seconds of the processor that the relay of each server takes for a scrape, in the best of some rounds.

    Time on the clock says more about what else the machine does, and the servers take turns so that
    whatever else disturbs them disturbs them alike.
    """
    rounds: list[list[float]] = [[] for _ in servers]
    relays = [server.relays()[0] for server in servers]
    for _ in range(ROUNDS):
        for server, relay, took in zip(servers, relays, rounds, strict=True):
            begun = cpu_seconds(relay)
            for _ in range(SCRAPES):
                server.page.text()
            took.append((cpu_seconds(relay) - begun) / SCRAPES)
    return [min(took) for took in rounds]


@pytest.mark.slow
def test_recycled_workers_leave_no_files_and_cost_no_time(tmp_path: Path, page_port: int) -> None:
    """Beside a server of the same kind that has answered eight requests."""
    recycled = 400
    start = partial(gunicorn, tmp_path, application=SMALL, workers=4)
    arguments = ("--max-requests", "1")
    with (
        start(telemetry(page_port), *arguments) as server,
        start(telemetry(free_port()), *arguments) as young,
    ):
        server.wait_workers(4)
        Client(young.port).send(8, [HELLO])
        with Watch(server.page, pause=0.2) as watch:
            ledger = Client(server.port).send(recycled, [HELLO])
        hello = Request("", "GET", "200")
        counted = len(ledger.answers)
        assert counted >= recycled - 8
        assert steady(lambda: server.page.requests()[hello], counted) == counted
        assert watch.fell == []
        assert watch.failed == []
        wait_settled(server)
        wait_settled(young)
        files = sorted(path.name for path in server.pod().iterdir())
        later, fresh = scrape_seconds([server, young])
    print(f"{len(files)} files after {counted}; a scrape of {fresh * 1e3:.3f} ms, {later / fresh:.3f} of it")
    assert len(files) < 30, files
    assert later < fresh * 1.3


def test_the_relay_ends_when_its_server_was_killed(
    tmp_path: Path, page_port: int, receiver: Receiver
) -> None:
    # An idle sync worker looks for its master after half of its timeout.
    arguments = ("--timeout", "2")
    with gunicorn(tmp_path, telemetry(page_port, receiver.address), *arguments, workers=2) as server:
        ledger = Client(server.port).send(50)
        pod = server.pod()
        server.main.send_signal(signal.SIGKILL)
        until(lambda: server.processes() == [], 10, "nothing of the run lives")
        assert not pod.exists()
    received = receiver.numbers()
    assert set(received) == ledger.numbers()
    assert max(received.values()) == 1
