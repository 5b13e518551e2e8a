"""Where a failure of ours ends: swallowed, counted, and said once a minute on raw standard error.

An application must never notice that its telemetry failed. Whatever code of
ours raises inside the application's calls goes through here. In tests `strict(True)` lets the
exception through instead, so that a swallowed failure still fails a test.

Nothing here takes a lock, because a fork may happen at any moment, and nothing here uses
`logging` or `sys.stderr`, because both belong to the application and may be what failed.
"""

import functools
import os
import select
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

SAY_EVERY: Final = 60.0
"""Seconds between two lines about the same place."""
_MAX_LINE: Final = 4096
"""Bytes of one line: what a pipe takes at once (PIPE_BUF), so lines never mix and never wait."""
_STDERR: Final = 2

# gevent replaces `select.poll` in workers; ours must be the real one, taken before that.
_poll: Final = select.poll


class _State:
    """What the guard remembers in this process."""

    __slots__ = ("counts", "on_swallow", "said", "strict")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.said: dict[str, tuple[float, int]] = {}
        self.on_swallow: Callable[[], object] | None = None
        self.strict = False

    def forget(self) -> None:
        """A forked child counts its own failures: its parent's are reported by the parent."""
        self.counts = {}
        self.said = {}


_state: Final = _State()
os.register_at_fork(after_in_child=_state.forget)


def strict(on: bool) -> bool:
    """Let exceptions through (for tests) or swallow them. Returns what was set before."""
    before, _state.strict = _state.strict, on
    return before


def on_swallow(callback: Callable[[], object] | None) -> None:
    """Have `callback()` called after each swallowed exception; `None` takes it away.

    There is one slot. The callback must be cheap; what it raises is ignored.
    """
    _state.on_swallow = callback


def counts() -> dict[str, int]:
    """Swallowed exceptions of this process by place, as a copy."""
    return dict(_state.counts)


def total() -> int:
    """Swallowed exceptions of this process."""
    return sum(_state.counts.copy().values())


def forget() -> None:
    """Start counting anew, as in a process that has just begun."""
    _state.forget()


def swallowed(where: str, error: Exception) -> None:
    """Count an exception that was caught at `where`, and say it at most once a minute.

    `where` is a constant of the caller's, such as "measure.pyramid", never made from a request.
    Raises `error` when the guard is strict, and nothing at all otherwise.
    """
    counted = _state.counts
    # No call stands between the look-up and the store, so that threads do not lose a count.
    if where in counted:
        counted[where] += 1
    else:
        counted[where] = 1
    callback = _state.on_swallow
    if callback is not None:
        try:
            callback()
        except Exception:
            pass
    if _state.strict:
        raise error
    _say(where, error)


def _say(where: str, error: Exception) -> None:
    now = time.monotonic()
    before = _state.said.get(where)
    if before is not None and now - before[0] < SAY_EVERY:
        return
    count = _state.counts.get(where, 1)
    _state.said[where] = (now, count)
    more = "" if before is None else f", {count - before[1]} since the last line"
    say(
        f"swallowed in {where}: {_described(error)} ({count} in all{more}); "
        "the application goes on, its telemetry may lack something"
    )


def _described(error: Exception) -> str:
    """Type and message of `error`, whose own text may fail as well."""
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be made)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def say(text: str) -> bool:
    """Write one line of ours to file descriptor 2; whether it was written.

    Never raises and never waits: a line is left out when standard error is closed, is a pipe that
    nobody reads, or is full. Control characters are escaped, so that a message is always one line.
    """
    try:
        clean = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:_MAX_LINE])
        line = f"otelc2c: {clean}".encode("utf-8", "backslashreplace")[: _MAX_LINE - 1] + b"\n"
        ready = _poll()
        ready.register(_STDERR, select.POLLOUT)
        if not any(event & select.POLLOUT for _, event in ready.poll(0)):
            return False
        os.write(_STDERR, line)
    except Exception:
        return False
    return True


class guard:  # noqa: N801 - read as a word of the language: `with guard("record"):`
    """`with guard("place"):` swallows, counts and says any `Exception` raised inside.

    `KeyboardInterrupt`, `SystemExit` and gevent's timeouts are not `Exception`s and pass.
    """

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        swallowed(self._where, error)
        return True


def guarded(where: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T | None]]:
    """A decorator: the function returns `None` when it raised, under the rules of `guard`."""

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T | None]:
        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _T | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                swallowed(where, error)
            return None

        return call

    return decorate
