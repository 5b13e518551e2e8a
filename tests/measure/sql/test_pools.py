"""Pools: connections that are used and idle, waiting, timeouts; several threads, forks, tasks."""

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, QueuePool, SingletonThreadPool, StaticPool

from otelc2c import guard
from otelc2c.measure.measurer import installed
from otelc2c.measure.sql import pools
from otelc2c.measure.sql.sqlalchemy import SqlalchemyInstrumentor
from otelc2c.record.points import Distribution
from tests.measure.kit import Kit
from tests.measure.sql.kit import in_task, instrumented
from tests.process.waiting import until

COUNT = "db.client.connection.count"
NAME = "db.client.connection.pool.name"
STATE = "db.client.connection.state"


@pytest.fixture(autouse=True)
def _instrumented(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pools, "_groups", {})
    with instrumented():
        yield
    gc.collect()


def queue(path: Path, name: str = "main", **more: Any) -> sa.Engine:
    options = {"poolclass": QueuePool, "pool_size": 2, "max_overflow": 1, "logging_name": name, **more}
    return sa.create_engine(f"sqlite:///{path / 'db'}", **options)


def states(kit: Kit, name: str = "main") -> dict[str, Any]:
    """Connections by their state."""
    return {
        dict(attributes)[STATE]: number
        for attributes, number in kit.points(COUNT).items()
        if dict(attributes)[NAME] == name
    }


def value(kit: Kit, metric: str, name: str = "main") -> Any:
    """One number of one pool, by the end of its metric's name."""
    return kit.points(f"db.client.connection.{metric}").get(frozenset({(NAME, name)}))


def test_connections_are_used_and_then_idle(tmp_path: Path) -> None:
    engine = queue(tmp_path)
    with Kit() as kit:
        first, second = engine.connect(), engine.connect()
        assert states(kit) == {"used": 2, "idle": 0}
        first.close()
        assert states(kit) == {"used": 1, "idle": 1}
        first = engine.connect()
        third = engine.connect()
        assert states(kit) == {"used": 3, "idle": 0}
        for connection in (first, second, third):
            connection.close()
        # There is place for two.
        assert states(kit) == {"used": 0, "idle": 2}
        assert (value(kit, "max"), value(kit, "idle.max")) == (3, 2)
        engine.dispose()
        assert states(kit) == {"used": 0, "idle": 0}
        with engine.connect():
            assert states(kit) == {"used": 1, "idle": 0}
            assert (value(kit, "max"), value(kit, "idle.max")) == (3, 2)
        engine.dispose()


def test_times_are_counted_once_each(tmp_path: Path) -> None:
    engine = queue(tmp_path)
    with Kit() as kit:
        for _ in range(3):
            with engine.connect():
                pass
        found = {name: value(kit, name) for name in ("create_time", "wait_time", "use_time", "timeouts")}
        assert found == {"create_time": 1, "wait_time": 3, "use_time": 3, "timeouts": 0}
    engine.dispose()


def test_who_waits_is_seen_and_so_is_who_waited_in_vain(tmp_path: Path) -> None:
    engine = queue(tmp_path, pool_size=1, max_overflow=0, pool_timeout=0.2)
    with Kit() as kit:
        seen = threading.Event()

        def wait() -> None:
            with pytest.raises(sa.exc.TimeoutError):
                engine.connect()
            seen.set()

        held = engine.connect()
        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: value(kit, "pending_requests") == 1, 5, "one waits")
        thread.join()
        assert seen.is_set()
        assert (value(kit, "pending_requests"), value(kit, "timeouts")) == (0, 1)
        assert value(kit, "wait_time") == 1
        held.close()
        engine.dispose()


def test_who_waits_with_success_is_timed(tmp_path: Path) -> None:
    engine = queue(tmp_path, pool_size=1, max_overflow=0)
    with Kit() as kit:
        held = engine.connect()
        threading.Timer(0.2, held.close).start()
        with engine.connect():
            pass
        (times,) = (
            point.value
            for family in kit._families()
            if family.instrument.name == "db.client.connection.wait_time"
            for point in family.points
        )
        assert isinstance(times, Distribution)
        assert times.count == 2
        assert times.sum > 0.15
        assert value(kit, "timeouts") == 0
    engine.dispose()


def test_engines_have_numbers_of_their_own(tmp_path: Path) -> None:
    one, two = queue(tmp_path, "one"), queue(tmp_path, "two")
    with Kit() as kit, one.connect(), two.connect(), two.connect():
        assert states(kit, "one")["used"] == 1
        assert states(kit, "two")["used"] == 2
    one.dispose()
    two.dispose()


def test_engines_of_one_name_add_up(tmp_path: Path) -> None:
    one, two = queue(tmp_path), queue(tmp_path)
    with Kit() as kit:
        with one.connect(), two.connect(), two.connect():
            assert states(kit) == {"used": 3, "idle": 0}
        assert states(kit) == {"used": 0, "idle": 3}
        assert value(kit, "max") == 6
    one.dispose()
    two.dispose()


@pytest.mark.parametrize(
    ("kind", "used", "after"),
    [(NullPool, 2, 0), (StaticPool, 1, 1), (SingletonThreadPool, 1, 1)],
)
def test_pools_that_do_not_count_are_counted(tmp_path: Path, kind: Any, used: int, after: int) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'db'}", poolclass=kind, logging_name="main")
    with Kit() as kit:
        with engine.connect(), engine.connect():
            assert states(kit)["used"] == used
        assert states(kit) == {"used": 0, "idle": after}
        assert value(kit, "max") is None
        engine.dispose()
        assert states(kit) == {"used": 0, "idle": 0}


def test_pools_of_tasks_are_counted(tmp_path: Path) -> None:
    async def work() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'db'}", logging_name="main")
        async with engine.connect(), engine.connect():
            assert states(kit) == {"used": 2, "idle": 0}
        assert states(kit) == {"used": 0, "idle": 2}
        await engine.dispose()
        assert states(kit) == {"used": 0, "idle": 0}

    with Kit() as kit:
        asyncio.run(in_task(work))


def test_threads_do_not_lose_count(tmp_path: Path) -> None:
    engine = queue(tmp_path, pool_size=3, max_overflow=5)
    with Kit() as kit:

        def work() -> None:
            for _ in range(50):
                with engine.connect():
                    pass

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with engine.connect():
            pass
        assert states(kit)["used"] == 0
        assert 1 <= states(kit)["idle"] <= 3
        assert value(kit, "wait_time") == value(kit, "use_time") == 401
    engine.dispose()


def test_after_a_fork_numbers_are_those_of_the_new_process(tmp_path: Path) -> None:
    """An engine that was used before the fork: its idle connections are in the child's pool, too."""
    engine = queue(tmp_path)
    with Kit():
        first, second = engine.connect(), engine.connect()
        first.close()
        second.close()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            # Other cells, all zero, as recording gives them to a child.
            with Kit() as own:
                engine.dispose(close=False)
                with engine.connect():
                    said = repr((sorted(states(own).items()), value(own, "max")))
            os.write(writing, said.encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            assert pipe.read() == repr(([("idle", 0), ("used", 1)], 3))
        os.waitpid(child, 0)
    engine.dispose()


def test_the_same_cells_begin_anew_after_a_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told before is in another process' file: it is told again."""
    engine = queue(tmp_path)
    with Kit() as kit:
        held = engine.connect()
        before = states(kit)
        monkeypatch.setattr(installed, "forks", installed.forks + 1)
        with engine.connect():
            # The cells of the test are not zero, as they would be: all is there twice.
            assert states(kit)["used"] == before["used"] + 2
        held.close()
    engine.dispose()


def test_a_connection_that_cannot_be_made_is_no_connection(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/nowhere/db", poolclass=QueuePool, logging_name="main")
    with Kit() as kit:
        with pytest.raises(sa.exc.OperationalError):
            engine.connect()
        assert states(kit) == {"used": 0, "idle": 0}
        assert value(kit, "create_time") == value(kit, "wait_time") == 0


def test_an_invalidated_connection_is_made_again(tmp_path: Path) -> None:
    engine = queue(tmp_path)
    with Kit() as kit:
        with engine.connect() as connection:
            connection.invalidate()
            connection.rollback()
            connection.execute(sa.text("SELECT 1"))
        assert states(kit) == {"used": 0, "idle": 1}
        assert value(kit, "create_time") == 2
    engine.dispose()


def test_nothing_is_counted_of_pools_without_an_engine() -> None:
    import sqlite3

    pool = QueuePool(lambda: sqlite3.connect(":memory:"))
    with Kit() as kit:
        pool.connect().close()
        assert kit.points(COUNT) == {}
    pool.dispose()


def broken(*_arguments: Any) -> Any:
    raise RuntimeError("ours")


@pytest.mark.parametrize(
    "name", ["_counted", "Counted.would_wait", "Group.tell", "Group.cells", "Counted.connections"]
)
def test_a_failure_of_ours_does_not_reach_the_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    guard.strict(False)
    owner, _, attribute = name.rpartition(".")
    target: Any = getattr(pools, owner) if owner else pools
    monkeypatch.setattr(target, attribute, broken)
    engine = queue(tmp_path)
    with Kit():
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
        engine.dispose()
        assert guard.total() > 0


def test_afterwards_pools_are_as_they_were(tmp_path: Path) -> None:
    changed: list[tuple[Any, str]] = [(QueuePool, "dispose"), (sa.pool.Pool, "connect")]

    def wrapped() -> list[bool]:
        return [hasattr(getattr(owner, name), "__wrapped__") for owner, name in changed]

    assert wrapped() == [True, True]
    SqlalchemyInstrumentor().uninstrument()
    assert wrapped() == [False, False]
    engine = queue(tmp_path)
    with Kit() as kit, engine.connect():
        assert kit.points(COUNT) == {}
    engine.dispose()
