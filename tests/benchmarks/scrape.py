"""Time of a scrape beside `prometheus_client`'s multi-process collector, and memory of a long page.

Eight processes with the same 2,000 lines each are read, added up and written as text, by both in
turn and in one run. `python -m tests.benchmarks.scrape` prints the table; its figures are the
medians of CPU seconds, the spread is the distance between the quartiles.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from otelc2c.record.cells import Store, memory_of
from otelc2c.record.merging import Merger, Source
from otelc2c.record.points import Family, Instrument, Point, Scope
from otelc2c.record.reading import CellsReader
from otelc2c.relay.prometheus import Renderer

WORKERS: Final = 8
ROUTES: Final = 100
COUNTERS: Final = 300
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
LINES: Final = ROUTES * (len(BOUNDS) + 3) + COUNTERS
"""Lines of one worker: buckets, count and sum a route, and plain counters."""
LIMIT: Final = 0.25
"""The largest part of the peer's time that a scrape may take."""
ROOT: Final = Path(__file__).parents[2]

_SCOPE: Final = Scope("benchmark", "1")
_CALLS: Final = Instrument(_SCOPE, "call.duration", "histogram", "s", "Time of calls", BOUNDS)
_EVENTS: Final = Instrument(_SCOPE, "events", "counter", "", "Events")


class Seconds(NamedTuple):
    """CPU seconds of one scrape."""

    median: float
    spread: float


class Compared(NamedTuple):
    """Both in one run, and the page that each made."""

    ours: Seconds
    theirs: Seconds
    our_page: bytes
    their_page: bytes

    @property
    def ratio(self) -> float:
        return self.ours.median / self.theirs.median


def numbers(worker: int) -> Iterator[tuple[str, dict[str, str], float]]:
    """What one worker records: the instrument, the labels, the value."""
    for route in range(ROUTES):
        labels = {"route": f"/some/route/{route}", "method": "GET", "status": "200"}
        for value in (0.001 * (worker + 1), 0.3, 20.0):
            yield "call", labels, value
    for event in range(COUNTERS):
        yield "event", {"kind": f"kind {event}", "result": "ok"}, float(worker + event)


def record_ours(path: Path, worker: int) -> None:
    """A cells file with the numbers of one worker."""
    store = Store()
    for kind, labels, value in numbers(worker):
        if kind == "call":
            store.histogram_cell(_CALLS, labels).record(value)
        else:
            store.counter_cell(_EVENTS, labels).add(value)
    store.publish(str(path))


def record_theirs(worker: int) -> None:
    """The same numbers by `prometheus_client`, in a process whose environment names the folder."""
    # Imported here, because the import reads the environment.
    from prometheus_client import Counter, Histogram

    calls = Histogram("call_duration_seconds", "Time of calls", ["route", "method", "status"], buckets=BOUNDS)
    events = Counter("events", "Events", ["kind", "result"])
    for kind, labels, value in numbers(worker):
        if kind == "call":
            calls.labels(**labels).observe(value)
        else:
            events.labels(**labels).inc(value)


def our_scrape(folder: Path) -> Callable[[], bytes]:
    """Reads the files that `record_ours` left, as the relay does: opened once, read at each scrape."""
    merger, renderer = Merger(), Renderer()
    sources = [Source(_reader(str(path)), str(path)) for path in sorted(folder.iterdir())]

    def scrape() -> bytes:
        return b"".join(chunk.encode() for chunk in renderer.render(merger.collect(sources), {}))

    return scrape


def _reader(path: str) -> CellsReader:
    return CellsReader(memory_of(path), lambda: memory_of(path))


def their_scrape(folder: Path) -> Callable[[], bytes]:
    """Reads the files that `record_theirs` left."""
    from prometheus_client import CollectorRegistry, generate_latest, multiprocess

    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return lambda: generate_latest(registry)


def compare(folder: Path, scrapes: int = 15) -> Compared:
    """Record in `folder` with both, then scrape both in turn, `scrapes` times."""
    ours, theirs = folder / "ours", folder / "theirs"
    ours.mkdir()
    theirs.mkdir()
    environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(theirs)}
    for worker in range(WORKERS):
        record_ours(ours / f"{worker}.cells", worker)
        run = [sys.executable, "-m", "tests.benchmarks.scrape", "record", str(worker)]
        subprocess.run(run, env=environ, cwd=ROOT, check=True)
    both = (our_scrape(ours), their_scrape(theirs))
    pages = [scrape() for scrape in both]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(scrapes):
        for scrape, taken in zip(both, times, strict=True):
            begun = time.process_time()
            scrape()
            taken.append(time.process_time() - begun)
    return Compared(_seconds(times[0]), _seconds(times[1]), *pages)


def _seconds(taken: list[float]) -> Seconds:
    low, middle, high = statistics.quantiles(taken, n=4)
    return Seconds(middle, high - low)


def long_page_bytes(series: int = 10_000) -> tuple[int, int]:
    """Bytes of a page with so many series, and by how much rendering it twice raised the peak of memory."""
    points = [Point({"route": f"/some/route/{number}", "method": "GET"}, number) for number in range(series)]
    family, renderer = Family(_EVENTS, points), Renderer()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    length = sum(len(chunk.encode()) for _ in range(2) for chunk in renderer.render([family], {}))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return length // 2, (after - before) * 1024


def main() -> None:
    """Print the table."""
    # First, because the peak of this process' memory only ever grows.
    length, grown = long_page_bytes()
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder))
    print(f"a scrape of {WORKERS} workers with {LINES} lines each   median ms   spread ms      bytes")
    for name, seconds, size in (
        ("otelc2c", found.ours, len(found.our_page)),
        ("prometheus_client", found.theirs, len(found.their_page)),
    ):
        print(f"  {name:45} {seconds.median * 1e3:10.1f} {seconds.spread * 1e3:11.1f} {size:10}")
    print(f"  ratio {found.ratio:.3f} (at most {LIMIT})")
    print(f"a page of 10,000 series: {length} bytes, peak of memory grew by {grown} bytes in two scrapes")


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        record_theirs(int(sys.argv[2]))
    else:
        main()
