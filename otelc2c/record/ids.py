"""Trace and span ids: random, never zero, and never the same in two processes.

The source is the system's, so an application that calls `random.seed` changes nothing here,
and after a fork the child draws its own (hot-path 4).
"""

import os
import random
from os import urandom
from struct import Struct
from typing import Final

_random = random.Random()  # noqa: S311 - ids need to be different, not secret.

bits = _random.getrandbits
"""Random bits from a generator of our own."""

_AT_ONCE: Final = 128
"""Ids that are drawn together: one alone costs four times as much."""
_parts: Final = {size: Struct(f"{size}s" * _AT_ONCE).unpack for size in (8, 16)}

traces: Final[list[bytes]] = []
"""Trace ids that nobody has yet, for hot paths: `pop` one, and ask `new_trace_id` when there is none."""
spans: Final[list[bytes]] = []
"""Span ids in the same way."""


def _reseed() -> None:
    traces.clear()
    spans.clear()
    _random.seed(urandom(32))


_reseed()
os.register_at_fork(after_in_child=_reseed)


def new_trace_id() -> bytes:
    """16 random bytes that are not all zero."""
    try:
        return traces.pop()
    except IndexError:
        return _drawn(traces, 16)


def new_span_id() -> bytes:
    """8 random bytes that are not all zero."""
    try:
        return spans.pop()
    except IndexError:
        return _drawn(spans, 8)


def _drawn(stock: list[bytes], size: int) -> bytes:
    """A new id of `size` bytes; others go into `stock`."""
    # Not from the generator: cutting its one large number into bytes costs as much as many small ones.
    ids: list[bytes] = list(_parts[size](urandom(size * _AT_ONCE)))
    none = bytes(size)
    if none in ids:
        ids = [one if one != none else none[1:] + b"\x01" for one in ids]
    # The last is this caller's own: another thread may be at the stock too.
    own = ids.pop()
    stock.extend(ids)
    return own
