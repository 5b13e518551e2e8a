"""Requests for the sample application: what is sent, and what came back."""

import http.client
import queue
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from otelc2c.demo.table import NO_ROUTE, Key

SECONDS: Final = 10.0
"""Longest time for one answer."""
CLIENTS: Final = 6
"""Requests at one time: as many as three workers with two threads take."""


class Step(NamedTuple):
    """One kind of request: the line of the table it belongs to, its path, its answer's status."""

    key: Key
    path: str
    status: int
    times: int


ROUND: Final = (
    Step(Key("GET", "/"), "/", 200, 4),
    Step(Key("GET", "/hello/{name}"), "/hello/you", 200, 8),
    Step(Key("GET", "/hello/{name}"), "/hello/J%C3%BCrg", 200, 4),
    Step(Key("GET", "/shelf"), "/shelf", 200, 6),
    Step(Key("GET", "/slow"), "/slow?ms=40", 200, 2),
    Step(Key("GET", "/slow"), "/slow?ms=120", 200, 1),
    Step(Key("GET", "/stream"), "/stream?lines=10", 200, 3),
    Step(Key("GET", "/orders"), "/orders", 200, 3),
    Step(Key("POST", "/orders"), "/orders?tea=Sencha&cups=3", 201, 4),
    Step(Key("POST", "/orders"), "/orders?tea=Assam", 201, 2),
    Step(Key("GET", "/fail"), "/fail", 503, 1),
    Step(Key("GET", "/crash"), "/crash", 500, 1),
    Step(Key("GET", NO_ROUTE), "/nowhere", 404, 1),
)
"""One round of the load; each kind is sent `times` times."""
CACHED: Final = (Step(Key("GET", "/cache"), "/cache", 200, 6),)
"""What comes with it where there is a Redis."""


class Sent(NamedTuple):
    """What came of a load."""

    answered: Counter[Key]
    wrong: Sequence[str]
    """A sentence for each request that was not answered as it should be."""


def plan(rounds: int, seed: int = 1, kinds: Sequence[Step] = ROUND) -> list[Step]:
    """The requests of `rounds` rounds, each shuffled; the same seed gives the same order."""
    order = random.Random(seed)  # noqa: S311 (an order, not a secret)
    steps: list[Step] = []
    for _ in range(rounds):
        one = [step for step in kinds for _ in range(step.times)]
        order.shuffle(one)
        steps += one
    return steps


def send(
    port: int, steps: Sequence[Step], said: Callable[[int], None], stop: threading.Event | None = None
) -> Sent:
    """Send `steps` to a server on the loopback interface with CLIENTS clients.

    `said` is called with the number of requests done after each of them, by one thread at a
    time. Once `stop` is set no more requests are begun.
    """
    waiting: queue.SimpleQueue[Step] = queue.SimpleQueue()
    for step in steps:
        waiting.put(step)
    answered: Counter[Key] = Counter()
    wrong: list[str] = []
    lock = threading.Lock()

    def client() -> None:
        for step, failure, counted in _answers(port, waiting, stop):
            with lock:
                answered[step.key] += counted
                if failure:
                    wrong.append(f"{step.key.method} {step.path}: {failure}")
                said(answered.total() + len(wrong))

    threads = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sent(answered, wrong)


def _answers(
    port: int, waiting: "queue.SimpleQueue[Step]", stop: threading.Event | None
) -> Iterator[tuple[Step, str, int]]:
    """Each step with what is wrong with its answer ("" if nothing), and 1 if there was an answer."""
    while stop is None or not stop.is_set():
        try:
            step = waiting.get_nowait()
        except queue.Empty:
            return
        # A connection a request: a kept one would stay with the worker that took it first.
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            connection.request(step.key.method, step.path, headers={"Connection": "close"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            yield step, f"no answer: {error!r}", 0
        else:
            yield step, "" if answer.status == step.status else f"{answer.status}, not {step.status}", 1
        finally:
            connection.close()
