"""The ring: finished records of one process, on their way to the relay.

Writing is a reservation, a copy and a commit word; there is no lock, because with the
interpreter's lock nothing can come between the loads and stores of a reservation (the
interpreter switches threads only at calls and back jumps). Where that lock is off, a
real one takes its place. Layout: `otelc2c.record.layout`.
"""

import os
import sys
import time
from _thread import RLock
from collections.abc import Callable
from typing import Any

from otelc2c.record import files
from otelc2c.record.layout import (
    COMMIT_SHIFT,
    HEADER_BYTES,
    HEADER_WORDS,
    INFO_ITEMS_MASK,
    INFO_ITEMS_SHIFT,
    INFO_KIND_SHIFT,
    INFO_SCOPE_SHIFT,
    MAX_RECORD_WORDS,
    R_CAPACITY,
    R_CREATED_NS,
    R_DROPPED_FULL,
    R_DROPPED_LARGE,
    R_HEAD,
    R_MAGIC,
    R_PID,
    R_TAIL,
    R_VERSION,
    RECORD_HEADER_BYTES,
    RECORD_PAD,
    RING_MAGIC,
    RING_VERSION,
    WORD,
)

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
SMALLEST_BYTES = 64 * 1024
_ROUNDED_UP = RECORD_HEADER_BYTES + WORD - 1


def record_info(kind: int, scope: int, items: int = 1) -> int:
    """The constant part of a record's info word; the bytes of the payload are added to it."""
    return kind << INFO_KIND_SHIFT | scope << INFO_SCOPE_SHIFT | items << INFO_ITEMS_SHIFT


class RingWriter:
    """A process' own ring. Any thread may write; a child after a fork needs `restart`."""

    __slots__ = ("capacity", "largest", "limit", "mask", "mem", "position", "q")

    def __init__(self) -> None:
        """A ring without memory: everything is dropped and counted until `map` is called."""
        self.unmap()

    def unmap(self) -> None:
        """Let go of the memory."""
        header = memoryview(bytearray(HEADER_BYTES))
        self._use(header, 0)

    def _use(self, memory: memoryview, capacity: int) -> None:
        self.mem = memory.cast("B")
        self.q = self.mem.cast("q")
        self.capacity = capacity
        self.mask = capacity - 1
        self.largest = min(capacity >> 2, MAX_RECORD_WORDS)
        self.position = 0
        self.limit = capacity
        """Up to here there is room for certain; the reader may have made more."""

    def map(self, path: str, size: int) -> None:
        """Make the ring's file with `size` bytes (a power of two) for records.

        Raises OSError where there is no room for it.
        """
        fd = files.create(path, HEADER_BYTES + size)
        try:
            memory = memoryview(files.map_shared(fd, HEADER_BYTES + size))
        finally:
            os.close(fd)
        self.use(memory, size // WORD)

    def use(self, memory: memoryview, capacity: int) -> None:
        """Start an empty ring of `capacity` words in `memory`, which is all zeros."""
        self._use(memory, capacity)
        q = self.q
        q[R_VERSION] = RING_VERSION
        q[R_PID] = os.getpid()
        q[R_CREATED_NS] = time.time_ns()
        q[R_CAPACITY] = capacity
        q[R_MAGIC] = RING_MAGIC

    def write(self, kind: int, scope: int, payload: bytes, items: int = 1) -> bool:
        """Hand a record of so many items to the relay. False where they were dropped, and counted."""
        return self.put(record_info(kind, scope, items), payload)

    def put(self, info: int, payload: bytes) -> bool:
        """`write`, with the kind and scope as `record_info` joins them."""
        size = len(payload)
        words = (size + _ROUNDED_UP) >> 3
        # From here to the store of the new head there must be no call.
        position = self.position
        end = position + words
        at = position & self.mask
        if end > self.limit or at + words > self.capacity or words > self.largest:
            return self._put_seldom(info, payload, words)
        q = self.q
        self.position = q[R_HEAD] = end
        try:
            at += HEADER_WORDS
            q[at + 1] = info | size
            begin = (at + 2) << 3
            self.mem[begin : begin + size] = payload
            q[at] = position << COMMIT_SHIFT | words
        except BaseException:
            # Raised by a signal handler of the application's: leave no hole in a living ring.
            self._pad(position, end)
            raise
        return True

    def _put_seldom(self, info: int, payload: bytes, words: int) -> bool:
        """`put` at the end of a lap, or where the ring may be full, or the record too large."""
        q, capacity = self.q, self.capacity
        items = info >> INFO_ITEMS_SHIFT & INFO_ITEMS_MASK
        if words > self.largest:
            q[R_DROPPED_LARGE if capacity else R_DROPPED_FULL] += items
            return False
        # As above: no call until the head is stored.
        position = self.position
        at = position & self.mask
        start = position if at + words <= capacity else position + capacity - at
        end = start + words
        limit = self.limit = q[R_TAIL] + capacity
        if end > limit:
            q[R_DROPPED_FULL] += items
            return False
        self.position = q[R_HEAD] = start
        self._pad(position, start)
        return self.put(info, payload)

    def _pad(self, position: int, end: int) -> None:
        """Commit the words from `position` to `end` as empty."""
        while position < end:
            at = position & self.mask
            words = min(end - position, self.capacity - at, MAX_RECORD_WORDS)
            i = HEADER_WORDS + at
            if words > 1:
                self.q[i + 1] = RECORD_PAD
            self.q[i] = position << COMMIT_SHIFT | words
            position += words


def _with_lock(put: Callable[[RingWriter, int, bytes], bool]) -> Any:
    lock = RLock()  # `put` calls itself at the end of a lap

    def locked_put(self: RingWriter, info: int, payload: bytes) -> bool:
        with lock:
            return put(self, info, payload)

    return locked_put


if not GIL:  # pragma: no cover - free-threaded builds
    RingWriter.put = _with_lock(RingWriter.put)  # type: ignore[method-assign]
