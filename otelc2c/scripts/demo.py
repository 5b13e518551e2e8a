"""`otelc2c demo`: serve the sample application, send it requests, show what was measured."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Final, TextIO

from otelc2c.demo import load, table
from otelc2c.demo.gunicorn_conf import threads, workers
from otelc2c.demo.page import NoPage, Sample, scrape
from otelc2c.demo.server import NotServed, Server, free_port

PORT: Final = 8080
METRICS_PORT: Final = 9464
ROUNDS: Final = 10
"""Rounds of a bounded load: 400 requests."""
SETTLE_SECONDS: Final = 5.0
"""An answer may be read before its worker has counted it."""
PAUSE_SECONDS: Final = 2.0
BAR: Final = 40


def demo(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run the demonstration, with the process' environment unless another one is given.

    Returns 0 when what was shown is right, and else 1 after a sentence on stderr.
    """
    parser = argparse.ArgumentParser(
        prog="otelc2c demo", description="Serve a small application and show what is measured of it."
    )
    parser.add_argument("--once", action="store_true", help="send a bounded load, print the table, and end")
    parser.add_argument(
        "--port", type=int, default=0, help=f"port of the application (default: {PORT} if free)"
    )
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    port = asked.port or free_port(0 if asked.once else PORT)
    metrics_port = free_port(0 if asked.once else METRICS_PORT)
    given = os.environ if environ is None else environ
    kinds = load.ROUND + (load.CACHED if given.get("REDIS_URL") else ())
    try:
        with Server(port, metrics_port, given) as server:
            introduce(server)
            return once(server, load.plan(ROUNDS, kinds=kinds)) if asked.once else loop(server, kinds)
    except (NotServed, NoPage) as why:
        print(f"otelc2c demo: {why}", file=sys.stderr)
    except KeyboardInterrupt:
        print("otelc2c demo: interrupted", file=sys.stderr)
    return 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def introduce(server: Server) -> None:
    """Say where to look, and what the service said of itself."""
    print(f"application   {server.url}   ({workers} workers with {threads} threads)")
    print(f"metrics page  {server.metrics_url}")
    for line in server.printed().splitlines():
        if line.startswith("otelc2c"):
            print(line)
    sys.stdout.flush()


def once(server: Server, steps: Sequence[load.Step]) -> int:
    """Send `steps`, print the table of the live page, and compare it with what was sent."""
    progress = Progress(len(steps), sys.stderr)
    sent = load.send(server.port, steps, progress)
    progress.end()
    samples = settled(server.metrics_url, sent.served)
    show(samples)
    problems = [*sent.wrong, *differences(sent.served, table.counts(samples))]
    for problem in problems:
        print(f"otelc2c demo: {problem}", file=sys.stderr)
    if problems:
        return 1
    own = sent.caused.total()
    also = f" and the {own} that the service sent to itself" if own else ""
    print(f"The page counts exactly the {len(steps)} requests that were sent{also}, over {workers} workers.")
    return 0


def show(samples: Sequence[Sample]) -> None:
    """Print the table of a page and what is to be said of it, between empty lines."""
    rows = table.rows(samples)
    print("", table.text(rows), "", sep="\n")
    remarks = table.remarks(rows)
    if remarks:
        print(*remarks, "", sep="\n")


def loop(server: Server, kinds: Sequence[load.Step]) -> int:
    """Send a round of `kinds` every few seconds until Ctrl-C, then print the table."""
    print("sending some requests every few seconds; Ctrl-C ends it", flush=True)
    stop = threading.Event()
    seed = 0
    try:
        while True:
            seed += 1
            load.send(server.port, load.plan(1, seed, kinds), lambda done: None, stop)
            stop.wait(PAUSE_SECONDS)
    except KeyboardInterrupt:
        stop.set()
    show(scrape(server.metrics_url))
    return 0


def settled(url: str, expected: Mapping[table.Key, int]) -> list[Sample]:
    """The page once it counts what is expected, or as it is after SETTLE_SECONDS. Raises NoPage."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        samples = scrape(url)
        if table.counts(samples) == dict(expected) or time.monotonic() > deadline:
            return samples
        time.sleep(0.05)


def differences(sent: Mapping[table.Key, int], shown: Mapping[table.Key, int]) -> list[str]:
    """A sentence for each line of the table that does not say what was sent."""
    return [
        f"{key.method} {key.route}: {sent.get(key, 0)} sent, but the page counts {shown.get(key, 0)}"
        for key in sorted({*sent, *shown})
        if sent.get(key, 0) != shown.get(key, 0)
    ]


class Progress:
    """How far a load is: a bar on a terminal, and elsewhere one line at the end."""

    def __init__(self, total: int, out: TextIO) -> None:
        self._total = total
        self._out = out
        self._terminal = out.isatty()
        self._begun = time.monotonic()

    def __call__(self, done: int) -> None:
        """Show that `done` requests are done."""
        if self._terminal:
            filled = BAR * done // self._total
            self._out.write(f"\r[{'#' * filled}{'.' * (BAR - filled)}] {done}/{self._total} requests")
            self._out.flush()

    def end(self) -> None:
        """Close the bar, or say the line."""
        if self._terminal:
            self._out.write("\n")
        else:
            self._out.write(f"{self._total} requests sent in {time.monotonic() - self._begun:.1f} s\n")
        self._out.flush()
