"""Trace and span ids: random, never zero, and never the same in two processes.

The source is a generator of our own: an application that calls `random.seed` changes
nothing here, and after a fork the child seeds its copy anew (hot-path 4).
"""

import os
import random

_random = random.Random()  # noqa: S311 - ids need to be different, not secret.

bits = _random.getrandbits
"""Random bits from the generator behind the ids."""


def _reseed() -> None:
    _random.seed(os.urandom(32))


_reseed()
os.register_at_fork(after_in_child=_reseed)


def new_trace_id() -> bytes:
    """16 random bytes that are not all zero."""
    return (bits(128) or 1).to_bytes(16, "big")


def new_span_id() -> bytes:
    """8 random bytes that are not all zero."""
    return (bits(64) or 1).to_bytes(8, "big")
