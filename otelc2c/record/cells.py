"""Cells: the numbers of one process, as words in a file that the relay reads.

A cell is bound once to its place and then written with native stores. A child after a fork
gets a file of its own with the same places, all zero: cells that the application's code or
ours holds on to stay valid (`Store.restart`). Layout: `otelc2c.record.layout`.
"""

import json
import mmap
import os
import sys
import time
from _thread import RLock
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final, TypeVar

from otelc2c.record import files, layout
from otelc2c.record.layout import (
    CHUNK_BYTES,
    CHUNK_WORDS,
    EXEMPLAR_SPAN,
    EXEMPLAR_TIME_NS,
    EXEMPLAR_TRACE,
    EXEMPLAR_VALUE,
    EXEMPLAR_WORDS,
    HEADER_WORDS,
    LAST_FLOAT,
    LAST_INT,
    LAST_TIME_NS,
    LAST_TYPE,
    LAST_TYPE_FLOAT,
    LAST_TYPE_INT,
    LAST_TYPE_NONE,
    LAST_WORDS,
    SUM_EXEMPLAR,
    SUM_FLOAT,
    SUM_INT,
    SUM_WORDS,
    WORD,
)
from otelc2c.record.points import Attributes, Instrument, Scope

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

FORK_WAITS: Final = 1.0
"""Seconds that a fork waits for a cell that is being made."""
EXEMPLAR_EVERY_NS = 1_000_000_000
"""A cell takes a new exemplar at most once in this time: writing one costs more than a record."""

SMALLEST_INT = -(2**63)
LARGEST_INT = 2**63 - 1
ZEROS = memoryview(bytes(4096 * WORD)).cast("q")


class Chunk:
    """One mapped piece of a cells file, as bytes, whole numbers and doubles."""

    __slots__ = ("d", "mem", "q", "used")

    def __init__(self, memory: memoryview, used: int = 0) -> None:
        """Use `memory` (CHUNK_BYTES long), of which `used` words are taken."""
        self.map(memory)
        self.used = used

    def map(self, memory: memoryview) -> None:
        """Move to other memory; every cell in this chunk moves with it."""
        self.mem = memory.cast("B")
        self.q = self.mem.cast("q")
        self.d: memoryview[float] = self.mem.cast("d")


def _anonymous() -> memoryview:
    return memoryview(bytearray(CHUNK_BYTES))


class Cell:
    """What all cells share: their place, and the time of the last exemplar."""

    __slots__ = ("base", "chunk", "exemplar_due")
    words: int

    def __init__(self, chunk: Chunk, base: int) -> None:
        """Use the words of `chunk` from `base`."""
        self.chunk = chunk
        self.base = base
        self.exemplar_due = 0
        self.reset()

    def reset(self) -> None:
        """Set everything to nothing recorded."""
        base, end = self.base, self.base + self.words
        while base < end:
            step = min(end - base, len(ZEROS))
            self.chunk.q[base : base + step] = ZEROS[:step]
            base += step
        self.exemplar_due = 0

    def _put_exemplar(self, at: int, value: float, time_ns: int, trace_id: bytes, span_id: bytes) -> None:
        self.exemplar_due = time_ns + EXEMPLAR_EVERY_NS
        chunk = self.chunk
        # A reader takes an exemplar only if its time is the same before and after.
        chunk.q[at + EXEMPLAR_TIME_NS] = 0
        chunk.d[at + EXEMPLAR_VALUE] = value
        start = (at + EXEMPLAR_TRACE) * WORD
        chunk.mem[start : start + 16] = trace_id
        start = (at + EXEMPLAR_SPAN) * WORD
        chunk.mem[start : start + 8] = span_id
        chunk.q[at + EXEMPLAR_TIME_NS] = time_ns


class SumCell(Cell):
    """A sum. Whole numbers stay exact beside fractions."""

    __slots__ = ("whole",)
    words = SUM_WORDS

    def reset(self) -> None:
        """Set everything to nothing recorded."""
        super().reset()
        self.whole = 0

    def add(self, value: int | float) -> None:
        """Add a whole number or a fraction, of either sign."""
        if type(value) is int:
            try:
                # The word first, which may not have room for it.
                self.chunk.q[self.base] = self.whole = self.whole + value
            except (ValueError, OverflowError):
                self.add(float(value))
        else:
            d = self.chunk.d
            i = self.base + SUM_FLOAT
            d[i] += value

    def set_total(self, value: int | float) -> None:
        """Replace the sum by the absolute value that an asynchronous instrument observed."""
        chunk = self.chunk
        if value.__class__ is int and SMALLEST_INT <= value <= LARGEST_INT:
            chunk.d[self.base + SUM_FLOAT] = 0.0
            chunk.q[self.base + SUM_INT] = self.whole = value
        else:
            chunk.q[self.base + SUM_INT] = self.whole = 0
            chunk.d[self.base + SUM_FLOAT] = value

    def exemplar(self, value: float, time_ns: int, trace_id: bytes, span_id: bytes) -> None:
        """Keep one measurement with its trace; at most one a second."""
        if time_ns >= self.exemplar_due:
            self._put_exemplar(self.base + SUM_EXEMPLAR, value, time_ns, trace_id, span_id)


class LastCell(Cell):
    """A gauge: the last value, its type and when it was set."""

    __slots__ = ()
    words = LAST_WORDS

    def set(self, value: int | float, time_ns: int = 0) -> None:
        """Set the value; `time_ns` (wall clock) is now where it is not given."""
        chunk = self.chunk
        q, base = chunk.q, self.base
        if value.__class__ is int and SMALLEST_INT <= value <= LARGEST_INT:
            q[base + LAST_INT] = value
            q[base + LAST_TYPE] = LAST_TYPE_INT
        else:
            chunk.d[base + LAST_FLOAT] = value
            q[base + LAST_TYPE] = LAST_TYPE_FLOAT
        q[base + LAST_TIME_NS] = time_ns or time.time_ns()

    def clear(self) -> None:
        """Say that there is no value any more."""
        self.chunk.q[self.base + LAST_TYPE] = LAST_TYPE_NONE


class HistogramCell(Cell):
    """A histogram with fixed boundaries: bucket counts, sum, extremes, an exemplar a bucket."""

    __slots__ = ("bounds", "counts", "exemplars_at", "least", "most", "sum", "sum_at", "words")

    def __init__(self, chunk: Chunk, base: int, bounds: tuple[float, ...]) -> None:
        """Use the words of `chunk` from `base` for the buckets that `bounds` divide."""
        self.bounds = bounds
        self.sum_at = base + layout.histogram_sum(len(bounds))
        self.exemplars_at = base + layout.histogram_exemplars(len(bounds))
        self.words = layout.histogram_words(len(bounds))
        super().__init__(chunk, base)

    def reset(self) -> None:
        """Set everything to nothing recorded."""
        super().reset()
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0
        self.least = self.chunk.d[self.sum_at + 1] = float("inf")
        self.most = self.chunk.d[self.sum_at + 2] = float("-inf")

    def record(self, value: float) -> None:
        """Count one value: its bucket first, then the sum, so that a kill between them loses no count."""
        chunk, counts = self.chunk, self.counts
        at = bisect_left(self.bounds, value)
        # Everything is kept here too, because reading a word costs as much as writing one.
        counts[at] = chunk.q[self.base + at] = counts[at] + 1
        d = chunk.d
        d[self.sum_at] = self.sum = self.sum + value
        if value < self.least:
            d[self.sum_at + 1] = self.least = value
        if value > self.most:
            d[self.sum_at + 2] = self.most = value

    def exemplar(self, value: float, time_ns: int, trace_id: bytes, span_id: bytes) -> None:
        """Keep one measurement with its trace in its bucket; at most one a second for the cell."""
        if time_ns >= self.exemplar_due:
            at = self.exemplars_at + bisect_left(self.bounds, value) * EXEMPLAR_WORDS
            self._put_exemplar(at, value, time_ns, trace_id, span_id)


_CellT = TypeVar("_CellT", bound=Cell)


class Store:
    """All cells of this process. Making a cell takes a lock; writing one does not."""

    def __init__(self) -> None:
        """A store on memory that nobody else sees, until `publish` is called."""
        self._lock = RLock()
        self._held = False
        self._fd = -1
        self._chunks = [Chunk(_anonymous(), HEADER_WORDS)]
        self._cells: list[Cell] = []
        self._instruments: dict[Instrument, int] = {}
        self._scopes: dict[Scope, int] = {}
        self._sink: Chunk | None = None
        self._role = layout.ROLE_UNKNOWN
        self.role_of_forks = layout.ROLE_UNKNOWN
        """What the next fork of this process will be; for that fork it is unknown again."""

    @classmethod
    def open_private(cls) -> "Store":
        """A store that only this process reads, for a single process and for tests."""
        store = cls()
        store._write_header()
        return store

    # -- the file --------------------------------------------------------------------------

    def publish(self, path: str) -> None:
        """Move all cells into a new file at `path`, with their values.

        Raises OSError where there is no room; the store then stays where it was.
        """
        with self._lock:
            self._move(path, keep_values=True)

    def before_fork(self) -> None:
        """Let a thread that is making a cell finish: a child must not take over half of one."""
        self._held = self._lock.acquire(timeout=FORK_WAITS)

    def after_fork_in_parent(self) -> None:
        """Let cells be made again."""
        if self._held:
            self._held = False
            self._lock.release()

    def restart(self, path: str | None) -> None:
        """Give a child after a fork its own numbers: the same cells in a new file, all zero.

        With None, or where there is no room (OSError is raised), they stay on memory
        that nobody sees; the parent's file is let go in every case.
        """
        self._lock = RLock()
        self._held = False
        self._role, self.role_of_forks = self.role_of_forks, layout.ROLE_UNKNOWN
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        try:
            if path is None:
                self._move_to([_anonymous() for _ in self._chunks])
            else:
                self._move(path, keep_values=False)
        except OSError:
            self._move_to([_anonymous() for _ in self._chunks])
            raise
        finally:
            for cell in self._cells:
                cell.reset()

    def _move(self, path: str, *, keep_values: bool) -> None:
        fd = files.create(path, CHUNK_BYTES * len(self._chunks))
        try:
            views = [
                memoryview(files.map_shared(fd, CHUNK_BYTES, number * CHUNK_BYTES))
                for number in range(len(self._chunks))
            ]
        except OSError:
            os.close(fd)
            files.remove(path)
            raise
        self._fd = fd
        self._move_to(views)
        if not keep_values:
            self._chunks[0].q[layout.H_LOST_SERIES] = 0
            self._chunks[0].q[layout.H_GUARDED] = 0

    def _move_to(self, views: list[memoryview]) -> None:
        for chunk, view in zip(self._chunks, views, strict=True):
            # After a fork the memory is still the parent's, who may be making cells that are not ours.
            taken = chunk.used * WORD
            view.cast("B")[:taken] = chunk.mem[:taken]
            chunk.map(view)
        self._write_header()

    def _write_header(self) -> None:
        q = self._chunks[0].q
        q[layout.H_VERSION] = layout.CELLS_VERSION
        q[layout.H_PID] = os.getpid()
        q[layout.H_CREATED_NS] = time.time_ns()
        q[layout.H_CHUNKS] = len(self._chunks)
        q[layout.H_ROLE] = self._role
        q[layout.H_MAGIC] = layout.CELLS_MAGIC

    def note_guarded(self, total: int) -> None:
        """Show how many failures of ours were swallowed in this process."""
        self._chunks[0].q[layout.H_GUARDED] = total

    def note_role(self, role: int) -> None:
        """Show what this process is to the others of its pod: one of the layout's roles."""
        self._role = self._chunks[0].q[layout.H_ROLE] = role

    @property
    def memory(self) -> list[memoryview]:
        """The chunks as they are, for a reader in this process."""
        return [chunk.mem for chunk in self._chunks]

    # -- making cells ----------------------------------------------------------------------

    def counter_cell(self, instrument: Instrument, attributes: Attributes) -> SumCell:
        """A new cell for one attribute set of a sum. The caller keeps it: asking again makes another."""
        return self.make_cell(instrument, attributes, SUM_WORDS, SumCell)

    def gauge_cell(self, instrument: Instrument, attributes: Attributes) -> LastCell:
        """A new cell for one attribute set of a gauge."""
        return self.make_cell(instrument, attributes, LAST_WORDS, LastCell)

    def histogram_cell(self, instrument: Instrument, attributes: Attributes) -> HistogramCell:
        """A new cell for one attribute set of a histogram."""
        bounds = instrument.bounds
        words = layout.histogram_words(len(bounds))
        return self.make_cell(
            instrument, attributes, words, lambda chunk, base: HistogramCell(chunk, base, bounds)
        )

    def scope_id(self, scope: Scope) -> int:
        """The number under which records in this process' ring name their scope."""
        with self._lock:
            number = self._scopes.get(scope)
            if number is None:
                number = len(self._scopes) + 1
                meta = _json({"id": number, "scope": scope})
                if number > layout.INFO_SCOPE_MASK or self._append(layout.ENTRY_SCOPE, meta, 0, None) is None:
                    return 0
                self._scopes[scope] = number
            return number

    def note_folded(self, name: str) -> None:
        """Write down (in a fold) that the numbers of the process called `name` are contained."""
        with self._lock:
            self._append(layout.ENTRY_FOLDED, _json(name), 0, None)

    def make_cell(
        self, instrument: Instrument, attributes: Attributes, words: int, make: Callable[[Chunk, int], _CellT]
    ) -> _CellT:
        """A new cell of `words` words for one attribute set, made by `make` at its place.

        Where there is no room for it, it works and nobody reads it.
        """
        with self._lock:
            number = self._instruments.get(instrument)
            if number is None:
                number = len(self._instruments) + 1
                meta = _json({"id": number, **instrument._asdict()})
                if self._append(layout.ENTRY_INSTRUMENT, meta, 0, None) is None:
                    return self._lost(make)
                self._instruments[instrument] = number
            meta = _json([number, dict(attributes)])
            cell: _CellT | None = self._append(layout.ENTRY_SERIES, meta, words, make)
            if cell is None:
                return self._lost(make)
            self._cells.append(cell)
            return cell

    def _lost(self, make: Callable[[Chunk, int], _CellT]) -> _CellT:
        """A cell that works and that nobody reads, because there is no room for a real one."""
        self._chunks[0].q[layout.H_LOST_SERIES] += 1
        if self._sink is None:
            self._sink = Chunk(_anonymous())
        return make(self._sink, 0)

    def _append(
        self, kind: int, meta: bytes, words: int, make: Callable[[Chunk, int], _CellT] | None
    ) -> Any:  # the cell, True where none was asked for, None where there is no room
        before = 1 + -(-len(meta) // WORD)
        total = before + words
        chunk = self._room(total)
        if chunk is None:
            return None
        at = chunk.used
        start = (at + 1) * WORD
        chunk.mem[start : start + len(meta)] = meta
        made = make(chunk, at + before) if make else True
        chunk.used = at + total
        chunk.q[at] = kind << layout.ENTRY_KIND_SHIFT | len(meta) << layout.ENTRY_META_SHIFT | total
        return made

    def _room(self, words: int) -> Chunk | None:
        chunk = self._chunks[-1]
        if chunk.used + words <= CHUNK_WORDS:
            return chunk
        if words > CHUNK_WORDS:
            return None
        number = len(self._chunks)
        try:
            if self._fd < 0:
                memory = _anonymous()
            else:
                files.reserve(self._fd, number * CHUNK_BYTES, CHUNK_BYTES)
                memory = memoryview(files.map_shared(self._fd, CHUNK_BYTES, number * CHUNK_BYTES))
        except OSError:
            return None
        chunk = Chunk(memory)
        self._chunks.append(chunk)
        self._chunks[0].q[layout.H_CHUNKS] = number + 1
        return chunk

    def settle(self) -> None:
        """Close the descriptor of the file, which then cannot grow any more. Its memory stays."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def close(self) -> None:
        """Let go of the file. The cells go on, on memory that nobody sees."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
                self._move_to([_anonymous() for _ in self._chunks])


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=str).encode("ascii")


def memory_of(path: str) -> list[memoryview]:
    """The chunks of a cells file that is there now.

    Raises OSError where it is not, BadFile where it is cut short.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        if size < CHUNK_BYTES:
            raise files.BadFile(f"only {size} bytes long")
        whole = memoryview(mmap.mmap(fd, size, access=mmap.ACCESS_READ))
    finally:
        os.close(fd)
    return [whole[start : start + CHUNK_BYTES] for start in range(0, size - CHUNK_BYTES + 1, CHUNK_BYTES)]


def with_lock(method: Callable[..., None]) -> Callable[..., None]:
    """The method under a lock of its own, for builds without the interpreter's."""
    lock = RLock()  # a very large whole number makes `add` call itself

    def locked(self: Cell, *args: Any) -> None:
        with lock:
            method(self, *args)

    return locked


if not GIL:  # pragma: no cover - free-threaded builds
    for _cell_type, _names in (
        (SumCell, ("add", "set_total", "exemplar")),
        (HistogramCell, ("record", "exemplar")),
        (LastCell, ("set", "clear")),
    ):
        for _name in _names:
            setattr(_cell_type, _name, with_lock(getattr(_cell_type, _name)))
