"""A client that numbers its requests and keeps every answer: the truth that pages are compared with."""

import http.client
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.process.page import Request
from tests.sink import ReceivedSpan


class Asked(NamedTuple):
    """A kind of request, and how the page has to call it."""

    method: str
    path: str
    counted: Request


HELLO = Asked("GET", "/hello/you", Request("/hello/{name}", "GET", "200"))
PLAN: Sequence[Asked] = (
    HELLO,
    Asked("GET", "/hello/you%20two", Request("/hello/{name}", "GET", "200")),
    Asked("POST", "/items/7", Request("/items/{id}", "POST", "201")),
    Asked("GET", "/missing/7", Request("/missing/{id}", "GET", "404")),
    Asked("GET", "/fail", Request("/fail", "GET", "500")),
)


class Answer(NamedTuple):
    """One answered request. `request_id` is what the server sent back as X-Request-ID."""

    number: int
    asked: Asked
    status: int
    request_id: str
    seconds: float


@dataclass
class Ledger:
    """Everything asked and answered; requests that got no whole answer are lost."""

    answers: list[Answer] = field(default_factory=list)
    lost: list[Answer] = field(default_factory=list)
    """Without an answer; the server may have counted them or not. Their status is 0."""

    def counted(self) -> Counter[Request]:
        """What the page has to say of the answers."""
        return Counter(answer.asked.counted._replace(status=str(answer.status)) for answer in self.answers)

    def maybe(self) -> Counter[str]:
        """Lost requests by route: the page may have them."""
        return Counter(answer.asked.counted.route for answer in self.lost)

    def numbers(self) -> set[int]:
        """The numbers of answered requests."""
        return {answer.number for answer in self.answers}

    def slowest(self, part: float = 0.99) -> float:
        """Seconds that this part of the answers did not take longer than."""
        times = sorted(answer.seconds for answer in self.answers)
        return times[int((len(times) - 1) * part)] if times else 0.0


class Client:
    """Sends numbered requests to a port, each on a connection of its own unless `keep` is asked for."""

    def __init__(self, port: int, *, keep: bool = False, timeout: float = 15.0) -> None:
        self._port = port
        self._keep = keep
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.ledger = Ledger()

    def send(self, total: int, plan: Sequence[Asked] = PLAN, threads: int = 4) -> Ledger:
        """Send `total` requests of the plan's kinds in turn, from some threads, and return all answers."""
        kinds = itertools.islice(itertools.cycle(plan), total)
        working = [threading.Thread(target=self._work, args=(kinds, None)) for _ in range(threads)]
        for thread in working:
            thread.start()
        for thread in working:
            thread.join()
        return self.ledger

    @contextmanager
    def load(self, plan: Sequence[Asked] = PLAN, threads: int = 4) -> Iterator[Ledger]:
        """Send requests without end while the block runs."""
        stopped = threading.Event()
        kinds = itertools.cycle(plan)
        working = [threading.Thread(target=self._work, args=(kinds, stopped)) for _ in range(threads)]
        for thread in working:
            thread.start()
        try:
            yield self.ledger
        finally:
            stopped.set()
            for thread in working:
                thread.join()

    def _work(self, kinds: Iterator[Asked], stopped: threading.Event | None) -> None:
        connection = self._connection()
        while stopped is None or not stopped.is_set():
            with self._lock:
                asked = next(kinds, None)
                number = next(self._numbers)
            if asked is None:
                break
            answer = ask(connection, asked, number)
            (self.ledger.answers if answer.status else self.ledger.lost).append(answer)
            if not answer.status:
                # A server that is being restarted refuses for a moment.
                time.sleep(0.005)
            if not self._keep or not answer.status:
                connection.close()
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout)


def ask(
    connection: http.client.HTTPConnection,
    asked: Asked,
    number: int,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request; status 0 where no whole answer came.

    Its number is the whole query, because the values of parameters are redacted.
    """
    begun = time.perf_counter()
    try:
        connection.request(asked.method, f"{asked.path}?{number}", headers=dict(headers or {}))
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return Answer(number, asked, 0, "", time.perf_counter() - begun)
    return Answer(
        number, asked, answer.status, answer.headers.get("X-Request-ID", ""), time.perf_counter() - begun
    )


def words(count: int, seed: int = 1) -> list[str]:
    """Different words of letters and digits, the same ones each time."""
    made = random.Random(seed)
    return [f"{made.getrandbits(64):x}{number:x}" for number in range(count)]


def numbers_of(spans: Iterable[ReceivedSpan]) -> Counter[int]:
    """How often a server span of each numbered request was received."""
    found: Counter[int] = Counter()
    for one in spans:
        if one.span.kind == one.span.SPAN_KIND_SERVER:
            for attribute in one.span.attributes:
                if attribute.key == "url.query":
                    found[int(attribute.value.string_value)] += 1
    return found
