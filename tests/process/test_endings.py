"""Ends and changes of a server: with a healthy receiver no span is lost, with a bad one nobody waits
long (must hold 9): T9, T10, F-22.
"""

import signal
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.process.ledger import HELLO, Client
from tests.process.page import Watch
from tests.process.receiver import Receiver
from tests.process.server import Server, free_port, gunicorn, kill, telemetry
from tests.process.waiting import steady, until

EXIT_LIMIT = 3.0
EXIT_TIMEOUT = 2.0
"""Of OTELC2C_EXIT_TIMEOUT: what telemetry may add to an end."""
MARGIN = 0.5
"""What the server needs by itself, on a machine that others use too."""
MOST_REQUESTS = 6000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_end_in_order_loses_no_span(
    tmp_path: Path, page_port: int, receiver: Receiver, number: signal.Signals
) -> None:
    with gunicorn(tmp_path, telemetry(page_port, receiver.address)) as server:
        ledger = Client(server.port).send(200)
        took = server.end(number)
        # Everything is there when the server has ended, not some time later.
        received = receiver.numbers()
        until(lambda: server.processes() == [], 3, "the relay ends too")
    assert took < EXIT_LIMIT + MARGIN
    assert set(received) == ledger.numbers()
    assert max(received.values()) == 1


def replaced(server: Server, before: list[int]) -> bool:
    """Whether none of these workers is left."""
    return not set(before) & set(server.workers())


@pytest.mark.parametrize("arguments", [(), ("--preload",)], ids=["", "preload"])
def test_hup_loses_no_span_and_no_number(
    tmp_path: Path, page_port: int, receiver: Receiver, arguments: tuple[str, ...]
) -> None:
    with gunicorn(tmp_path, telemetry(page_port, receiver.address), *arguments) as server:
        before = server.wait_workers(3)
        until(server.page.ready, 5, "the page")
        (relay,) = server.relays()
        with Watch(server.page) as watch, Client(server.port).load(threads=2) as ledger:
            for _ in range(2):
                kill(server.main.pid, signal.SIGHUP)
                until(partial(replaced, server, before), 30, "new workers")
                before = server.wait_workers(3)
        assert watch.fell == []
        assert watch.failed == []
        assert server.relays() == [relay]
        assert steady(lambda: not ledger.counted() - server.page.requests(), True)
        server.end()
        received = receiver.numbers()
    assert ledger.numbers() <= received.keys()
    assert max(received.values()) == 1


def test_usr2_passes_the_pod_on(tmp_path: Path, page_port: int, receiver: Receiver) -> None:
    pidfile = tmp_path / "pid"
    arguments = ("--pid", str(pidfile))
    with gunicorn(tmp_path, telemetry(page_port, receiver.address), *arguments, workers=2) as server:
        server.wait_workers(2)
        until(server.page.ready, 5, "the page")
        (relay,) = server.relays()
        with Watch(server.page) as watch, Client(server.port).load(threads=2) as ledger:
            kill(server.main.pid, signal.SIGUSR2)
            second = Path(f"{pidfile}.2")
            until(lambda: second.exists() and second.read_text().strip(), 15, "the new master")
            master = int(second.read_text())
            server.wait_workers(2, master)
            took = server.end()
            before = len(ledger.answers)
            until(lambda: len(ledger.answers) > before + 50, 10, "the new master's answers")
        assert took < EXIT_LIMIT + MARGIN
        assert watch.fell == []
        assert watch.failed == []
        assert server.relays() == [relay]
        assert steady(lambda: not ledger.counted() - server.page.requests(), True)
        kill(master, signal.SIGTERM)
        until(lambda: server.processes() == [], 10, "everything ends")
        received = receiver.numbers()
    assert ledger.numbers() <= received.keys()
    assert max(received.values()) == 1


def test_max_requests_loses_no_span(tmp_path: Path, page_port: int, receiver: Receiver) -> None:
    arguments = ("--max-requests", "20", "--max-requests-jitter", "5")
    with gunicorn(tmp_path, telemetry(page_port, receiver.address), *arguments, workers=2) as server:
        ledger = Client(server.port).send(200)
        assert steady(lambda: not ledger.counted() - server.page.requests(), True)
        server.end()
        received = receiver.numbers()
    assert ledger.numbers() <= received.keys()
    assert max(received.values()) == 1


def status_of(port: int, path: str) -> int:
    """The status of one answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=15) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_a_worker_that_is_aborted_tells_the_status_that_was_sent(
    tmp_path: Path, page_port: int, receiver: Receiver
) -> None:
    """gunicorn's timeout is a SIGABRT, which ends the request by SystemExit and answers it with 500."""
    with (
        gunicorn(tmp_path, telemetry(page_port, receiver.address), workers=1) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        (worker,) = server.wait_workers(1)
        answer = pool.submit(status_of, server.port, "/slow?seconds=30")
        until(lambda: server.page.total("http_server_active_requests") == 1, 10, "the request runs")
        kill(worker, signal.SIGABRT)
        sent = str(answer.result(15))
        until(lambda: server.workers() not in ([], [worker]), 10, "another worker")
        labels = {"http_response_status_code": sent, "error_type": "SystemExit"}
        counted = server.page.total("http_server_request_duration_seconds_count", **labels)
        server.end()
        (span,) = [one.span for one in receiver.spans() if one.span.kind == one.span.SPAN_KIND_SERVER]
    found = {item.key: item.value for item in span.attributes}
    assert sent == "500"
    assert counted == 1
    assert found["http.response.status_code"].int_value == 500
    assert found["error.type"].string_value == "SystemExit"


@pytest.fixture(scope="module")
def longest_end(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds that the end of a server with two workers may take with a receiver in trouble.

    Workers and master take their interpreters down one after the other, with whatever was imported. That
    is processor time, most of the end on a busy machine, and the same when the receiver is healthy.
    """
    folder = tmp_path_factory.mktemp("healthy")
    with (
        Receiver(folder) as healthy,
        gunicorn(folder, telemetry(free_port(), healthy.address), workers=2) as server,
    ):
        Client(server.port).send(300)
        by_itself = server.end()
    return max(EXIT_LIMIT, EXIT_TIMEOUT + 2 * by_itself) + MARGIN


@pytest.mark.parametrize("behaviour", ["frozen", "refusing", "slow", "absent"])
def test_a_bad_receiver_delays_no_end(
    tmp_path: Path, page_port: int, receiver: Receiver, longest_end: float, behaviour: str
) -> None:
    address = f"http://127.0.0.1:{free_port()}" if behaviour == "absent" else receiver.address
    if behaviour != "absent":
        receiver.become(behaviour)
    with gunicorn(tmp_path, telemetry(page_port, address), workers=2) as server:
        ledger = Client(server.port).send(300)
        assert len(ledger.answers) == 300
        assert server.page.requests() == ledger.counted()
        took = server.end()
        until(lambda: server.processes() == [], longest_end, "the relay ends too")
    print(f"ended in {took:.2f} s, answers within {ledger.slowest():.3f} s")
    assert took < longest_end


def test_a_frozen_receiver_costs_no_answer_and_every_drop_is_counted(
    tmp_path: Path, page_port: int, receiver: Receiver
) -> None:
    variables = telemetry(page_port, receiver.address, OTEL_BSP_MAX_QUEUE_SIZE="512")
    with gunicorn(tmp_path, variables, workers=2) as server:
        client = Client(server.port)
        client.send(200, [HELLO])
        healthy = client.ledger.slowest()
        receiver.wait_numbers(client.ledger.numbers())
        receiver.become("frozen")

        def dropped() -> float:
            return server.page.total("otelc2c_relay_ring_dropped_total")

        while not dropped() and len(client.ledger.answers) < MOST_REQUESTS:
            ledger = client.send(500, [HELLO])
        assert dropped() > 0
        assert not ledger.lost
        assert ledger.slowest() < healthy * 5 + 0.05
        made = len(ledger.answers)
        # The names of the spans of one hello, from those that arrived.
        one = len(receiver.spans()) / len(receiver.numbers())
        receiver.become("healthy")
        lost = dropped()
        found = steady(lambda: len({span.span.span_id for span in receiver.spans()}) + lost, made * one, 20)
        assert found == made * one
        assert server.end() < EXIT_LIMIT + MARGIN
