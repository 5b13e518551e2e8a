"""The one table of sizes: how the files of a pod's folder are laid out.

Workers write these files, the relay reads them, and both take every number from here.
A *word* is eight bytes, in the machine's own order: the files never leave the machine.

Cells file (numbers)::

    header (HEADER_WORDS) | entry | entry | ...            chunk 0
    entry | entry | ...                                    chunk 1, ...

    entry = head word | meta (JSON, padded to words) | value words
    head  = kind << 56 | bytes of meta << 32 | words of the whole entry

An entry never crosses a chunk, and its head is written last: a head of zero means that
nothing follows in this chunk yet.

Ring file (finished spans and other records that leave one by one)::

    header (HEADER_WORDS) | capacity words

    record = commit word | info word | payload padded to words
    commit = position << 16 | words of the whole record
    info   = kind << 56 | scope << 40 | items << 32 | bytes of payload

Positions count words since the file was made and never wrap, so a record of an earlier
lap is never taken for a new one and nothing needs to be zeroed. The commit word is
written last.
"""

from typing import Final

WORD: Final = 8
HEADER_WORDS: Final = 64
HEADER_BYTES: Final = HEADER_WORDS * WORD

# -- cells ------------------------------------------------------------------------------

CELLS_MAGIC: Final = 0x6F32_6343_656C_6C31  # "o2cCell1"
CELLS_VERSION: Final = 1
CHUNK_BYTES: Final = 256 * 1024
"""One step of growth; a multiple of every page size in use, since chunks are mapped alone."""
CHUNK_WORDS: Final = CHUNK_BYTES // WORD

H_MAGIC: Final = 0
H_VERSION: Final = 1
H_PID: Final = 2
H_CREATED_NS: Final = 3
H_CHUNKS: Final = 4
H_LOST_SERIES: Final = 5
"""Attribute sets that found no room in the file system: their numbers are not kept."""
H_GUARDED: Final = 6
"""Failures of ours that `otelc2c.guard` swallowed in this process."""
H_ROLE: Final = 7
"""What the process is to the others: one of the next."""

ROLE_UNKNOWN: Final = 0
ROLE_SERVER: Final = 1
"""The process that was started: the master of workers, or a server that is one process."""
ROLE_WORKER: Final = 2
"""A process that a master made for answering requests."""

ENTRY_INSTRUMENT: Final = 1
ENTRY_SERIES: Final = 2
ENTRY_SCOPE: Final = 3
ENTRY_FOLDED: Final = 4
"""Only in the fold: the name of a dead worker's file whose numbers are contained."""

ENTRY_KIND_SHIFT: Final = 56
ENTRY_META_SHIFT: Final = 32
ENTRY_META_MASK: Final = 0xFF_FFFF
ENTRY_WORDS_MASK: Final = 0xFFFF_FFFF

# Words of one exemplar: written with the time last, and with time 0 while it changes.
EXEMPLAR_TIME_NS: Final = 0
EXEMPLAR_VALUE: Final = 1  # double
EXEMPLAR_TRACE: Final = 2  # two words: the 16 bytes of the trace id as they are
EXEMPLAR_SPAN: Final = 4  # the 8 bytes of the span id as they are
EXEMPLAR_WORDS: Final = 5

# Values of a sum: whole numbers and fractions are kept apart, the total is both together.
SUM_INT: Final = 0
SUM_FLOAT: Final = 1
SUM_EXEMPLAR: Final = 2
SUM_WORDS: Final = SUM_EXEMPLAR + EXEMPLAR_WORDS

# Values of a gauge.
LAST_INT: Final = 0
LAST_FLOAT: Final = 1
LAST_TYPE: Final = 2
LAST_TIME_NS: Final = 3
LAST_WORDS: Final = 4
LAST_TYPE_NONE: Final = 0
LAST_TYPE_INT: Final = 1
LAST_TYPE_FLOAT: Final = 2


def histogram_words(bounds: int) -> int:
    """Words of a histogram with `bounds` boundaries.

    The order is: `bounds + 1` bucket counts, sum, min, max, then an exemplar a bucket.
    """
    return histogram_exemplars(bounds) + (bounds + 1) * EXEMPLAR_WORDS


def histogram_sum(bounds: int) -> int:
    """Offset of the sum; min and max are the next two words."""
    return bounds + 1


def histogram_exemplars(bounds: int) -> int:
    """Offset of the first bucket's exemplar."""
    return bounds + 4


# Values of an exponential histogram: what has one place, then two banks of buckets. Where buckets
# are to become wider they are made in the other bank, and the generation says that it counts.
EXPO_GENERATION: Final = 0
"""The last bit names the bank that counts."""
EXPO_ZEROS: Final = 1
EXPO_SUM: Final = 2  # double, as the next two
EXPO_MIN: Final = 3
EXPO_MAX: Final = 4
EXPO_EXEMPLAR: Final = 5
EXPO_BANKS: Final = EXPO_EXEMPLAR + EXEMPLAR_WORDS

# Words of one bank.
BANK_SCALE: Final = 0
BANK_LOW: Final = 1
"""The number of the first bucket that was used. Bucket `i` has place `i % buckets` among the counts."""
BANK_COUNTS: Final = 2


def exponential_words(buckets: int) -> int:
    """Words of an exponential histogram with at most so many buckets."""
    return EXPO_BANKS + 2 * (BANK_COUNTS + buckets)


def exponential_bank(generation: int, buckets: int) -> int:
    """Offset of the bank that counts in this generation."""
    return EXPO_BANKS + (generation & 1) * (BANK_COUNTS + buckets)


# -- ring -------------------------------------------------------------------------------

RING_MAGIC: Final = 0x6F32_6352_696E_6731  # "o2cRing1"
RING_VERSION: Final = 1

R_MAGIC: Final = 0
R_VERSION: Final = 1
R_PID: Final = 2
R_CREATED_NS: Final = 3
R_CAPACITY: Final = 4
"""Words of the ring, a power of two."""
R_TAIL: Final = 5
"""Position up to which everything was acknowledged. Written by the relay only."""
R_SENT: Final = 6
"""Position up to which a batch is on its way. Written by the relay only."""
R_DROPPED_FULL: Final = 7
"""Records that found the ring full. Written by the worker only, like the next."""
R_DROPPED_LARGE: Final = 8
R_HOLES: Final = 9
"""Holes that the relay jumped (a writer killed between reserving and committing)."""
R_HEAD: Final = 10
"""Position up to which records were begun. Written by the worker only."""

RECORD_PAD: Final = 0
RECORD_SPAN: Final = 1
"""Payload: OTLP `Span` messages in protobuf's wire format, each as field `spans` of a `ScopeSpans`."""

COMMIT_SHIFT: Final = 16
COMMIT_WORDS_MASK: Final = 0xFFFF
MAX_RECORD_WORDS: Final = 0xFFFF
RECORD_HEADER_WORDS: Final = 2
RECORD_HEADER_BYTES: Final = RECORD_HEADER_WORDS * WORD
INFO_KIND_SHIFT: Final = 56
INFO_SCOPE_SHIFT: Final = 40
INFO_SCOPE_MASK: Final = 0xFFFF
INFO_ITEMS_SHIFT: Final = 32
INFO_ITEMS_MASK: Final = 0xFF
