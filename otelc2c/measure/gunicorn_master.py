"""What gunicorn's master does with its workers: how many it shall have, whom it started, why they ended.

Nothing is asked of a worker: who is alive and busy, the relay sees.
"""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from otelc2c import catalog
from otelc2c.measure.backlog import Backlog, backlog
from otelc2c.measure.memory_kills import MemoryKills
from otelc2c.record import layout
from otelc2c.record.cells import Store
from otelc2c.record.own import Adds, OwnCounter, OwnGauge, OwnHistogram, OwnUpDownCounter
from otelc2c.record.streams import DEFAULT_LIMIT
from otelc2c.record.views import Views

RECYCLED: Final = "recycled"
"""It had answered as many requests as it may (`max_requests`), and ended by itself."""
TIMEOUT: Final = "timeout"
"""It was silent for too long, and the master ended it."""
MEMORY: Final = "memory"
"""The kernel ended it because memory ran out."""
SIGNAL: Final = "signal"
"""A signal that the master had not sent."""
RELOAD: Final = "reload"
"""A new generation took its place, after HUP or a change of the code."""
SURPLUS: Final = "surplus"
"""There were more workers than there shall be, as after TTOU."""
STOP: Final = "stop"
"""The server ends."""
BOOT_ERROR: Final = "boot_error"
"""It could not begin, or not load the application."""
ERROR: Final = "error"
"""It ended by itself with another exit code than 0."""
EXIT: Final = "exit"
"""It ended by itself with 0, and nobody had asked for it as far as the master knows."""
UNKNOWN: Final = "unknown"
"""Somebody else waited for its end."""

_SENT: Final = {
    TIMEOUT: {signal.SIGABRT, signal.SIGKILL},
    STOP: {signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGKILL},
    RELOAD: {signal.SIGTERM},
    SURPLUS: {signal.SIGTERM},
}
"""Signals by which the master ends a worker, by its reason."""
_ENDING: Final = {signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGABRT, signal.SIGKILL}
_BOOT_CODES: Final = (3, 4)


class Ended(NamedTuple):
    """Why a worker ended."""

    reason: str
    signal: str | None = None
    """The name of the signal, where one is the whole reason."""


def why(status: int, asked: str | None, unasked: str, memory: Callable[[], bool]) -> Ended:
    """What the `status` of a process that was waited for means.

    `asked` is why the master had told it to end; `unasked` is what an end in good order means where
    the master had not. `memory` is asked whether the kernel killed it, where that may be.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if asked is not None and number in _SENT[asked]:
            return Ended(asked)
        if number == signal.SIGKILL and memory():
            return Ended(MEMORY)
        return Ended(SIGNAL, _name(number))
    if asked is not None:
        return Ended(asked)
    code = os.waitstatus_to_exitcode(status)
    if code in _BOOT_CODES:
        return Ended(BOOT_ERROR)
    return Ended(ERROR if code else unasked)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def at_once(config: Any) -> int:
    """How many requests one worker can answer at a time, by gunicorn's settings."""
    names = {kind.__name__ for kind in config.worker_class.__mro__}
    if "ThreadWorker" in names:
        return int(config.threads)
    return 1 if "SyncWorker" in names else int(config.worker_connections)


class _Level:
    """A value that goes up and down, written as the difference to what it was."""

    def __init__(self, cell: Adds) -> None:
        self._cell = cell
        self._value = 0

    def put(self, value: int) -> None:
        difference, self._value = value - self._value, value
        if difference:
            self._cell.add(difference)


class _Worker:
    """A worker that the master has started."""

    def __init__(self) -> None:
        self.born = time.monotonic()
        self.asked: str | None = None


class Master:
    """What is known of the workers of this process. Used by its main thread and its handlers of signals.

    gunicorn 23 waits for its children in a handler, which comes in the middle of anything, another of its
    kind included. So an end is counted at once only where nothing else is being done here: making a cell
    takes a lock, which a handler would wait for while it holds up whoever has it.
    """

    def __init__(
        self,
        store: Store,
        limit: int = DEFAULT_LIMIT,
        views: Views | None = None,
        memory_kills: Callable[[], MemoryKills] = MemoryKills,
    ) -> None:
        """Count in `store`. Cells are made when there is a master, so that no other server shows any."""
        self._store = store
        self._limit = limit
        self._views = views
        self._make_kills = memory_kills
        self._spawned = OwnCounter(store, catalog.GUNICORN_WORKER_SPAWNED, limit, views)
        self._exited = OwnCounter(store, catalog.GUNICORN_WORKER_EXITED, limit, views)
        self._lifetime = OwnHistogram(store, catalog.GUNICORN_WORKER_LIFETIME, limit, views)
        self._waiting = OwnGauge(store, catalog.GUNICORN_BACKLOG, limit, views)
        self._most = OwnGauge(store, catalog.GUNICORN_BACKLOG_LIMIT, limit, views)
        self._levels: tuple[_Level, _Level] | None = None
        self._listening: dict[tuple[str, int | None], Backlog] = {}
        self._workers: dict[int, _Worker] = {}
        self._early: dict[int, int] = {}
        self._doing: str | None = None
        self._spawning = False
        self._busy = False
        self._heard: deque[tuple[int, int, str]] = deque()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """What is heard of inside is counted afterwards."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            self._settle()

    def _settle(self) -> None:
        while self._heard and not self._busy:
            self._busy = True
            try:
                self._ended(*self._heard.popleft())
            finally:
                self._busy = False

    def begin(self) -> None:
        """This process becomes a master."""
        self._store.note_role(layout.ROLE_SERVER)
        self._kills = self._make_kills()
        if self._levels is None:
            self._levels = (
                self._level(catalog.GUNICORN_WORKERS_CONFIGURED),
                self._level(catalog.GUNICORN_REQUEST_LIMIT),
            )

    def _level(self, metric: catalog.Metric) -> _Level:
        return _Level(OwnUpDownCounter(self._store, metric, self._limit, self._views).cell(()))

    # -- workers -----------------------------------------------------------------------------

    def spawning(self) -> None:
        """The next fork is a worker."""
        self._spawning = True
        self._store.role_of_forks = layout.ROLE_WORKER

    def spawned(self, pid: int) -> None:
        """It lives, or has ended already."""
        with self._alone():
            self._spawning = False
            self._store.role_of_forks = layout.ROLE_UNKNOWN
            self._workers[pid] = _Worker()
            self._spawned.cell(()).add(1)
            status = self._early.pop(pid, None)
            self._early.clear()
            if status is not None:
                self._ended(pid, status, EXIT)

    def asks(self, pid: int, number: int, *, silent: bool) -> None:
        """A signal is sent to a worker; `silent` if it had not been heard of for too long."""
        worker = self._workers.get(pid)
        if worker is not None and number in _ENDING:
            # Who is told to end and does not is told again; that it hangs says more.
            worker.asked = TIMEOUT if silent else worker.asked or self._doing or SURPLUS

    def doing(self, what: str | None) -> str | None:
        """Say why workers are told to end from now on; returns what was said before."""
        before, self._doing = self._doing, what
        return before

    def ended(self, pid: int, status: int, unasked: str) -> None:
        """A child of this process was waited for; `unasked` as in `why`."""
        self._heard.append((pid, status, unasked))
        self._settle()

    def _ended(self, pid: int, status: int, unasked: str) -> None:
        worker = self._workers.pop(pid, None)
        if worker is not None:
            self._count(worker, why(status, worker.asked, unasked, self._kills.took_one))
        elif self._spawning:
            # It may be the one whose id the master is just being told.
            self._early[pid] = status

    def _count(self, worker: _Worker, ended: Ended) -> None:
        self._exited.cell(ended).add(1)
        self._lifetime.cell((ended.reason,)).record(time.monotonic() - worker.born)

    # -- the present ---------------------------------------------------------------------------

    def look(self, arbiter: Any) -> None:
        """Note what gunicorn's object says now."""
        if self._busy or self._levels is None:
            return  # in a signal's handler, while something was being done
        with self._alone():
            workers = int(arbiter.num_workers)
            configured, request_limit = self._levels
            configured.put(workers)
            request_limit.put(workers * at_once(arbiter.cfg))
            self._look_at_sockets(arbiter.LISTENERS)
            self._kills.look()
            missing = [pid for pid in self._workers if pid not in arbiter.WORKERS]
        # Those that were waited for have been heard of before gunicorn forgot them.
        with self._alone():
            for pid in missing:
                worker = self._workers.pop(pid, None)
                if worker is not None:
                    self._count(worker, Ended(UNKNOWN))

    def _look_at_sockets(self, listeners: Any) -> None:
        found = {}
        for listener in listeners:
            if getattr(listener, "sock", None) is not None and (seen := backlog(listener.sock)) is not None:
                found[_address(listener.sock)] = seen
        for address, seen in found.items():
            self._waiting.cell(address).set(seen.waiting)
            self._most.cell(address).set(seen.most)
        for address in self._listening.keys() - found.keys():
            self._waiting.cell(address).set(0)
        self._listening = found


def _address(sock: Any) -> tuple[str, int | None]:
    name = sock.getsockname()
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name), None
