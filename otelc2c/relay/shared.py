"""One collection for all who ask at the same time."""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from otelc2c.record.points import Attributes, Family

Collect: TypeAlias = Callable[[], tuple[Iterable[Family], Attributes]]
"""Gives families and the resource's attributes."""


class Collected(NamedTuple):
    """What one run of the collection gave."""

    families: Sequence[Family]
    resource: Attributes


class _Run:
    """One run of the collection, and all who wait for it."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.waiting = 1
        self.collected: Collected | None = None
        self.error: Exception | None = None


class SharedCollection:
    """Runs `collect` for many threads, never twice at once.

    Everybody gets a run that began after they asked. A run that is under way already is not
    joined, because it may have read a number just before the request that the asker knows to be
    answered; all who come meanwhile share the next one.
    """

    def __init__(self, collect: Collect) -> None:
        self._collect = collect
        self._lock = threading.Lock()
        self._running = threading.Lock()
        self._next: _Run | None = None

    @property
    def waiting(self) -> int:
        """How many threads wait for the next run to begin."""
        with self._lock:
            return 0 if self._next is None else self._next.waiting

    def get(self) -> Collected:
        """Numbers as of now. Raises what the collection raised."""
        with self._lock:
            run = self._next
            first = run is None
            if run is None:
                run = self._next = _Run()
            else:
                run.waiting += 1
        if first:
            self._perform(run)
        run.done.wait()
        if run.error is not None:
            raise run.error
        if run.collected is None:
            raise RuntimeError("the collection was interrupted")
        return run.collected

    def _perform(self, run: _Run) -> None:
        with self._running:
            with self._lock:
                self._next = None
            try:
                families, resource = self._collect()
                run.collected = Collected(tuple(families), resource)
            except Exception as error:
                run.error = error
            finally:
                run.done.set()
