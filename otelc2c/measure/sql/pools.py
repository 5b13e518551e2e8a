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
from otelc2c.record.own import Adds

_WHERE: Final = "measure.sql.pools"
_SEEN: Final = "_otelc2c_pool"
_SINCE: Final = "_otelc2c_since"


class Level:
    """A number that is known in full each time, on a cell that takes differences."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def set(self, cell: Adds, value: int) -> None:
        """Have `cell` say `value`."""
        # No call stands between reading and writing, so that threads agree on the differences.
        difference = value - self._last
        self._last = value
        if difference:
            cell.add(difference)


class Group:
    """The pools of one name: mostly one, and for a time two when an engine gets a new one."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.pools: weakref.WeakSet[Any] = weakref.WeakSet()
        self.pending = 0
        self._borrowed: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._begin()

    def _begin(self) -> None:
        self._measurer: Measurer | None = None
        self._forks = installed.forks
        self._idle, self._used, self._most, self._most_idle, self._pending = (Level() for _ in range(5))

    def cells(self, measurer: Measurer) -> PoolCells:
        """Where the numbers go. In a new process, or with a new measurer, nothing has been told yet."""
        if self._measurer is not measurer or self._forks != installed.forks:
            if self._forks != installed.forks:
                self.pending = 0
            self._begin()
            self._measurer = measurer
        return measurer.pools[self.name]

    def waits(self, measurer: Measurer, change: int) -> None:
        """One more, or one less, waits for a connection."""
        cells = self.cells(measurer)
        self.pending += change
        self._pending.set(cells.pending, self.pending)

    def tell(self, measurer: Measurer, pool: Any, borrowed: int = 0) -> PoolCells:
        """Say what the pools hold now. `borrowed`: what has just changed, for pools that do not count."""
        cells = self.cells(measurer)
        if _SEEN not in pool.__dict__:
            pool.__dict__[_SEEN] = True
            self.pools.add(pool)
        if not hasattr(pool, "checkedout"):
            now = max(0, self._borrowed.get(pool, 0) + borrowed)
            # A pool of a single connection lends it to several, and gets it back from the first.
            self._borrowed[pool] = min(now, 1) if hasattr(type(pool), "connection") else now
        idle = used = most = most_idle = 0
        for each in list(self.pools):
            in_it, out_of_it = self._connections(each)
            used += out_of_it
            if not _is_current(each):
                continue
            idle += in_it
            size, overflow = _bounds(each)
            most_idle += size
            most += size + overflow if overflow >= 0 and size else 0
        self._idle.set(cells.idle, idle)
        self._used.set(cells.used, used)
        if most_idle:
            self._most_idle.set(cells.most_idle, most_idle)
        if most:
            self._most.set(cells.most, most)
        return cells

    def _connections(self, pool: Any) -> tuple[int, int]:
        """How many are idle and used."""
        if hasattr(pool, "checkedout"):
            return pool.checkedin(), max(0, pool.checkedout())
        borrowed = self._borrowed.get(pool, 0)
        known = getattr(pool, "_all_conns", None)
        if known is not None:
            return max(0, len(known) - borrowed), min(borrowed, len(known))
        return (int(not borrowed), min(borrowed, 1)) if "connection" in pool.__dict__ else (0, borrowed)


def _is_current(pool: Any) -> bool:
    """Whether its engine has not replaced it: such a pool takes connections back, and gives none."""
    hooks = pool._dialect.__dict__.get(KEPT)
    engine = None if hooks is None else hooks.engine()
    return engine is not None and engine.pool is pool


def _bounds(pool: Any) -> tuple[int, int]:
    """Connections that are kept, and how many there may be beyond; -1: any number."""
    return (pool.size(), pool._max_overflow) if hasattr(pool, "checkedout") else (0, -1)


_groups: Final[dict[str, Group]] = {}


def _group_of(pool: Any) -> Group | None:
    """The pools of the same engine's name; None where we do not know the engine."""
    hooks = pool._dialect.__dict__.get(KEPT)
    if hooks is None:
        return None
    group: Group | None = hooks.pools
    if group is None:
        name = hooks.name()
        group = hooks.pools = _groups.get(name) or _groups.setdefault(name, Group(name))
    return group


def _would_wait(pool: Any) -> bool:
    most = getattr(pool, "_max_overflow", -1)
    return most > -1 and pool._overflow >= most and not pool.checkedin()


# -- hooks ------------------------------------------------------------------------------------------


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    """A connection is taken from a pool."""

    def connect(self: Any) -> Any:
        measurer = installed.measurer
        if measurer is None:
            return original(self)
        start_ns = perf_counter_ns()
        group, waits = None, False
        try:
            group = _group_of(self)
            waits = group is not None and _would_wait(self)
            if group is not None and waits:
                group.waits(measurer, 1)
        except Exception as error:
            swallowed(_WHERE, error)
        if group is None:
            return original(self)
        try:
            fairy = original(self)
        except BaseException as error:
            _taken(measurer, group, self, None, start_ns, error, waits)
            raise
        _taken(measurer, group, self, fairy, start_ns, None, waits)
        return fairy

    return connect


def _taken(
    measurer: Measurer,
    group: Group,
    pool: Any,
    fairy: Any,
    start_ns: int,
    error: BaseException | None,
    waited: bool,
) -> None:
    end_ns = perf_counter_ns()
    try:
        if waited:
            group.waits(measurer, -1)
        # One that the thread has already is given again.
        new = fairy is not None and fairy._counter == 1
        cells = group.tell(measurer, pool, int(new))
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
                group = _group_of(self)
                if group is not None:
                    cells = group.tell(measurer, self, -1)
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
            group = _group_of(self._ConnectionRecord__pool)
            if group is not None:
                group.cells(measurer).create_time.record((end_ns - start_ns) * 1e-9)
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
                group = _group_of(self)
                if measurer is not None and group is not None:
                    group.tell(measurer, self)
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
