"""Trace and span ids: random, never zero, and never the same in two processes.

The source is a generator of our own: an application that calls `random.seed` changes
nothing here, and after a fork the child seeds its copy anew (hot-path 4).
"""

import os
import random
from struct import unpack
from typing import Final

_random = random.Random()  # noqa: S311 - ids need to be different, not secret.

bits = _random.getrandbits
"""Random bits from the generator behind the ids."""

_AT_ONCE: Final = 128
"""Ids that are drawn together: one alone costs four times as much."""

traces: Final[list[bytes]] = []
"""Trace ids that nobody has yet, for hot paths: `pop` one, and ask `new_trace_id` when there is none."""
spans: Final[list[bytes]] = []
"""Span ids in the same way."""


def _reseed() -> None:
    traces.clear()
    spans.clear()
    _random.seed(os.urandom(32))


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
    drawn = bits(8 * size * _AT_ONCE).to_bytes(size * _AT_ONCE, "big")
    none, one = bytes(size), (1).to_bytes(size, "big")
    parts = [part if part != none else one for part in unpack(f"{size}s" * _AT_ONCE, drawn)]
    # The last is this caller's own: another thread may be at the stock too.
    own = parts.pop()
    stock.extend(parts)
    return own
