"""One collection for all who ask at the same time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from otelc2c.record.points import Attributes, Family
from otelc2c.relay.shared import SharedCollection


class Held:
    """A collection that goes on when it is told, and gives the number of the run."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.runs = 0

    def __call__(self) -> tuple[list[Family], Attributes]:
        self.runs += 1
        run = self.runs
        self.began.release()
        assert self.go_on.acquire(timeout=10)
        if run == 3:
            raise OSError("gone")
        return [], {"run": run}


def wait_until_waiting(shared: SharedCollection, count: int) -> None:
    deadline = time.monotonic() + 10
    while shared.waiting < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_who_comes_during_a_run_shares_the_next() -> None:
    """F-90: any number of scrapes at once cost two collections, and no number is older than its scrape."""
    held = Held()
    shared = SharedCollection(held)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(shared.get)
        assert held.began.acquire(timeout=10)
        others = [pool.submit(shared.get) for _ in range(8)]
        wait_until_waiting(shared, 8)
        held.go_on.release(2)
        runs = [future.result(10).resource["run"] for future in (first, *others)]
    assert runs == [1] + [2] * 8


def test_a_failed_run_fails_for_all_who_waited_and_for_nobody_after() -> None:
    held = Held()
    held.runs = 1
    shared = SharedCollection(held)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(shared.get)
        assert held.began.acquire(timeout=10)
        others = [pool.submit(shared.get) for _ in range(2)]
        wait_until_waiting(shared, 2)
        held.go_on.release(3)
        assert first.result(10).resource == {"run": 2}
        for other in others:
            with pytest.raises(OSError, match="gone"):
                other.result(10)
    assert shared.get().resource == {"run": 4}
