import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def running(handler: type[Answers]) -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with running(type("Handler", (Answers,), {"seen": Counter()})) as server:
        yield server


def step(path: str, status: int = 200, causes: str = "") -> Step:
    return Step(Key("GET", path), path, status, 1, Key("GET", causes) if causes else None)


def test_a_plan_has_every_kind_of_request_as_often_as_it_says() -> None:
    steps = plan(3)
    assert Counter(steps) == {one: 3 * one.times for one in ROUND}
    assert steps == plan(3)
    assert steps != plan(3, seed=2)
    assert Counter(plan(2, kinds=CACHED)) == {one: 2 * one.times for one in CACHED}


def test_every_step_is_sent_once_and_counted_when_it_is_answered(server: ThreadingHTTPServer) -> None:
    done: list[int] = []
    sent = send(server.server_port, [step("/200")] * 20 + [step("/404", 404)] * 5, done.append)
    assert sent.answered == sent.served == {Key("GET", "/200"): 20, Key("GET", "/404"): 5}
    assert not sent.wrong
    assert done == list(range(1, 26))


def test_another_status_is_counted_and_told(server: ThreadingHTTPServer) -> None:
    done: list[int] = []
    sent = send(server.server_port, [step("/500")], done.append)
    assert sent.answered == {Key("GET", "/500"): 1}
    assert sent.wrong == ["GET /500: 500, not 200"]
    assert done == [1]


def test_no_answer_is_told_and_not_counted(server: ThreadingHTTPServer) -> None:
    sent = send(server.server_port, [step("/cut")], lambda done: None)
    assert sent.answered.total() == 0
    assert sent.wrong[0].startswith("GET /cut: no answer: ")


def test_requests_that_the_service_sends_to_itself_are_served_too(server: ThreadingHTTPServer) -> None:
    steps = [step("/200", causes="/200")] * 3 + [step("/500", causes="/stock")]
    sent = send(server.server_port, steps, lambda done: None)
    assert sent.caused == {Key("GET", "/200"): 3}
    assert sent.served == {Key("GET", "/200"): 6, Key("GET", "/500"): 1}


def test_steps_that_need_another_thread_of_the_service_are_sent_one_at_a_time() -> None:
    """More of them together could wait for each other in one worker."""
    busy = threading.Lock()
    met = threading.Event()

    class Waiting(Answers):
        def do_GET(self) -> None:
            if busy.acquire(blocking=False):
                met.wait(0.1)
                busy.release()
            else:
                met.set()
            super().do_GET()

    handler = type("Handler", (Waiting,), {"seen": Counter()})
    with running(handler) as server:
        assert not send(server.server_port, [step("/200", causes="/x")] * 3, lambda done: None).wrong
        assert not met.is_set()
        assert not send(server.server_port, [step("/200")] * 3, lambda done: None).wrong
        assert met.is_set()


def test_a_load_that_is_stopped_begins_nothing_more(server: ThreadingHTTPServer) -> None:
    stop = threading.Event()
    stop.set()
    assert send(server.server_port, [step("/200")] * 5, lambda done: None, stop).answered.total() == 0
