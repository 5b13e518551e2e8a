"""The ring: finished records of one process, on their way to the relay.

Writing is a reservation, a copy and a commit word; there is no lock, because with the
interpreter's lock nothing can come between the loads and stores of a reservation (the
interpreter switches threads only at calls and back jumps). Where that lock is off, a
real one takes its place. Layout: `otelc2c.record.layout`.
"""

import contextlib
import mmap
import os
import platform
import sys
import time
from _thread import allocate_lock
from collections.abc import Callable
from typing import Any, NamedTuple

from otelc2c.record import files
from otelc2c.record.files import BadFile
from otelc2c.record.layout import (
    COMMIT_SHIFT,
    COMMIT_WORDS_MASK,
    HEADER_BYTES,
    HEADER_WORDS,
    INFO_BYTES_MASK,
    INFO_KIND_SHIFT,
    INFO_SCOPE_MASK,
    INFO_SCOPE_SHIFT,
    MAX_RECORD_WORDS,
    R_CAPACITY,
    R_CREATED_NS,
    R_DROPPED_FULL,
    R_DROPPED_LARGE,
    R_HOLES,
    R_MAGIC,
    R_PID,
    R_SENT,
    R_TAIL,
    R_VERSION,
    RECORD_HEADER_BYTES,
    RECORD_HEADER_WORDS,
    RECORD_PAD,
    RING_MAGIC,
    RING_VERSION,
    WORD,
)

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
STORES_KEEP_ORDER = platform.machine() in {"x86_64", "AMD64", "i686"}
"""Whether other processes see stores in the order they were made. If not, look twice."""

SMALLEST_BYTES = 64 * 1024


def record_info(kind: int, scope: int) -> int:
    """The constant part of a record's info word; the bytes of the payload are added to it."""
    return kind << INFO_KIND_SHIFT | scope << INFO_SCOPE_SHIFT


class RingWriter:
    """A process' own ring. Any thread may write; a child after a fork needs `restart`."""

    __slots__ = ("capacity", "mask", "mem", "position", "q")

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
        self.position = 0

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

    def write(self, kind: int, scope: int, payload: bytes) -> bool:
        """Hand a record to the relay. False where it was dropped, which the ring counts."""
        return self.put(kind << INFO_KIND_SHIFT | scope << INFO_SCOPE_SHIFT, payload)

    def put(self, info: int, payload: bytes) -> bool:
        """`write`, with the kind and scope as `record_info` joins them."""
        size = len(payload)
        words = (size + RECORD_HEADER_BYTES + WORD - 1) // WORD
        q = self.q
        capacity = self.capacity
        if words > MAX_RECORD_WORDS or words > capacity >> 2:
            q[R_DROPPED_LARGE if capacity else R_DROPPED_FULL] += 1
            return False
        # From here to the store of the new position there must be no call.
        position = self.position
        at = position & self.mask
        start = position if at + words <= capacity else position + capacity - at
        end = start + words
        if end - q[R_TAIL] > capacity:
            q[R_DROPPED_FULL] += 1
            return False
        self.position = end
        try:
            i = HEADER_WORDS + (start & self.mask)
            q[i + 1] = info | size
            offset = (i + RECORD_HEADER_WORDS) << 3
            self.mem[offset : offset + size] = payload
            if start != position:
                self._pad(position, start)
            q[i] = start << COMMIT_SHIFT | words
        except BaseException:
            # Raised by a signal handler of the application's: leave no hole in a living ring.
            self._pad(position, end)
            raise
        return True

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


class Record(NamedTuple):
    """One record as the relay reads it."""

    position: int
    end: int
    kind: int
    scope: int
    payload: bytes


class RingReader:
    """The relay's side of a ring: reads in order, acknowledges, jumps holes."""

    def __init__(self, memory: memoryview) -> None:
        """Read the ring in `memory`, going on where it was acknowledged. Raises BadFile."""
        self.mem = memory.cast("B")
        if len(self.mem) < HEADER_BYTES:
            raise BadFile("shorter than its header")
        q = self.q = self.mem[: len(self.mem) // WORD * WORD].cast("q")
        capacity = q[R_CAPACITY]
        if q[R_MAGIC] != RING_MAGIC or q[R_VERSION] != RING_VERSION:
            raise BadFile("not a ring of this version")
        if capacity <= 0 or capacity & (capacity - 1) or HEADER_WORDS + capacity > len(q):
            raise BadFile("its capacity is not the file's")
        self.capacity = capacity
        self.mask = capacity - 1
        self.cursor = self.frontier = self._settled = q[R_TAIL]
        self.possibly_doubled = max(0, q[R_SENT] - q[R_TAIL])
        """Words that an earlier relay had sent, without learning whether they arrived."""
        self._full_before = q[R_DROPPED_FULL]
        self._holes: dict[int, int] = {}
        self._complete = False

    @classmethod
    def open(cls, path: str) -> "RingReader":
        """Read the ring at `path`. Raises BadFile, or OSError where it is gone."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            if size < HEADER_BYTES:
                raise BadFile("shorter than its header")
            memory = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        return cls(memoryview(memory))

    @property
    def dropped_full(self) -> int:
        """Records the worker dropped because the ring was full."""
        return int(self.q[R_DROPPED_FULL])

    @property
    def dropped_large(self) -> int:
        """Records the worker dropped because they were larger than a quarter of the ring."""
        return int(self.q[R_DROPPED_LARGE])

    @property
    def holes(self) -> int:
        """Holes that were jumped."""
        return int(self.q[R_HOLES])

    @property
    def pending_words(self) -> int:
        """Words written and not yet acknowledged, as of the last look."""
        return int(self.frontier - self.q[R_TAIL])

    def look(self, *, final: bool = False) -> None:
        """See what has been committed since the last look.

        `final` says that the writer is dead: nothing comes any more, so a second look would
        show nothing new.
        """
        if self._complete:
            return
        self._complete = final
        if not STORES_KEEP_ORDER:
            self._settled = self.frontier
        self._advance()
        if final or self.q[R_DROPPED_FULL] != self._full_before:
            # A living writer's hole shows itself by a ring that is full of nothing.
            self._full_before = self.q[R_DROPPED_FULL]
            while self._jump():
                self._advance()
        if final or STORES_KEEP_ORDER:
            self._settled = self.frontier

    def _words_at(self, position: int) -> int:
        """How long the record committed for exactly this position is; 0 where there is none."""
        commit = self.q[HEADER_WORDS + (position & self.mask)]
        words: int = commit & COMMIT_WORDS_MASK
        if commit >> COMMIT_SHIFT != position or (position & self.mask) + words > self.capacity:
            return 0
        return words

    def _advance(self) -> None:
        end = self.q[R_TAIL] + self.capacity
        position = self.frontier
        while position < end and (words := self._words_at(position)):
            position += words
        self.frontier = position

    def _jump(self) -> bool:
        """Move past a hole: words reserved by somebody who never committed them."""
        hole = self.frontier
        end = self.q[R_TAIL] + self.capacity
        lap = (hole | self.mask) + 1
        for start, stop in ((hole + 1, min(lap, end)), (lap, end)):
            found = self._first_record(start, stop)
            if found is not None:
                self.q[R_HOLES] += 1
                self._holes[hole] = self.frontier = found
                return True
        return False

    def _first_record(self, start: int, stop: int) -> int | None:
        """The first position in a part of one lap for which a record was committed."""
        if start >= stop:
            return None
        at = HEADER_WORDS + (start & self.mask)
        words = self.q[at : at + stop - start].tolist()
        if not any(words):  # the usual case by far: nothing was ever written there
            return None
        for position, word in enumerate(words, start):
            if word >> COMMIT_SHIFT == position and self._words_at(position):
                return position
        return None

    def read(self, limit: int, limit_bytes: int = 4 * 1024 * 1024) -> list[Record]:
        """Up to `limit` records after those read before, not more than about `limit_bytes`."""
        found: list[Record] = []
        position = self.cursor
        holes = self._holes
        while position < self._settled and len(found) < limit and limit_bytes > 0:
            if position in holes:
                position = holes[position]
                continue
            words = self._words_at(position)
            if not words:  # pragma: no cover - only a file changed by somebody else
                break
            if words >= RECORD_HEADER_WORDS:
                record = self._record(position, words)
                if record is not None:
                    found.append(record)
                    limit_bytes -= len(record.payload)
            position += words
        self.cursor = position
        return found

    def _record(self, position: int, words: int) -> Record | None:
        i = HEADER_WORDS + (position & self.mask)
        info = self.q[i + 1]
        kind = info >> INFO_KIND_SHIFT
        size = info & INFO_BYTES_MASK
        if kind == RECORD_PAD or size > (words - RECORD_HEADER_WORDS) * WORD:
            return None
        offset = (i + RECORD_HEADER_WORDS) * WORD
        payload = bytes(self.mem[offset : offset + size])
        return Record(position, position + words, kind, info >> INFO_SCOPE_SHIFT & INFO_SCOPE_MASK, payload)

    def sent(self) -> None:
        """Note in the file that everything read so far is on its way."""
        self.q[R_SENT] = self.cursor

    def ack(self) -> None:
        """Give the room of everything read so far back to the writer."""
        self.q[R_TAIL] = self.cursor
        for hole in [hole for hole in self._holes if hole < self.cursor]:
            del self._holes[hole]

    def rewind(self) -> None:
        """Read again what was read and not acknowledged."""
        self.cursor = self.q[R_TAIL]

    @property
    def empty(self) -> bool:
        """Whether everything seen was acknowledged."""
        return bool(self.q[R_TAIL] >= self.frontier)

    def close(self) -> None:
        """Let go of the memory."""
        memory = self.mem.obj
        self.q.release()
        self.mem.release()
        if isinstance(memory, mmap.mmap):
            with contextlib.suppress(BufferError):
                memory.close()


def _with_lock(put: Callable[[RingWriter, int, bytes], bool]) -> Any:
    lock = allocate_lock()

    def locked_put(self: RingWriter, info: int, payload: bytes) -> bool:
        with lock:
            return put(self, info, payload)

    return locked_put


if not GIL:  # pragma: no cover - free-threaded builds
    RingWriter.put = _with_lock(RingWriter.put)  # type: ignore[method-assign]
