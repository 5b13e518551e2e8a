"""Spans from the rings to their exporters: one batch in flight, acknowledged when all have had it.

What was not acknowledged stays in its ring, so that a relay which is killed loses nothing,
and its follower sends the batch again: at least once, and the possible duplicates counted.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from otelc2c import catalog, guard
from otelc2c.record.layout import RECORD_SPAN, WORD
from otelc2c.record.points import Scope
from otelc2c.record.ring_reader import RingReader, items_of, kind_of, scope_of
from otelc2c.relay.delivery import Delivery, Exporter
from otelc2c.relay.otlp import Spans
from otelc2c.relay.state import PROCESSOR, Component, State

POLL: Final = 0.1
"""Seconds between two looks at the rings."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of spans in one batch, about; receivers refuse larger requests by default."""
_GUESSED_BYTES: Final = 320
"""Of one span in a ring, until some were read."""


class Worker(Protocol):
    """A process with a ring."""

    name: str
    dead: bool
    ring: RingReader | None

    def scope(self, number: int) -> Scope:
        """The scope that its records name by `number`."""


class Rings(Protocol):
    """Where the pump finds rings; `otelc2c.relay.pod.Pod` in the relay."""

    def workers(self) -> Sequence[Worker]:
        """All processes with rings, living and dead."""

    def held(self) -> AbstractContextManager[None]:
        """Nothing is removed inside."""


class _Batch:
    def __init__(self, spans: Spans, workers: list[Worker], waiting: list[Delivery]) -> None:
        self.spans = spans
        self.workers = workers
        self.waiting = waiting


class SpanPump:
    """Moves spans, batch by batch. `run` loops in a thread; `flush` may be called from others."""

    def __init__(
        self,
        rings: Rings,
        exporters: Sequence[Exporter],
        state: State,
        *,
        delay: float = 1.0,
        batch_size: int = 512,
        timeout: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send from `rings` to `exporters`, which may be none: then spans are only let go.

        A span waits at most `delay` seconds (OTEL_BSP_SCHEDULE_DELAY) before it is sent, and a
        batch holds at most `batch_size` spans (OTEL_BSP_MAX_EXPORT_BATCH_SIZE). One attempt to
        deliver it takes at most `timeout` seconds (OTEL_BSP_EXPORT_TIMEOUT).
        """
        self.poll = min(POLL, delay) or 0.01
        self._rings = rings
        self._state = state
        self._delay = delay
        self._batch_size = batch_size
        self._timeout = timeout
        self._clock = clock
        self._deliveries = [Delivery(exporter, state, clock=clock) for exporter in exporters]
        self._processor = Component(PROCESSOR)
        self._batch: _Batch | None = None
        self._turn = 0
        self._since: float | None = None
        self._looked = self._looked_before = clock()
        self._crowded = False
        self._read_bytes = self._read_spans = 0
        self._working = threading.Lock()
        self._stopped = threading.Event()

    # -- the loop --------------------------------------------------------------------------

    def run(self) -> None:
        """Move spans until `stop` is called. Failures of ours are counted, and the loop goes on."""
        while not self._stopped.is_set():
            pause = self.poll
            with guard.guard("relay.pump"), self._working:
                pause = self.step(self._clock() + self._timeout)
            self._stopped.wait(pause)

    def stop(self) -> None:
        """Let `run` return after the attempt it is making."""
        self._stopped.set()

    def close(self) -> None:
        """End all connections."""
        for delivery in self._deliveries:
            delivery.exporter.close()

    def flush(self, deadline: float) -> bool:
        """Deliver what the rings hold now, before `deadline` (of the clock). Whether all of it went."""
        if not self._working.acquire(timeout=max(0.0, deadline - self._clock())):
            return False
        try:
            wanted = self._ends()
            for delivery in self._deliveries:
                delivery.not_before = 0.0
            while not self._reached(wanted):
                pause = self.step(deadline, at_once=True)
                if self._clock() + pause >= deadline:
                    return self._reached(wanted)
                if pause:
                    time.sleep(pause)
            return True
        finally:
            self._working.release()

    def step(self, deadline: float | None = None, *, at_once: bool = False) -> float:
        """Read a batch if there is none and one is due, and offer it. Seconds until the next step."""
        if self._batch is None:
            pending = self._look()
            if not pending:
                return self.poll
            if not (at_once or self._due(pending)):
                return self.poll
            self._batch = self._read()
        return self._deliver(self._batch, deadline)

    # -- what is there -----------------------------------------------------------------------

    def _look(self) -> int:
        """Bytes that wait in all rings."""
        self._looked_before, self._looked = self._looked, self._clock()
        self._crowded = False
        words = capacity = 0
        with self._rings.held():
            for worker in self._rings.workers():
                if (ring := worker.ring) is None:
                    continue
                ring.look(final=worker.dead)
                words += ring.pending_words
                self._crowded |= ring.pending_words * 4 >= ring.capacity
                capacity += ring.capacity
        self._note_queue(words * WORD, capacity * WORD)
        return words * WORD

    def _note_queue(self, waiting: int, capacity: int) -> None:
        # A ring is measured in bytes, and the conventions count spans: the mean so far translates.
        mean = self._read_bytes / self._read_spans if self._read_spans else _GUESSED_BYTES
        attributes = self._processor.attributes()
        self._state.put(catalog.SDK_SPAN_QUEUE_SIZE, round(waiting / mean), attributes)
        self._state.put(catalog.SDK_SPAN_QUEUE_CAPACITY, round(capacity / mean), attributes)

    def _due(self, pending: int) -> bool:
        if self._since is None:
            # The oldest may have been written right after the last look that found nothing.
            self._since = self._looked_before
        # Waiting for the next look counts against the delay, too.
        waited = self._looked - self._since + self.poll
        return waited >= self._delay or self._crowded or pending >= self._batch_size * _GUESSED_BYTES

    def _ends(self) -> dict[str, int]:
        """Up to where each ring is written now."""
        self._look()
        with self._rings.held():
            return {worker.name: ring.frontier for worker in self._rings.workers() if (ring := worker.ring)}

    def _reached(self, wanted: dict[str, int]) -> bool:
        with self._rings.held():
            return all(
                ring.frontier - ring.pending_words >= wanted.get(worker.name, 0)
                for worker in self._rings.workers()
                if (ring := worker.ring)
            )

    # -- reading and acknowledging -----------------------------------------------------------

    def _read(self) -> _Batch:
        """As much as a batch may hold: a fair share of each ring first, then whatever is left."""
        spans = Spans()
        with self._rings.held():
            workers = [worker for worker in self._rings.workers() if worker.ring is not None]
            turn = self._turn % max(1, len(workers))
            workers = workers[turn:] + workers[:turn]
            self._turn += 1
            room = self._take_shares(workers, spans, MOST_BYTES)
            for worker in workers:
                if spans.count >= self._batch_size or room <= 0:
                    break
                room -= self._take(worker, spans, self._batch_size - spans.count, room)
            touched = [worker for worker in workers if (ring := worker.ring) and not ring.empty]
            for worker in touched:
                if worker.ring is not None:
                    worker.ring.sent()
        return _Batch(spans, touched, list(self._deliveries) if spans.count else [])

    def _take_shares(self, workers: list[Worker], spans: Spans, room: int) -> int:
        """Read the same share from each of `workers`; returns the bytes that are still free."""
        for left, worker in zip(range(len(workers), 0, -1), workers, strict=True):
            share = -(-(self._batch_size - spans.count) // left)
            if share <= 0 or room <= 0:
                break
            room -= self._take(worker, spans, share, -(-room // left))
        return room

    def _take(self, worker: Worker, spans: Spans, limit: int, room: int) -> int:
        """Move up to `limit` spans of one worker into `spans`; returns their bytes."""
        if worker.ring is None:
            return room
        taken = worker.ring.take(limit, room)
        before = spans.count
        for tag, payloads in taken.groups.items():
            if kind_of(tag) == RECORD_SPAN:
                spans.add(worker.scope(scope_of(tag)), payloads, items_of(tag) * len(payloads))
        if taken.doubled and spans.count > before:
            self._state.add(catalog.RELAY_RESENT, spans.count - before)
        self._read_spans += taken.number
        self._read_bytes += taken.size
        return taken.size

    def _deliver(self, batch: _Batch, deadline: float | None) -> float:
        """Offer the batch to whoever has not had it; seconds until the next step."""
        now = self._clock()
        for delivery in batch.waiting[:]:
            if delivery.not_before <= now and delivery.attempt(batch.spans, batch.spans.count, deadline):
                batch.waiting.remove(delivery)
        if batch.waiting:
            next_try = min(delivery.not_before for delivery in batch.waiting)
            return max(0.0, next_try - self._clock())
        self._acknowledge(batch)
        return 0.0

    def _acknowledge(self, batch: _Batch) -> None:
        """Give the room in the rings back, but for those that were removed meanwhile."""
        with self._rings.held():
            present = set(map(id, self._rings.workers()))
            for worker in batch.workers:
                if id(worker) in present and worker.ring is not None:
                    worker.ring.ack()
        if batch.spans.count:
            self._state.add(catalog.SDK_SPAN_PROCESSED, batch.spans.count, self._processor.attributes())
        self._batch = None
        if batch.spans.count < self._batch_size:
            self._since = None
