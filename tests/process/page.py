"""The metrics page as a scraper sees it: read, parsed, added up, and watched over time."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.process.waiting import until

Labels = tuple[tuple[str, str], ...]
Samples = Mapping[tuple[str, Labels], float]
REQUESTS = "http_server_request_duration_seconds_count"
GROWING = frozenset({"counter", "histogram"})
"""Kinds of which no number may ever fall; the name tells nothing, because a gauge may count, too."""


class Request(NamedTuple):
    """What requests are told apart by on the page."""

    route: str
    method: str
    status: str


class Page:
    """The page on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._answered = False

    def text(self) -> str:
        """One scrape. Raises OSError where nobody answers, AssertionError for another status than 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            body = answer.read().decode()
        finally:
            connection.close()
        assert answer.status == 200, body
        return body

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.text())
        except (OSError, http.client.HTTPException):
            return False

    def samples(self) -> Samples:
        """One scrape as numbers by name and labels.

        The first one waits until the page is there, because a server may take requests before.
        """
        if not self._answered:
            until(self.ready, 5, "the page answers")
            self._answered = True
        return read(self.text())

    def requests(self) -> Counter[Request]:
        """How many requests were counted, by route, method and status.

        The page is there some tenths of a second after its server, which may have answered by then.
        """
        until(self.ready, 10, "the page answers")
        return requests_of(self.samples())

    def total(self, name: str, **labels: str) -> float:
        """The sum of a sample over all its label sets that have these labels."""
        return total_of(self.samples(), name, **labels)


def read(text: str, kinds: frozenset[str] | None = None) -> Samples:
    """The numbers of one scrape by name and labels; only those of some `kinds` where these are named."""
    found: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(text):
        if kinds is not None and family.type not in kinds:
            continue
        for sample in family.samples:
            # To Prometheus an empty label is no label: a family has those of all its series.
            key = (sample.name, tuple(sorted(pair for pair in sample.labels.items() if pair[1])))
            assert key not in found, f"twice on one page: {key}"
            found[key] = sample.value
    return found


def requests_of(samples: Samples) -> Counter[Request]:
    """How many requests a page counts, by route, method and status."""
    counted: Counter[Request] = Counter()
    for (name, labels), value in samples.items():
        if name == REQUESTS:
            known = dict(labels)
            counted[
                Request(
                    known.get("http_route", ""),
                    known["http_request_method"],
                    known.get("http_response_status_code", ""),
                )
            ] += int(value)
    return counted


def total_of(samples: Samples, name: str, **labels: str) -> float:
    """The sum of a sample over all its label sets that have these labels."""
    wanted = labels.items()
    return sum(
        value for (found, has), value in samples.items() if found == name and wanted <= dict(has).items()
    )


class Watch:
    """Scrapes again and again in a thread, and keeps what must not be: failures, and counters that fell."""

    def __init__(self, page: Page, pause: float = 0.02) -> None:
        """Watch `page`, resting `pause` seconds between two scrapes."""
        self.scrapes = 0
        self.fell: list[str] = []
        self.failed: list[str] = []
        self.away = 0.0
        """Seconds of the longest time without an answer."""
        self._page = page
        self._pause = pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        before: Samples = {}
        answered = time.monotonic()
        while not self._stopped.wait(self._pause):
            try:
                now = read(self._page.text(), GROWING)
            except (OSError, http.client.HTTPException, AssertionError, ValueError) as error:
                self.failed.append(repr(error))
                self.away = max(self.away, time.monotonic() - answered)
                continue
            self.away = max(self.away, time.monotonic() - answered if self.failed else 0.0)
            answered = time.monotonic()
            self.scrapes += 1
            self._compare(before, now)
            before = now

    def _compare(self, before: Samples, now: Samples) -> None:
        for key, value in before.items():
            if now.get(key, -1.0) < value:
                self.fell.append(f"{key}: {value} -> {now.get(key)}")

    def __enter__(self) -> Self:
        until(self._page.ready, 10, "the page answers")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(15)
