import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from otelc2c.demo.load import CACHED, ROUND, Step, plan, send
from otelc2c.demo.table import Key


class Answers(BaseHTTPRequestHandler):
    """Answers `/200` with 200, `/cut` with nothing, and so on; remembers what it was asked."""

    seen: Counter[str]

    def do_GET(self) -> None:
        self.seen[self.path] += 1
        if self.path != "/cut":
            self.send_response(int(self.path[1:]))
            self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (Answers,), {"seen": Counter()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def step(path: str, status: int = 200) -> Step:
    return Step(Key("GET", path), path, status, 1)


def test_a_plan_has_every_kind_of_request_as_often_as_it_says() -> None:
    steps = plan(3)
    assert Counter(steps) == {one: 3 * one.times for one in ROUND}
    assert steps == plan(3)
    assert steps != plan(3, seed=2)
    assert Counter(plan(2, kinds=CACHED)) == {one: 2 * one.times for one in CACHED}


def test_every_step_is_sent_once_and_counted_when_it_is_answered(server: ThreadingHTTPServer) -> None:
    done: list[int] = []
    sent = send(server.server_port, [step("/200")] * 20 + [step("/404", 404)] * 5, done.append)
    assert sent.answered == {Key("GET", "/200"): 20, Key("GET", "/404"): 5}
    assert not sent.wrong
    assert done == list(range(1, 26))


def test_another_status_is_counted_and_told(server: ThreadingHTTPServer) -> None:
    sent = send(server.server_port, [step("/500")], lambda done: None)
    assert sent.answered == {Key("GET", "/500"): 1}
    assert sent.wrong == ["GET /500: 500, not 200"]


def test_no_answer_is_told_and_not_counted(server: ThreadingHTTPServer) -> None:
    sent = send(server.server_port, [step("/cut")], lambda done: None)
    assert sent.answered.total() == 0
    assert sent.wrong[0].startswith("GET /cut: no answer: ")


def test_a_load_that_is_stopped_begins_nothing_more(server: ThreadingHTTPServer) -> None:
    stop = threading.Event()
    stop.set()
    assert send(server.server_port, [step("/200")] * 5, lambda done: None, stop).answered.total() == 0
