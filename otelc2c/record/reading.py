"""Reading cells: what a cells file says, entry by entry.

The file belongs to another process, which may be writing, dead, or not ours at all: what
does not look right raises `BadFile` and never anything else (F-61, T46).
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from otelc2c.record import layout
from otelc2c.record.exponential import FEWEST_BUCKETS, MOST_BUCKETS
from otelc2c.record.files import BadFile
from otelc2c.record.layout import CHUNK_BYTES, CHUNK_WORDS, HEADER_WORDS, WORD
from otelc2c.record.points import GAUGE_KINDS, SUM_KINDS, Attributes, Instrument, Scope


class Series(NamedTuple):
    """Where the values of one attribute set stand."""

    instrument: Instrument
    attributes: Attributes
    q: memoryview
    d: "memoryview[float]"
    base: int


class _Chunk(NamedTuple):
    mem: memoryview
    q: memoryview
    d: "memoryview[float]"


class CellsReader:
    """One cells file, followed as it grows."""

    def __init__(self, memory: Sequence[memoryview], grow: Callable[[], Sequence[memoryview]]) -> None:
        """Read the chunks in `memory`; `grow` gives all chunks again when there are more.

        Raises BadFile where the header is not that of a cells file of this version.
        """
        self._grow = grow
        self._chunks = [self._chunk(piece) for piece in memory]
        header = self._chunks[0].q
        if header[layout.H_MAGIC] != layout.CELLS_MAGIC or header[layout.H_VERSION] != layout.CELLS_VERSION:
            raise BadFile("not a cells file of this version")
        self.series: list[Series] = []
        self.scopes: dict[int, Scope] = {}
        self.folded: list[str] = []
        self._instruments: dict[int, Instrument] = {}
        self._at = (0, HEADER_WORDS)

    @staticmethod
    def _chunk(piece: memoryview) -> _Chunk:
        if piece.nbytes != CHUNK_BYTES:
            raise BadFile("cut short")
        mem = piece.cast("B")
        return _Chunk(mem, mem.cast("q"), mem.cast("d"))

    @property
    def lost_series(self) -> int:
        """Attribute sets the process found no room for."""
        return int(self._chunks[0].q[layout.H_LOST_SERIES])

    @property
    def guarded(self) -> int:
        """Failures of ours that were swallowed in the process."""
        return int(self._chunks[0].q[layout.H_GUARDED])

    @property
    def pid(self) -> int:
        """The process that writes the file."""
        return int(self._chunks[0].q[layout.H_PID])

    @property
    def role(self) -> int:
        """What the process is to the others: one of the layout's roles."""
        return int(self._chunks[0].q[layout.H_ROLE])

    @property
    def created(self) -> float:
        """When the process made the file, in seconds of the wall clock."""
        return float(self._chunks[0].q[layout.H_CREATED_NS] * 1e-9)

    def look(self) -> None:
        """Take in the entries that were added since the last look. Raises BadFile."""
        header = self._chunks[0].q
        if header[layout.H_CHUNKS] > len(self._chunks):
            more = self._grow()
            self._chunks += [self._chunk(piece) for piece in more[len(self._chunks) :]]
        number, at = self._at
        while True:
            head = self._chunks[number].q[at] if at < CHUNK_WORDS else 0
            if head:
                at = self._take(self._chunks[number], at, head)
            elif number + 1 < min(len(self._chunks), header[layout.H_CHUNKS]):
                number, at = number + 1, 0
            else:
                break
            self._at = (number, at)

    def _take(self, chunk: _Chunk, at: int, head: int) -> int:
        words = head & layout.ENTRY_WORDS_MASK
        size = head >> layout.ENTRY_META_SHIFT & layout.ENTRY_META_MASK
        base = at + 1 + -(-size // WORD)
        end = at + words
        if base > end or end > CHUNK_WORDS:
            raise BadFile("an entry is longer than its chunk")
        start = (at + 1) * WORD
        try:
            meta = json.loads(bytes(chunk.mem[start : start + size]))
            self._entry(head >> layout.ENTRY_KIND_SHIFT, meta, chunk, base, end - base)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BadFile(f"an entry cannot be read ({type(error).__name__})") from error
        return end

    def _entry(self, kind: int, meta: Any, chunk: _Chunk, base: int, words: int) -> None:
        if kind == layout.ENTRY_SERIES:
            instrument = self._instruments[meta[0]]
            if words < _words(instrument):
                raise BadFile("a series is too short")
            attributes = {key: _value(value) for key, value in meta[1].items()}
            self.series.append(Series(instrument, attributes, chunk.q, chunk.d, base))
        elif kind == layout.ENTRY_INSTRUMENT:
            number = meta.pop("id")
            meta["scope"] = _scope(meta["scope"])
            meta["bounds"] = tuple(map(float, meta["bounds"]))
            self._instruments[number] = Instrument(**meta)
        elif kind == layout.ENTRY_SCOPE:
            self.scopes[meta["id"]] = _scope(meta["scope"])
        elif kind == layout.ENTRY_FOLDED:
            self.folded.append(str(meta))


def _words(instrument: Instrument) -> int:
    if instrument.kind in SUM_KINDS:
        return layout.SUM_WORDS
    if instrument.kind in GAUGE_KINDS:
        return layout.LAST_WORDS
    if instrument.buckets:
        if not FEWEST_BUCKETS <= instrument.buckets <= MOST_BUCKETS:
            raise BadFile("an exponential histogram of a size that nobody writes")
        return layout.exponential_words(instrument.buckets)
    return layout.histogram_words(len(instrument.bounds))


def _scope(meta: Any) -> Scope:
    name, version, schema_url, attributes = meta
    return Scope(name, version, schema_url, tuple((key, _value(value)) for key, value in attributes))


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
