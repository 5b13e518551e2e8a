"""The relay's side of a ring: records in order, once, whole; holes are jumped.

What is read belongs to another process, which may be writing, dead, or not ours at all. Layout:
`otelc2c.record.layout`.
"""

import contextlib
import mmap
import os
import platform
import struct
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

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
    R_DROPPED_FULL,
    R_DROPPED_LARGE,
    R_HEAD,
    R_HOLES,
    R_MAGIC,
    R_SENT,
    R_TAIL,
    R_VERSION,
    RECORD_HEADER_BYTES,
    RING_MAGIC,
    RING_VERSION,
    WORD,
)

STORES_KEEP_ORDER = platform.machine() in {"x86_64", "AMD64", "i686"}
"""Whether other processes see stores in the order they were made. If not, look twice."""

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
