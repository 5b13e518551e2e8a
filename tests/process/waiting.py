"""Waiting for what another process does, which sends no event to us."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
PAUSE = 0.01


def until(look: Callable[[], _T], seconds: float, what: str) -> _T:
    """The first true thing that `look` returns. Raises AssertionError, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what} (last seen: {found!r})")
        time.sleep(PAUSE)


def steady(look: Callable[[], _T], wanted: _T, seconds: float = 3.0) -> _T:
    """What `look` returns once it is `wanted`, or what it returned last when the time was over."""
    deadline = time.monotonic() + seconds
    while (found := look()) != wanted and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return found
