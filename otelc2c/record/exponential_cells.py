"""Cells of exponential histograms: as many buckets as there is room for, wider ones where values spread.

A reader in another process must never see buckets that are half moved, and a worker may be killed at
any moment. So there are two banks: wider buckets are made in the one that does not count, and one word
then says that it does. Layout: `otelc2c.record.layout`.
"""

from _thread import RLock
from typing import Final, NamedTuple

from otelc2c.record import layout
from otelc2c.record.cells import GIL, Cell, Chunk, Store, with_lock
from otelc2c.record.exponential import Buckets, bucket_of, steps_down
from otelc2c.record.files import BadFile
from otelc2c.record.points import Attributes, Exponential, Instrument

_TRIES: Final = 100
"""So often a reader looks again where buckets move under its eyes, which they do 30 times in a life."""


class _Window(NamedTuple):
    """The buckets that are in use: from `low` to `high`, with counts from word `at` on."""

    scale: int
    low: int
    high: int
    at: int
    """Of the bank; its counts stand behind its scale and its lowest bucket."""


_MOVING: Final = _Window(0, 1, 0, 0)
"""Contains no bucket, so that whoever finds it asks for another one, and waits."""


class ExponentialCell(Cell):
    """An exponential histogram of values that are not negative, with an exemplar."""

    __slots__ = ("_lock", "_now", "buckets", "least", "most", "scale", "sum", "window", "words")

    def __init__(self, chunk: Chunk, base: int, buckets: int, scale: int) -> None:
        """Use the words of `chunk` from `base` for at most `buckets` buckets, of `scale` at first."""
        self.buckets = buckets
        self.scale = scale
        self.words = layout.exponential_words(buckets)
        super().__init__(chunk, base)

    def reset(self) -> None:
        """Set everything to nothing recorded."""
        super().reset()
        # After a fork somebody may hold the old one who is not here.
        self._lock = RLock()
        self.sum = 0.0
        q, d, base = self.chunk.q, self.chunk.d, self.base
        self.least = d[base + layout.EXPO_MIN] = float("inf")
        self.most = d[base + layout.EXPO_MAX] = float("-inf")
        at = base + layout.exponential_bank(0, self.buckets)
        q[at + layout.BANK_SCALE] = self.scale
        self._now = self.window = _Window(self.scale, 1, 0, at)

    def record(self, value: float) -> None:
        """Count one value: its bucket first, then the sum, so that a kill between them loses no count."""
        chunk = self.chunk
        if value > 0:
            while True:
                window = self.window
                bucket = bucket_of(value, window.scale)
                if not window.low <= bucket <= window.high:
                    self._open(value)
                    continue
                i = window.at + layout.BANK_COUNTS + bucket % self.buckets
                # No call stands between the look and the store, so that the bucket is still there.
                if self.window is window:
                    chunk.q[i] += 1
                    break
        else:
            i = self.base + layout.EXPO_ZEROS
            chunk.q[i] += 1
        d, base = chunk.d, self.base
        d[base + layout.EXPO_SUM] = self.sum = self.sum + value
        if value < self.least:
            d[base + layout.EXPO_MIN] = self.least = value
        if value > self.most:
            d[base + layout.EXPO_MAX] = self.most = value

    def exemplar(self, value: float, time_ns: int, trace_id: bytes, span_id: bytes) -> None:
        """Keep one measurement with its trace; at most one a second."""
        if time_ns >= self.exemplar_due:
            self._put_exemplar(self.base + layout.EXPO_EXEMPLAR, value, time_ns, trace_id, span_id)

    def _open(self, value: float) -> None:
        """Have a bucket for `value`, and wider buckets where they would be too many."""
        with self._lock:
            # Whoever has just looked up a bucket looks again.
            self.window = _MOVING
            now = self._counting()
            low = high = bucket_of(value, now.scale)
            if now.low <= now.high:
                low, high = min(low, now.low), max(high, now.high)
            steps = steps_down(low, high, self.buckets)
            if steps:
                now = self._widened(now, steps)
                bucket = bucket_of(value, now.scale)
                low, high = min(bucket, now.low), max(bucket, now.high)
            # Before a count is there, so that a reader who sees the count knows where it belongs.
            self.chunk.q[now.at + layout.BANK_LOW] = low
            self._now = self.window = now._replace(low=low, high=high)

    def _widened(self, now: _Window, steps: int) -> _Window:
        """The same counts in wider buckets, which are those that count from now on."""
        q, base, size = self.chunk.q, self.base, self.buckets
        generation = q[base + layout.EXPO_GENERATION] + 1
        at = base + layout.exponential_bank(generation, size)
        counts = now.at + layout.BANK_COUNTS
        held = [q[counts + bucket % size] for bucket in range(now.low, now.high + 1)]
        wider = Buckets(now.scale, now.low, held).at_scale(now.scale - steps)
        self._put(at, wider)
        q[base + layout.EXPO_GENERATION] = generation
        self._now = _Window(wider.scale, wider.low, wider.high, at)
        return self._now

    def _counting(self) -> _Window:
        """The buckets that count: those that are known, unless a signal came before they were."""
        q, d, base = self.chunk.q, self.chunk.d, self.base
        if self._now.at != base + layout.exponential_bank(q[base + layout.EXPO_GENERATION], self.buckets):
            found = read_exponential(q, d, base, self.buckets)
            at = base + layout.exponential_bank(q[base + layout.EXPO_GENERATION], self.buckets)
            self._now = _Window(found.scale, found.low, found.low + len(found.counts) - 1, at)
        return self._now

    def _put(self, at: int, held: Buckets) -> None:
        q, size = self.chunk.q, self.buckets
        q[at + layout.BANK_SCALE] = held.scale
        q[at + layout.BANK_LOW] = held.low
        counts = [0] * size
        for bucket, count in enumerate(held.counts, held.low):
            counts[bucket % size] = count
        for place, count in enumerate(counts, at + layout.BANK_COUNTS):
            q[place] = count

    def load(self, value: Exponential) -> None:
        """Hold what a point holds, whose buckets there is room for."""
        q, d, base = self.chunk.q, self.chunk.d, self.base
        self._put(self._now.at, Buckets(value.scale, value.low, value.counts))
        q[base + layout.EXPO_ZEROS] = value.zeros
        d[base + layout.EXPO_SUM] = self.sum = value.sum
        d[base + layout.EXPO_MIN] = self.least = value.min
        d[base + layout.EXPO_MAX] = self.most = value.max
        high = value.low + len(value.counts) - 1
        self._now = self.window = _Window(value.scale, value.low, high, self._now.at)


def exponential_cell(store: Store, instrument: Instrument, attributes: Attributes) -> ExponentialCell:
    """A new cell for one attribute set of an exponential histogram."""
    buckets, scale = instrument.buckets, instrument.scale
    words = layout.exponential_words(buckets)
    return store.make_cell(
        instrument, attributes, words, lambda chunk, base: ExponentialCell(chunk, base, buckets, scale)
    )


def read_exponential(q: memoryview, d: "memoryview[float]", base: int, size: int) -> Exponential:
    """What a cell of at most `size` buckets at `base` holds now, while its process may be writing.

    Raises BadFile where nobody can have written that.
    """
    for _ in range(_TRIES):
        generation = q[base + layout.EXPO_GENERATION]
        at = base + layout.exponential_bank(generation, size)
        counts = q[at + layout.BANK_COUNTS : at + layout.BANK_COUNTS + size].tolist()
        # After the counts, each of which has a place since before it was there.
        low, scale = q[at + layout.BANK_LOW], q[at + layout.BANK_SCALE]
        if q[base + layout.EXPO_GENERATION] == generation:
            break
    else:
        raise BadFile("an exponential histogram whose buckets never rest")
    turned = low % size
    counts = counts[turned:] + counts[:turned]
    while counts and not counts[-1]:
        counts.pop()
    first = next((place for place, count in enumerate(counts) if count), 0)
    return Exponential(
        scale if counts else 0,
        low + first if counts else 0,
        counts[first:],
        q[base + layout.EXPO_ZEROS],
        d[base + layout.EXPO_SUM],
        d[base + layout.EXPO_MIN],
        d[base + layout.EXPO_MAX],
    )


if not GIL:  # pragma: no cover - free-threaded builds
    ExponentialCell.record = with_lock(ExponentialCell.record)  # type: ignore[method-assign]
    ExponentialCell.exemplar = with_lock(ExponentialCell.exemplar)  # type: ignore[method-assign]
