"""Requests for the sample application: what is sent, and what came back."""

import http.client
import itertools
import queue
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
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
    causes: Key | None = None
    """The request that the service sends to itself for it. Such steps are sent one at a time: several
    together could take all threads of a worker and wait for answers that it has no thread left to give."""


ROUND: Final = (
    Step(Key("GET", "/"), "/", 200, 4),
    Step(Key("GET", "/hello/{name}"), "/hello/you", 200, 6),
    Step(Key("GET", "/hello/{name}"), "/hello/J%C3%BCrg", 200, 2),
    Step(Key("GET", "/shelf"), "/shelf", 200, 4),
    Step(Key("GET", "/slow"), "/slow?ms=40", 200, 2),
    Step(Key("GET", "/slow"), "/slow?ms=120", 200, 1),
    Step(Key("GET", "/stream"), "/stream?lines=10", 200, 3),
    Step(Key("GET", "/prices"), "/prices", 200, 2),
    Step(Key("POST", "/orders"), "/orders?tea=Sencha&cups=3", 201, 3),
    Step(Key("POST", "/orders"), "/orders?tea=Assam", 201, 1),
    Step(Key("GET", "/orders/late"), "/orders/late", 200, 3),
    Step(Key("GET", "/orders/joined"), "/orders/joined", 200, 3),
    Step(Key("GET", "/supplier"), "/supplier", 200, 3, causes=Key("GET", "/supplier/stock")),
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
    caused: Counter[Key]
    """Requests that the service sent to itself for those that were answered as they should be."""
    wrong: Sequence[str]
    """A sentence for each request that was not answered as it should be."""

    @property
    def served(self) -> Counter[Key]:
        """Every request that the service should have counted."""
        return self.answered + self.caused


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
    caused: Counter[Key] = Counter()
    wrong: list[str] = []
    lock = threading.Lock()
    alone = threading.Lock()
    done = itertools.count(1)

    def client() -> None:
        for step in _waiting(waiting, stop):
            with alone if step.causes else nullcontext():
                status, failure = _answer(port, step)
            with lock:
                if status:
                    answered[step.key] += 1
                if failure:
                    wrong.append(f"{step.key.method} {step.path}: {failure}")
                elif step.causes:
                    caused[step.causes] += 1
                said(next(done))

    threads = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sent(answered, caused, wrong)


def _waiting(steps: "queue.SimpleQueue[Step]", stop: threading.Event | None) -> Iterator[Step]:
    """What is still to be sent, until `stop` is set."""
    while stop is None or not stop.is_set():
        try:
            yield steps.get_nowait()
        except queue.Empty:
            return


def _answer(port: int, step: Step) -> tuple[int, str]:
    """The status of a step's answer, 0 if there was none, and what is wrong with it ("" if nothing)."""
    # A connection a request: a kept one would stay with the worker that took it first.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(step.key.method, step.path, headers={"Connection": "close"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, f"no answer: {error!r}"
    finally:
        connection.close()
    return answer.status, "" if answer.status == step.status else f"{answer.status}, not {step.status}"
