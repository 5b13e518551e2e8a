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
import struct
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
    INFO_ITEMS_MASK,
    INFO_ITEMS_SHIFT,
    INFO_KIND_SHIFT,
    INFO_SCOPE_MASK,
    INFO_SCOPE_SHIFT,
    MAX_RECORD_WORDS,
    R_CAPACITY,
    R_CREATED_NS,
    R_DROPPED_FULL,
    R_DROPPED_LARGE,
    R_HEAD,
    R_HOLES,
    R_MAGIC,
    R_PID,
    R_SENT,
    R_TAIL,
    R_VERSION,
    RECORD_HEADER_BYTES,
    RECORD_PAD,
    RING_MAGIC,
    RING_VERSION,
    WORD,
)

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
STORES_KEEP_ORDER = platform.machine() in {"x86_64", "AMD64", "i686"}
"""Whether other processes see stores in the order they were made. If not, look twice."""

SMALLEST_BYTES = 64 * 1024
_ROUNDED_UP = RECORD_HEADER_BYTES + WORD - 1
_LOW = 0xFFFF_FFFF
# A record's length, the low half of its position, the bytes of its payload, its tag: numbers that
# Python keeps in one digit are three times as fast as whole words.
_HEAD: Callable[[bytes, int], tuple[int, ...]] = struct.Struct("<HIxxII").unpack_from


def _big_head(part: bytes, at: int) -> tuple[int, ...]:  # pragma: no cover
    position, words, tag, length = struct.unpack_from(">xxIHII", part, at)
    return words, position, length, tag


if sys.byteorder == "big":  # pragma: no cover
    _HEAD = _big_head
PATIENCE = 2.0
"""Seconds that a reserved record of a living process may take until it is committed."""


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


class Taken(NamedTuple):
    """Records as the relay takes them: payloads by `kind_of` and `scope_of` of their tags."""

    groups: dict[int, list[bytes]]
    number: int
    """How many items there are."""
    size: int
    """Bytes of the ring that were walked."""
    doubled: bool
    """Whether an earlier relay had sent them, without learning whether they arrived."""


def kind_of(tag: int) -> int:
    """What the records under this tag are."""
    return tag >> (INFO_KIND_SHIFT - INFO_ITEMS_SHIFT)


def scope_of(tag: int) -> int:
    """The number of the scope that the records under this tag belong to."""
    return tag >> (INFO_SCOPE_SHIFT - INFO_ITEMS_SHIFT) & INFO_SCOPE_MASK


def items_of(tag: int) -> int:
    """How many items each of the records under this tag holds."""
    return tag & INFO_ITEMS_MASK


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
        self.cursor = self.frontier = q[R_TAIL]
        self._settled = self.cursor if not STORES_KEEP_ORDER else None
        self._doubled_until = q[R_SENT]
        self._dead = False
        self._stuck: tuple[int, float] = (-1, 0.0)
        self._last_hole = -1

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
        """Items the worker dropped because the ring was full."""
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
        """See how far the writer is. `final` says that it is dead, and will not finish what it began."""
        self._dead = self._dead or final
        if self._settled is not None:
            # What is taken now was begun before the last look, so its stores have arrived.
            self._settled = self.frontier
        tail = self.q[R_TAIL]
        self.frontier = min(max(self.q[R_HEAD], tail), tail + self.capacity)

    def take(self, limit: int, room: int = 4 * 1024 * 1024) -> Taken:
        """Records after those taken before: about `limit` items, about `room` bytes of the ring.

        Records that an earlier relay may have sent are never mixed with others.
        """
        groups: dict[int, list[bytes]] = {}
        number = 0
        begin = position = self.cursor
        doubled = position < self._doubled_until
        end = self.frontier if self._settled is None or self._dead else self._settled
        if doubled:
            end = min(end, self._doubled_until)
        until = begin + (room >> 3)
        while position < min(end, until) and number < limit:
            # One copy for many records, not past the end of a lap.
            stop = min(end, (position | self.mask) + 1, until + MAX_RECORD_WORDS)
            reached, number = self._take_part(position, stop, until, number, limit, groups)
            if reached == position:
                if self._committed(position):
                    break  # the next record holds more items than there is room for
                reached = self._past_hole(position, end)
            if reached == position:
                break
            position = reached
        self.cursor = position
        return Taken(groups, number, (position - begin) * WORD, doubled)

    def _take_part(
        self, position: int, stop: int, until: int, number: int, limit: int, groups: dict[int, list[bytes]]
    ) -> tuple[int, int]:
        """Add the records that begin before `until` and end before `stop` to `groups`.

        Returns the position of the first that was not committed, or not taken, and `number` with
        the items taken added to it.
        """
        start = (HEADER_WORDS + (position & self.mask)) * WORD
        size = (stop - position) * WORD
        # The eight bytes more are for a last record of one word, whose second is not its own.
        part = b"".join((self.mem[start : start + size], bytes(WORD)))
        at = current = items = 0
        last = min((until - position) * WORD, size)
        expected = position & _LOW
        payloads: list[bytes] = []
        unpack = _HEAD
        while at < last and number < limit:
            words, committed, length, tag = unpack(part, at)
            after = at + (words << 3)
            if committed != expected or not words or after > size:
                break
            if tag != current:
                current = tag
                items = tag & INFO_ITEMS_MASK
                if tag:
                    payloads = groups.setdefault(tag, [])
            begin = at + RECORD_HEADER_BYTES
            if tag and begin + length <= after:
                if number and number + items > limit:
                    break
                payloads.append(part[begin : begin + length])
                number += items
            at = after
            expected = (expected + words) & _LOW
        return position + (at >> 3), number

    def _past_hole(self, hole: int, end: int) -> int:
        """Where to go on after words that were reserved and not committed; `hole` where to wait.

        A dead writer leaves them for good. In a living one they may be written this moment; a
        thread that was stopped in the middle is given up after some time.
        """
        if not self._dead:
            since = self._stuck[1] if self._stuck[0] == hole else time.monotonic()
            self._stuck = (hole, since)
            if time.monotonic() - since < PATIENCE:
                return hole
        if hole > self._last_hole:
            self._last_hole = hole
            self.q[R_HOLES] += 1
        return next(filter(self._committed, range(hole + 1, end)), end)

    def _committed(self, position: int) -> bool:
        """Whether a record was committed for exactly this position."""
        commit = self.q[HEADER_WORDS + (position & self.mask)]
        return commit >> COMMIT_SHIFT == position and commit & COMMIT_WORDS_MASK > 0

    def sent(self) -> None:
        """Note in the file that everything read so far is on its way."""
        self.q[R_SENT] = self.cursor

    def ack(self) -> None:
        """Give the room of everything taken so far back to the writer."""
        self.q[R_TAIL] = self.cursor

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
