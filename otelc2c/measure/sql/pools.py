"""Connection pools: how many connections are used and idle, and how long one waits for them.

Numbers of connections are what the pools themselves say each time that one is taken or given back. So they
are right after a fork with an engine in it, and after a pool was thrown away.
"""

import weakref
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from otelc2c.guard import swallowed
from otelc2c.measure.measurer import Measurer, installed
from otelc2c.measure.patches import Patches
from otelc2c.measure.sql.hooks import KEPT
from otelc2c.measure.sql.pool_metrics import PoolCells

_WHERE: Final = "measure.sql.pools"
_SEEN: Final = "_otelc2c_pool"
"""Under which name a pool keeps its `Counted`."""
_SINCE: Final = "_otelc2c_since"
"""Under which name a pool's record of a connection keeps since when it is used."""


class Counted:
    """How the connections of one pool are counted."""

    __slots__ = ("_borrowed", "_length", "_single", "_size", "group", "pool")

    def __init__(self, group: "Group", pool: Any) -> None:
        self.group: Final = group
        self.pool: Final = weakref.ref(pool)
        self._borrowed = 0
        self._length: Callable[[], int] | None = None
        self._size = 0
        self._single = hasattr(type(pool), "connection")
        if hasattr(pool, "checkedout"):
            # The length of the queue as it is, without the lock around it.
            queue = getattr(pool._pool, "queue", None)
            self._length = pool._pool.qsize if queue is None else queue.__len__
            self._size = pool._pool.maxsize

    def connections(self, pool: Any, borrowed: int) -> tuple[int, int]:
        """How many are idle and used. `borrowed`: what has just changed, for pools that do not count."""
        if self._length is not None:
            idle = self._length()
            return idle, self._size - idle + pool._overflow
        now = self._borrowed = max(0, self._borrowed + borrowed)
        if self._single:
            # It lends its connection to several, and gets it back from the first.
            if now > 1:
                now = self._borrowed = 1
            return int("connection" in pool.__dict__ and not now), now
        known = getattr(pool, "_all_conns", None)
        return (0, now) if known is None else (max(0, len(known) - now), min(now, len(known)))

    def would_wait(self, pool: Any) -> bool:
        """Whether all connections are used that there may be."""
        if self._length is None or pool._overflow < pool._max_overflow:
            return False
        return pool._max_overflow > -1 and not self._length()

    def bounds(self, pool: Any) -> tuple[int, int]:
        """How many are kept, and how many there may be in all; 0 where there is no bound."""
        if self._length is None:
            return 0, 0
        size, overflow = pool.size(), pool._max_overflow
        return size, size + overflow if overflow >= 0 and size else 0


class Group:
    """The pools of one name: mostly one, and for a time two when an engine gets a new one.

    What is known of them is told as a difference to what was told before. No call stands between reading and
    writing that, so that threads agree.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self._pools: list[Counted] = []
        self._pending = 0
        self._measurer: Measurer | None = None
        self._begin()

    def _begin(self) -> None:
        """Nothing has been told yet: in a new process, or with a new measurer."""
        self._forks = installed.forks
        self._idle = self._used = self._told_pending = self._most = self._most_idle = 0
        self._bounds_due = True

    def cells(self, measurer: Measurer) -> PoolCells:
        """Where the numbers go."""
        if self._measurer is not measurer or self._forks != installed.forks:
            if self._forks != installed.forks:
                self._pending = 0
            self._begin()
            self._measurer = measurer
        return measurer.pools[self.name]

    def waits(self, measurer: Measurer, change: int) -> None:
        """One more, or one less, waits for a connection."""
        cells = self.cells(measurer)
        self._pending += change
        now = self._pending
        difference = now - self._told_pending
        self._told_pending = now
        cells.pending.add(difference)

    def add(self, pool: Any) -> Counted:
        """A pool that has not been seen yet."""
        counted = Counted(self, pool)
        self._pools = [*self._pools, counted]
        self._bounds_due = True
        pool.__dict__[_SEEN] = counted
        return counted

    def tell(self, measurer: Measurer, counted: Counted, pool: Any, borrowed: int = 0) -> PoolCells:
        """Say what the pools hold now. `borrowed`: what has just changed in this one."""
        cells = self.cells(measurer)
        idle, used = counted.connections(pool, borrowed)
        if len(self._pools) > 1:
            idle, used = self._all(counted, idle, used)
        difference = idle - self._idle
        self._idle = idle
        if difference:
            cells.idle.add(difference)
        difference = used - self._used
        self._used = used
        if difference:
            cells.used.add(difference)
        if self._bounds_due:
            self._tell_bounds(cells)
        return cells

    def _all(self, counted: Counted, idle: int, used: int) -> tuple[int, int]:
        """The same with the other pools. Those are forgotten that have nothing and give nothing any more."""
        left = []
        if not _is_current(counted.pool()):
            idle = 0
        for other in self._pools:
            pool = other.pool()
            if pool is None:
                continue
            current = _is_current(pool)
            if other is not counted:
                in_it, out_of_it = other.connections(pool, 0)
                used += out_of_it
                idle += in_it if current else 0
                if not current and out_of_it <= 0:
                    continue
            left.append(other)
        if len(left) != len(self._pools):
            self._pools = left
            self._bounds_due = True
        return idle, used

    def _tell_bounds(self, cells: PoolCells) -> None:
        self._bounds_due = False
        most_idle = most = 0
        for counted in self._pools:
            pool = counted.pool()
            if pool is not None and _is_current(pool):
                size, all_of_them = counted.bounds(pool)
                most_idle += size
                most += all_of_them
        if most_idle != self._most_idle:
            cells.most_idle.add(most_idle - self._most_idle)
            self._most_idle = most_idle
        if most != self._most:
            cells.most.add(most - self._most)
            self._most = most


def _is_current(pool: Any) -> bool:
    """Whether its engine has not replaced it: such a pool takes connections back, and gives none."""
    hooks = None if pool is None else pool._dialect.__dict__.get(KEPT)
    engine = None if hooks is None else hooks.engine()
    return engine is not None and engine.pool is pool


_groups: Final[dict[str, Group]] = {}


def _counted(pool: Any) -> Counted | None:
    """What we know of a pool; None where we do not know its engine."""
    hooks = pool._dialect.__dict__.get(KEPT)
    if hooks is None:
        return None
    name = hooks.name()
    group = _groups.get(name) or _groups.setdefault(name, Group(name))
    return group.add(pool)


# -- hooks ------------------------------------------------------------------------------------------


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    """A connection is taken from a pool."""

    def connect(self: Any) -> Any:
        measurer = installed.measurer
        if measurer is None:
            return original(self)
        start_ns = perf_counter_ns()
        counted, waits = None, False
        try:
            counted = self.__dict__.get(_SEEN) or _counted(self)
            if counted is not None and counted.would_wait(self):
                counted.group.waits(measurer, 1)
                waits = True
        except Exception as error:
            swallowed(_WHERE, error)
        if counted is None:
            return original(self)
        try:
            fairy = original(self)
        except BaseException as error:
            _taken(measurer, counted, self, None, start_ns, error, waits)
            raise
        _taken(measurer, counted, self, fairy, start_ns, None, waits)
        return fairy

    return connect


def _taken(
    measurer: Measurer,
    counted: Counted,
    pool: Any,
    fairy: Any,
    start_ns: int,
    error: BaseException | None,
    waited: bool,
) -> None:
    end_ns = perf_counter_ns()
    try:
        if waited:
            counted.group.waits(measurer, -1)
        # One that the thread has already is given again.
        new = fairy is not None and fairy._counter == 1
        cells = counted.group.tell(measurer, counted, pool, int(new))
        if new:
            cells.wait_time.record((end_ns - start_ns) * 1e-9)
            record = fairy._connection_record
            if record is not None:
                record.__dict__[_SINCE] = end_ns
        elif type(error).__name__ == "TimeoutError" and type(error).__module__ == "sqlalchemy.exc":
            cells.timeouts.add(1)
    except Exception as failure:
        swallowed(_WHERE, failure)


def _return_conn(original: Callable[..., Any]) -> Callable[..., Any]:
    """A connection is given back."""

    def _return_conn(self: Any, record: Any) -> Any:
        measurer = installed.measurer
        if measurer is None:
            return original(self, record)
        end_ns = perf_counter_ns()
        # Before it is back, as somebody else may have it at once.
        start_ns = record.__dict__.pop(_SINCE, None)
        try:
            return original(self, record)
        finally:
            try:
                counted = self.__dict__.get(_SEEN) or _counted(self)
                if counted is not None:
                    cells = counted.group.tell(measurer, counted, self, -1)
                    if start_ns is not None:
                        cells.use_time.record((end_ns - start_ns) * 1e-9)
            except Exception as error:
                swallowed(_WHERE, error)

    return _return_conn


def _made(original: Callable[..., Any]) -> Callable[..., Any]:
    """A connection is made, for a record that a pool keeps of it."""

    def __connect(self: Any) -> Any:
        measurer = installed.measurer
        if measurer is None:
            return original(self)
        start_ns = perf_counter_ns()
        result = original(self)
        end_ns = perf_counter_ns()
        try:
            pool = self._ConnectionRecord__pool
            counted = pool.__dict__.get(_SEEN) or _counted(pool)
            if counted is not None:
                counted.group.cells(measurer).create_time.record((end_ns - start_ns) * 1e-9)
        except Exception as error:
            swallowed(_WHERE, error)
        return result

    return __connect


def _dispose(original: Callable[..., Any]) -> Callable[..., Any]:
    """All idle connections of a pool are closed."""

    def dispose(self: Any) -> Any:
        measurer = installed.measurer
        try:
            return original(self)
        finally:
            try:
                counted = self.__dict__.get(_SEEN)
                if measurer is not None and counted is not None:
                    counted.group.tell(measurer, counted, self)
            except Exception as error:
                swallowed(_WHERE, error)

    return dispose


def change(patches: Patches, base: Any, pools: Any) -> None:
    """Measure all pools: `base` and `pools` are SQLAlchemy's modules `pool.base` and `pool.impl`."""
    patches.replace(base.Pool, "connect", _connect)
    patches.replace(pools.SingletonThreadPool, "connect", _connect)
    patches.replace(base.Pool, "_return_conn", _return_conn)
    patches.replace(base._ConnectionRecord, "_ConnectionRecord__connect", _made)
    for kind in (pools.QueuePool, pools.SingletonThreadPool, pools.StaticPool):
        patches.replace(kind, "dispose", _dispose)
