"""What the page says after n requests (must hold 1, 5, 10): T1, T2, F-10."""

import http.client
from pathlib import Path

import pytest

from tests.process.ledger import HELLO, Client, ask, words
from tests.process.page import REQUESTS, requests_of, total_of
from tests.process.receiver import Receiver
from tests.process.server import gunicorn, telemetry
from tests.process.waiting import steady

SERIES_BUDGET = 250
"""Lines of requests that 10,000 different paths, methods, hosts and user agents may make on the page."""
NAMES_BUDGET = 20
"""Span names that the same may make."""


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_the_page_counts_each_request_once_on_every_scrape(
    tmp_path: Path, page_port: int, worker: str
) -> None:
    with gunicorn(tmp_path, telemetry(page_port), worker=worker) as server:
        server.wait_workers(3)
        ledger = Client(server.port).send(300)
        assert len(ledger.answers) == 300
        for _ in range(5):
            samples = server.page.samples()
            assert requests_of(samples) == ledger.counted()
            assert not any(label == "pid" for _, labels in samples for label, _ in labels)
            assert sum(name == "target_info" for name, _ in samples) == 1
        assert len(server.relays()) == 1
        assert server.end() < 5


def test_the_applications_own_counter_and_span_are_there(
    tmp_path: Path, page_port: int, receiver: Receiver
) -> None:
    with gunicorn(tmp_path, telemetry(page_port, receiver.address)) as server:
        own = HELLO._replace(path="/own", counted=HELLO.counted._replace(route="/own"))
        ledger = Client(server.port).send(30, [own])
        assert server.page.total("shop_orders_total", kind="book") == 30
        assert set(receiver.wait_numbers(ledger.numbers())) == ledger.numbers()
        names = [one.span.name for one in receiver.spans()]
        assert names.count("order") == 30


@pytest.mark.parametrize("rate", ["0.1", "0"])
def test_sampling_changes_no_number(tmp_path: Path, page_port: int, receiver: Receiver, rate: str) -> None:
    sampled = telemetry(
        page_port,
        receiver.address,
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG=rate,
    )
    with gunicorn(tmp_path, sampled) as server:
        ledger = Client(server.port).send(400)
        assert server.page.requests() == ledger.counted()
        server.end()
    numbers = receiver.numbers()
    assert set(numbers.values()) <= {1}
    # 400 draws at one in ten: fewer than 10 or more than 80 happens once in a hundred million runs.
    assert 10 < len(numbers) < 80 if rate == "0.1" else not numbers


def test_strange_requests_make_few_series_and_names(
    tmp_path: Path, page_port: int, receiver: Receiver
) -> None:
    with gunicorn(tmp_path, telemetry(page_port, receiver.address), worker="gthread") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
        for number, word in enumerate(words(10_000)):
            method = word[:15].upper() if number % 10 == 0 else "GET"
            path = f"/hello/{word}" if number % 2 else f"/{word}/{word}"
            headers = {"Host": f"{word}.example.com", "User-Agent": word}
            asked = HELLO._replace(method=method, path=path)
            assert ask(connection, asked, number, headers).status in {200, 404}
        connection.close()
        samples = server.page.samples()
        assert total_of(samples, REQUESTS) == 10_000
        series = sum(name.startswith("http_server_") for name, _ in samples)
        assert server.end() < 5
    names = {one.span.name for one in receiver.spans()}
    print(f"{series} series of {SERIES_BUDGET}, {len(names)} span names of {NAMES_BUDGET}")
    assert series <= SERIES_BUDGET
    assert len(names) <= NAMES_BUDGET


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_a_worker_has_no_thread_of_ours(
    tmp_path: Path, page_port: int, receiver: Receiver, worker: str
) -> None:
    """As many as without us, in the worker and the master, once every thread of a pool is at work."""
    slow = [HELLO._replace(path="/slow")]
    counts = []
    for variables, launcher in ((telemetry(page_port, receiver.address), True), ({}, False)):
        with gunicorn(tmp_path, variables, workers=1, worker=worker, launcher=launcher) as server:
            (only,) = server.wait_workers(1)
            client = Client(server.port)
            client.send(40)
            client.send(8, slow, threads=8)
            threads = {one.pid: one.threads for one in server.processes()}
            counts.append((threads[only], threads[server.main.pid]))
    assert counts[0] == counts[1] == ({"sync": 1, "gthread": 5, "gevent": 1}[worker], 1)


def test_the_request_id_in_the_answer_is_the_trace_at_the_receiver(
    tmp_path: Path, page_port: int, receiver: Receiver
) -> None:
    with gunicorn(tmp_path, telemetry(page_port, receiver.address)) as server:
        ledger = Client(server.port).send(20)
        receiver.wait_numbers(ledger.numbers())
    traces = {one.span.trace_id.hex() for one in receiver.spans()}
    assert {answer.request_id for answer in ledger.answers} == traces
    assert len(traces) == 20


def test_a_new_worker_is_on_the_next_scrape(tmp_path: Path, page_port: int) -> None:
    with gunicorn(tmp_path, telemetry(page_port), "--max-requests", "1", workers=1) as server:
        client = Client(server.port)
        for count in range(1, 11):
            ledger = client.send(1, threads=1)
            assert len(ledger.answers) == count
            assert server.page.requests() == ledger.counted()
        assert steady(lambda: len(server.workers()), 1) == 1
