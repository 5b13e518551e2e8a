"""The observer: asks the application's asynchronous instruments every few seconds.

There is no thread until an application registers the first of them, and then one a process. Where
gevent replaced threads by then it is a greenlet; a worker that inherits callbacks and has gevent
replace threads afterwards (gunicorn's --preload) keeps a real thread. Who observes:

- A process that never forks observes.
- A process that does the work goes on when it forks: `works()` says so. What it forks observes only
  what it registers itself, because the callbacks that it inherited are already observed.
- Any other process that forks is taken for a server's master, or for one that becomes a daemon: its
  children do the work. It stops at its first fork, takes back what it observed, and each child
  observes the callbacks that it inherited.
- `here()` may say no for a process that is known to be a master before it forks.

No callback runs while the process forks (a fork waits for a running one at most
`FORK_WAITS` seconds), and a child has its own lock and thread.
"""

import atexit
import contextvars
import os
import threading
import weakref
from collections.abc import Callable
from typing import Final

from opentelemetry.metrics import CallbackOptions

from otelc2c.guard import guard
from otelc2c.record.watched import Watched

FORK_WAITS: Final = 1.0
END_WAITS: Final = 1.0
"""Seconds that the end of the process waits for the last look."""
LOOK_WAITS: Final = 10.0
"""Seconds that `observe_now` waits for a look that is under way."""


class Round:
    """One running observer: its lock, its wake-up, its thread. A fork makes the child begin another."""

    def __init__(self, interval: float, look: Callable[[], None]) -> None:
        """Call `look` every `interval` seconds from now on, under the lock."""
        # Made here, not with the observer, so that gevent's replacements are used where there are any.
        self.lock = threading.Lock()
        self.owner: int | None = None
        self.ending = threading.Event()
        self.last_look = False
        self._interval = interval
        self._look = look
        self.thread = threading.Thread(target=self._run, name="otelc2c-observer", daemon=True)
        # It looks for the whole process, and belongs to no request in which it happens to be started.
        contextvars.Context().run(self.thread.start)

    def _run(self) -> None:
        while not self.ending.wait(self._interval):
            self.look(LOOK_WAITS)
        if self.last_look:
            self.look(LOOK_WAITS)

    def look(self, patience: float) -> bool:
        """Look now, unless somebody else is looking for longer than `patience`; whether it was done."""
        if self.owner == threading.get_ident() or not self.lock.acquire(timeout=patience):
            return False
        try:
            self.owner = threading.get_ident()
            with guard("record.observer"):
                self._look()
        finally:
            self.owner = None
            self.lock.release()
        return True

    def end(self, *, last_look: bool = False) -> None:
        """Have the thread end as soon as it is not looking, after one more look if that is asked."""
        self.last_look = last_look
        self.ending.set()


class Observer:
    """All asynchronous instruments of this process, and the one thread that asks them."""

    def __init__(
        self,
        interval: float = 5.0,
        *,
        here: Callable[[], bool] | None = None,
        works: Callable[[], bool] | None = None,
    ) -> None:
        """Look every `interval` seconds in processes where `here()` (always, if None) is true.

        `works()` is asked before each fork (never true, if None).
        """
        self._interval = interval
        self._here = here
        self._works = works
        self._watched: list[Watched] = []
        self._round: Round | None = None
        self._keeps = False
        self._master = False
        self._held: Round | None = None
        self._closed = False
        _observers.add(self)

    @property
    def running(self) -> bool:
        """Whether this process has a thread that observes."""
        return self._round is not None

    def add(self, watched: Watched) -> None:
        """Observe one more instrument, and begin to if it is the first."""
        self._watched.append(watched)
        _end_of_process.see_to_it()
        self._start()

    def observe_now(self, patience: float = LOOK_WAITS) -> bool:
        """Ask all instruments in the calling thread; whether that was done.

        False where this process does not observe, or where a callback has kept the observer busy
        for `patience` seconds.
        """
        running = self._round
        return running is not None and running.look(patience)

    def close(self) -> None:
        """Look a last time, in at most `END_WAITS` seconds, and end the thread."""
        self._closed = True
        running, self._round = self._round, None
        if running is not None:
            running.end(last_look=True)
            running.thread.join(END_WAITS)

    def _start(self) -> None:
        if self._round is not None or self._closed or self._master or not self._watched:
            return
        if self._here is None or self._here():
            self._round = Round(self._interval, self._look)

    def _look(self) -> None:
        options = CallbackOptions()
        for watched in list(self._watched):
            watched.observe(options)

    def before_fork(self) -> None:
        """Let a running callback finish, and none begin."""
        self._keeps = self._works is not None and self._works()
        running = self._round
        if running is None or running.owner == threading.get_ident():
            return
        if running.lock.acquire(timeout=FORK_WAITS):
            self._held = running

    def after_fork_in_parent(self) -> None:
        """Go on, or leave it to the children if this process turns out to be a master."""
        held, self._held = self._held, None
        if held is not None:
            held.lock.release()
        if self._keeps or not self._watched:
            return
        self._master = True
        running, self._round = self._round, None
        if running is not None:
            running.end()
            for watched in self._watched:
                watched.forget()

    def after_fork_in_child(self) -> None:
        """Begin anew: the parent's thread is not here, and its lock means nothing here."""
        observed_above = self._round is not None and self._keeps
        self._held = None
        self._round = None
        self._master = False
        if observed_above:
            self._watched = []
        self._start()


_observers: "Final[weakref.WeakSet[Observer]]" = weakref.WeakSet()


def _each(name: str) -> Callable[[], None]:
    def call() -> None:
        for observer in list(_observers):
            with guard("record.observer"):
                getattr(observer, name)()

    return call


os.register_at_fork(
    before=_each("before_fork"),
    after_in_parent=_each("after_fork_in_parent"),
    after_in_child=_each("after_fork_in_child"),
)


class _EndOfProcess:
    """The last look. Registered with the first instrument, so that it comes before what was there earlier."""

    def __init__(self) -> None:
        self._seen_to = False

    def see_to_it(self) -> None:
        if not self._seen_to:
            self._seen_to = True
            atexit.register(_each("close"))


_end_of_process: Final = _EndOfProcess()
