"""Collections of Python's garbage collector: how many, what they found, how long they took.

The collector calls back before and after each collection, in the thread that it keeps waiting. Nothing is
made there that it would have to track, and it does not collect again before both calls have returned.
"""

import gc
import os
from time import perf_counter_ns
from typing import Any, Final

from otelc2c import catalog
from otelc2c.guard import swallowed
from otelc2c.record.cells import Store
from otelc2c.record.own import OwnCounter, OwnHistogram
from otelc2c.record.streams import DEFAULT_LIMIT
from otelc2c.record.views import Views

GENERATIONS: Final = (0, 1, 2)


class Collections:
    """The collector's callback. After a fork it goes on, with the numbers of the child."""

    def __init__(self, store: Store, limit: int = DEFAULT_LIMIT, views: Views | None = None) -> None:
        """Count in `store`, with the cells of every generation made beforehand."""
        counters = [
            OwnCounter(store, metric, limit, views)
            for metric in (
                catalog.GC_COLLECTIONS,
                catalog.GC_COLLECTED_OBJECTS,
                catalog.GC_UNCOLLECTABLE_OBJECTS,
            )
        ]
        pauses = OwnHistogram(store, catalog.GC_PAUSE, limit, views)
        self._writes = [
            (*(counter.cell((number,)).add for counter in counters), pauses.cell((number,)).record)
            for number in GENERATIONS
        ]
        self._begun = 0
        self._forking = False

    def start(self) -> None:
        """Be called from now on.

        Not while the process forks: until a child has files of its own it sees those of its parent, and
        what it wrote there would be taken back. So start this behind whoever gives it those files.
        """
        gc.callbacks.append(self)
        os.register_at_fork(before=self._pause, after_in_parent=self._go_on, after_in_child=self._go_on)

    def _pause(self) -> None:
        self._forking = True
        self._begun = 0

    def _go_on(self) -> None:
        self._forking = False

    def stop(self) -> None:
        """Be called no more."""
        if self in gc.callbacks:
            gc.callbacks.remove(self)

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """What the collector calls. Never raises."""
        if self._forking:
            return
        if phase == "start":
            self._begun = perf_counter_ns()
            return
        if not self._begun:
            return  # it began before a fork, in a finalizer
        end = perf_counter_ns()
        try:
            collections, collected, uncollectable, pause = self._writes[info["generation"]]
            collections(1)
            pause((end - self._begun) * 1e-9)
            # Most find nothing.
            if info["collected"]:
                collected(info["collected"])
            if info["uncollectable"]:
                uncollectable(info["uncollectable"])
        except Exception as error:
            swallowed("measure.garbage", error)
