"""The page over real sockets: what scrapers get, and what clients cannot do to it."""

import gzip
import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otelc2c import guard
from otelc2c.record.points import Attributes, Family, Instrument, Point, Scope
from otelc2c.relay.http_server import USUAL, Limits
from otelc2c.relay.page import Page

RESOURCE: Attributes = {"service.name": "shop"}
COUNTER = Instrument(Scope("library"), "requests", "counter", description="Requests")

Start = Callable[..., Page]


class Source:
    """Numbers to serve: how often they were collected, and how many series there are."""

    def __init__(self, series: int = 1) -> None:
        self.collected = 0
        self.series = series

    def __call__(self) -> tuple[Iterator[Family], Attributes]:
        self.collected += 1
        points = [Point({"route": f"/{i}"}, self.collected) for i in range(self.series)]
        return iter([Family(COUNTER, points)]), RESOURCE


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts pages on free ports of the loopback, and stops them after the test."""
    with ExitStack() as stack:

        def started(collect: object = None, limits: Limits = USUAL) -> Page:
            page = Page("127.0.0.1", 0, collect or Source(), limits=limits)  # type: ignore[arg-type]
            assert page.start(), page.problem
            stack.callback(page.stop)
            return page

        yield started


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The guard swallows as in production, and says nothing."""
    monkeypatch.setattr(guard, "say", lambda line: True)
    before = guard.strict(False)
    yield
    guard.strict(before)


def ask(
    page: Page, target: str = "/metrics", method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body, names)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def connect(page: Page) -> socket.socket:
    """A plain connection."""
    return socket.create_connection(("127.0.0.1", page.port), timeout=10)


def exchange(page: Page, request: bytes) -> bytes:
    """All bytes that come back for these, until the server closes."""
    with connect(page) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        received = b""
        while part := client.recv(65536):
            received += part
        return received


def test_text(start: Start) -> None:
    response, body = ask(start())
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert "Server" not in response.headers
    assert {family.name for family in parse_text(body.decode())} == {"requests", "target_info"}


def test_openmetrics(start: Start) -> None:
    response, body = ask(start(), accept="application/openmetrics-text;version=1.0.0,*/*;q=0.1")
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    families: list[Metric] = list(parse_openmetrics(body.decode()))  # type: ignore[no-untyped-call]
    assert {family.name for family in families} == {"requests", "target"}


def test_gzip_is_streamed(start: Start) -> None:
    page = start(Source(series=5000))
    response, body = ask(page, accept_encoding="gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert gzip.decompress(body).count(b"requests_total{") == 5000
    assert len(body) < 100_000


def test_head_says_what_get_says_without_collecting(start: Start) -> None:
    source = Source()
    page = start(source)
    head, nothing = ask(page, method="HEAD")
    assert (source.collected, nothing) == (0, b"")
    got, _ = ask(page)
    del head.headers["Date"], got.headers["Date"]
    assert head.headers.items() == got.headers.items()


def test_the_root_points_to_the_metrics(start: Start) -> None:
    response, body = ask(start(), "/")
    assert response.status == 200
    assert b'href="/metrics"' in body


def test_other_paths_are_not_found(start: Start) -> None:
    for target in ("/metrics/x", "/favicon.ico", "/%2fmetrics", "//metrics"):
        assert ask(start(), target)[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_get_and_head(start: Start, method: str) -> None:
    """T22: nothing can be changed here; the answer arrives although the body is not read."""
    response, _ = ask(start(), method=method, body=b"x" * 100_000)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_a_body_that_is_not_read_does_not_reset_the_connection(start: Start) -> None:
    """The client sees the whole answer and a proper end."""
    body = b"x" * 50_000
    received = exchange(start(), b"POST /metrics HTTP/1.1\r\nContent-Length: 50000\r\n\r\n" + body)
    assert received.startswith(b"HTTP/1.1 405 ")
    assert received.endswith(b"Only GET and HEAD are allowed.\n")


def test_names_choose_families(start: Start) -> None:
    """`name[]=`, as the Prometheus clients offer it."""
    _, body = ask(start(), "/metrics?name[]=target_info&name%5B%5D=other")
    assert [family.name for family in parse_text(body.decode())] == ["target_info"]
    assert ask(start(), "/metrics?" + "&".join(["name[]=a"] * 1001))[0].status == 400


def test_connections_are_kept_and_requests_may_be_pipelined(start: Start) -> None:
    page = start()
    one = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    received = exchange(page, one + one + last)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert received.endswith(b"\r\n0\r\n\r\n")


def test_http_1_0_gets_no_chunks(start: Start) -> None:
    received = exchange(start(), b"GET /metrics HTTP/1.0\r\n\r\n")
    head, body = received.split(b"\r\n\r\n", 1)
    assert b"chunked" not in head
    assert body.startswith(b"# HELP target_info")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"G\xc3\xa9T / HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nspace : a\r\n\r\n", 400),
        (b"GET http://[/metrics HTTP/1.1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
    ],
)
def test_what_is_no_request_is_refused(start: Start, request_: bytes, status: int) -> None:
    """Never a traceback, and the connection ends."""
    received = exchange(start(), request_)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert b"Traceback" not in received
    assert b"Connection: close" in received


def test_a_failing_collection_is_a_short_sentence(start: Start, lenient: None) -> None:
    """T12: neither a traceback nor the error's text leaves the pod; the failure is counted."""

    def fail() -> tuple[list[Family], Attributes]:
        raise RuntimeError("password=secret")

    response, body = ask(start(fail))
    assert (response.status, body) == (500, b"The metrics could not be collected.\n")
    assert guard.counts() == {"relay.page": 1}


def test_families_that_fail_while_they_are_made_are_a_failing_collection(start: Start, lenient: None) -> None:
    def fail() -> tuple[Iterator[Family], Attributes]:
        return (COUNTER.nothing for _ in "x"), RESOURCE  # type: ignore[attr-defined]

    assert ask(start(fail))[0].status == 500


def test_fifty_scrapes_at_once(start: Start) -> None:
    """F-90: all are answered, and they share few collections."""
    source = Source(series=200)
    page = start(source)
    ready = threading.Barrier(50)

    def scrape() -> int:
        ready.wait(10)
        response, body = ask(page)
        assert body.count(b"requests_total{") == 200
        return response.status

    with ThreadPoolExecutor(50) as pool:
        assert {future.result(20) for future in [pool.submit(scrape) for _ in range(50)]} == {200}
    assert source.collected <= 50


def test_a_client_that_dawdles_is_cut_off(start: Start) -> None:
    """A byte now and then does not hold a thread: the whole head has one limit of time."""
    page = start(limits=USUAL._replace(head_seconds=0.2))
    with connect(page) as client:
        began = time.monotonic()
        client.settimeout(0.05)
        closed = False
        while not closed and time.monotonic() - began < 5:
            try:
                client.sendall(b"G")
                closed = client.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
        assert closed
        assert time.monotonic() - began < 2


def test_a_client_that_does_not_read_is_cut_off(start: Start) -> None:
    source = Source(series=60_000)
    page = start(source, limits=USUAL._replace(send_seconds=0.3))
    with connect(page) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert ask(page, "/")[0].status == 200
        deadline = time.monotonic() + 5
        while page.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        assert page.connections == 0


def test_idle_connections_make_room(start: Start) -> None:
    """However many connections stand open, the next scraper is answered."""
    page = start(limits=USUAL._replace(connections=5))
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(page)) for _ in range(12)]
        assert ask(page)[0].status == 200
        assert clients[0].recv(1) == b""
        assert page.connections <= 5


def test_too_many_at_work_is_said(start: Start) -> None:
    """When every connection is being answered, one more gets 503 at once."""
    began, go_on = threading.Semaphore(0), threading.Event()

    def slow() -> tuple[list[Family], Attributes]:
        began.release()
        assert go_on.wait(10)
        return [], RESOURCE

    page = start(slow, limits=USUAL._replace(connections=1))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, page)
        assert began.acquire(timeout=10)
        with connect(page) as client:
            assert client.recv(100).startswith(b"HTTP/1.1 503 ")
        go_on.set()
        assert first.result(10)[0].status == 200


def test_a_taken_port_is_no_failure_and_is_had_when_it_is_free(start: Start) -> None:
    """Relay contract 6: the second service goes on without a page and takes the port later."""
    first = start()
    second = Page("127.0.0.1", first.port, Source(series=3))
    try:
        assert not second.start()
        assert f"127.0.0.1:{first.port}" in second.problem
        assert (second.port, second.try_bind()) == (0, False)
        first.stop()
        assert second.try_bind()
        assert second.problem == ""
        assert ask(second)[1].count(b"requests_total{") == 3
    finally:
        second.stop()


def test_a_host_that_is_nobodys_is_a_problem_that_is_told() -> None:
    page = Page("192.0.2.1", 0, Source())
    assert not page.start()
    assert "192.0.2.1:0" in page.problem
    page.stop()


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("localhost", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "::1"),
        ("::", "127.0.0.1"),
    ],
)
def test_hosts(host: str, reached: str) -> None:
    """Both address families; a page on `::` alone is found by IPv4 as well."""
    if ":" in host and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    page = Page(host, 0, Source())
    if ":" in host and not page.start():
        pytest.skip(f"this machine has no IPv6 address: {page.problem}")
    assert page.start(), page.problem
    try:
        with socket.create_connection((reached, page.port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    finally:
        page.stop()


def test_stop_lets_an_answer_finish_and_frees_the_port(start: Start) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow() -> tuple[list[Family], Attributes]:
        began.set()
        assert go_on.wait(10)
        return [], RESOURCE

    page = start(slow)
    port = page.port
    with ThreadPoolExecutor(2) as pool, connect(page) as idle:
        asked = pool.submit(ask, page)
        assert began.wait(10)
        stopped = pool.submit(page.stop, 10)
        assert idle.recv(1) == b""
        go_on.set()
        stopped.result(10)
        assert asked.result(10)[0].status == 200
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_nothing_is_written(
    start: Start, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither requests nor clients that go away leave a line anywhere."""
    page = start(Source(series=5000))
    with caplog.at_level(logging.DEBUG):
        ask(page)
        exchange(page, b"nonsense\r\n\r\n")
        with connect(page) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        page.stop()
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
