"""What a master knows of its workers: counted by the reason of their end."""

import signal
import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from otelc2c import catalog
from otelc2c.catalog import Metric
from otelc2c.measure.gunicorn_master import (
    BOOT_ERROR,
    ERROR,
    EXIT,
    MEMORY,
    RECYCLED,
    RELOAD,
    SIGNAL,
    STOP,
    SURPLUS,
    TIMEOUT,
    UNKNOWN,
    Ended,
    Master,
    at_once,
    why,
)
from otelc2c.record import layout
from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.points import Distribution


def exited(code: int) -> int:
    return code << 8


class Kills:
    """A kernel that has killed so many."""

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def look(self) -> None:
        """Nothing is forgotten."""

    def took_one(self) -> bool:
        self.count -= 1
        return self.count >= 0


SyncWorker = type("SyncWorker", (), {})
ThreadWorker = type("ThreadWorker", (), {})
GeventWorker = type("GeventWorker", (), {})


def config(worker: type = SyncWorker, **options: Any) -> Any:
    told = {"threads": 1, "worker_connections": 1000, "max_requests": 0, "reload": False, **options}
    return SimpleNamespace(worker_class=type("Own", (worker,), {}), **told)


class Told:
    """A master, and what it counted."""

    def __init__(self, kills: int = 0) -> None:
        self.store = Store.open_private()
        self.kills = Kills(kills)
        self.master = Master(self.store, memory_kills=lambda: self.kills)  # type: ignore[arg-type,return-value]
        self.master.begin()
        self.arbiter = SimpleNamespace(num_workers=2, cfg=config(), LISTENERS=[], WORKERS={})

    def spawn(self, *pids: int) -> None:
        for pid in pids:
            self.master.spawning()
            self.master.spawned(pid)
            self.arbiter.WORKERS[pid] = object()

    def values(self, metric: Metric) -> dict[tuple[Any, ...], Any]:
        return {
            tuple(point.attributes.values()): point.value
            for family in families_of(self.store)
            if family.instrument.name == metric.name
            for point in family.points
        }

    def reasons(self) -> dict[tuple[Any, ...], Any]:
        return self.values(catalog.GUNICORN_WORKER_EXITED)


@pytest.mark.parametrize(
    ("status", "asked", "killed", "expected"),
    [
        (exited(0), None, False, Ended(RECYCLED)),
        (exited(1), None, False, Ended(ERROR)),
        (exited(255), None, False, Ended(ERROR)),
        (exited(3), None, False, Ended(BOOT_ERROR)),
        (exited(4), None, False, Ended(BOOT_ERROR)),
        (exited(1), TIMEOUT, False, Ended(TIMEOUT)),
        (signal.SIGABRT, TIMEOUT, False, Ended(TIMEOUT)),
        (signal.SIGKILL, TIMEOUT, True, Ended(TIMEOUT)),
        (exited(0), RELOAD, False, Ended(RELOAD)),
        (signal.SIGTERM, RELOAD, False, Ended(RELOAD)),
        (signal.SIGKILL, RELOAD, False, Ended(SIGNAL, "SIGKILL")),
        (signal.SIGKILL, RELOAD, True, Ended(MEMORY)),
        (exited(0), SURPLUS, False, Ended(SURPLUS)),
        (exited(0), STOP, False, Ended(STOP)),
        (signal.SIGKILL, STOP, True, Ended(STOP)),
        (signal.SIGSEGV, STOP, False, Ended(SIGNAL, "SIGSEGV")),
        (signal.SIGSEGV | 0x80, None, False, Ended(SIGNAL, "SIGSEGV")),
        (signal.SIGKILL, None, False, Ended(SIGNAL, "SIGKILL")),
        (signal.SIGKILL, None, True, Ended(MEMORY)),
        (signal.SIGTERM, None, True, Ended(SIGNAL, "SIGTERM")),
        (40, None, False, Ended(SIGNAL, "signal 40")),
    ],
)
def test_the_reason_follows_from_the_status_and_what_was_asked(
    status: int, asked: str | None, killed: bool, expected: Ended
) -> None:
    assert why(status, asked, RECYCLED, lambda: killed) == expected


def test_spawned_and_exited_are_counted_with_their_age() -> None:
    told = Told()
    told.spawn(1, 2, 3)
    told.master.ended(2, signal.SIGKILL, EXIT)
    told.master.ended(3, exited(0), EXIT)
    assert told.values(catalog.GUNICORN_WORKER_SPAWNED) == {(): 3}
    assert told.reasons() == {(SIGNAL, "SIGKILL"): 1, (EXIT,): 1}
    lifetimes = told.values(catalog.GUNICORN_WORKER_LIFETIME)
    assert {key: value.count for key, value in lifetimes.items()} == {(SIGNAL,): 1, (EXIT,): 1}
    assert all(isinstance(one, Distribution) and 0 <= one.sum < 5 for one in lifetimes.values())


def test_who_is_told_to_end_ends_for_the_first_reason_unless_it_hangs() -> None:
    told = Told()
    told.spawn(1, 2, 3, 4, 5)
    master = told.master
    assert master.doing(RELOAD) is None
    master.asks(1, signal.SIGTERM, silent=False)
    master.asks(2, signal.SIGTERM, silent=False)
    assert master.doing(None) == RELOAD
    master.asks(1, signal.SIGTERM, silent=False)  # again, at the next look
    master.asks(2, signal.SIGABRT, silent=True)
    master.asks(3, signal.SIGTERM, silent=False)
    master.asks(4, signal.SIGUSR1, silent=False)
    master.doing(STOP)
    master.asks(5, signal.SIGQUIT, silent=False)
    master.asks(99, signal.SIGTERM, silent=False)
    for pid in (1, 2, 3, 4, 5):
        master.ended(pid, exited(0), EXIT)
    assert told.reasons() == {(RELOAD,): 1, (TIMEOUT,): 1, (SURPLUS,): 1, (EXIT,): 1, (STOP,): 1}


def test_a_kill_by_the_kernel_is_told_from_one_by_hand() -> None:
    told = Told(kills=1)
    told.spawn(1, 2)
    told.master.ended(1, signal.SIGKILL, EXIT)
    told.master.ended(2, signal.SIGKILL, EXIT)
    assert told.reasons() == {(MEMORY,): 1, (SIGNAL, "SIGKILL"): 1}


def test_other_children_are_not_workers() -> None:
    told = Told()
    told.spawn(1)
    told.master.ended(77, exited(1), EXIT)
    told.spawn(77)
    assert told.reasons() == {}


def test_a_worker_that_ends_before_the_master_knows_its_id_is_counted() -> None:
    """gunicorn 23 waits for children in a signal's handler, which may run just then."""
    told = Told()
    told.master.spawning()
    told.master.ended(8, exited(0), EXIT)
    told.master.ended(9, exited(3), EXIT)
    told.master.spawned(9)
    told.spawn(8)
    assert told.values(catalog.GUNICORN_WORKER_SPAWNED) == {(): 2}
    assert told.reasons() == {(BOOT_ERROR,): 1}


def test_a_worker_that_somebody_else_waited_for_ended_for_an_unknown_reason() -> None:
    told = Told()
    told.spawn(1, 2)
    del told.arbiter.WORKERS[1]
    told.master.look(told.arbiter)
    told.master.look(told.arbiter)
    assert told.reasons() == {(UNKNOWN,): 1}


def test_the_levels_follow_the_master() -> None:
    told = Told()
    for workers, kind, threads, limit in (
        (2, SyncWorker, 1, 2),
        (3, ThreadWorker, 4, 12),
        (1, GeventWorker, 1, 1000),
        (0, SyncWorker, 1, 0),
    ):
        told.arbiter.num_workers = workers
        told.arbiter.cfg = config(kind, threads=threads)
        told.master.look(told.arbiter)
        assert told.values(catalog.GUNICORN_WORKERS_CONFIGURED) == {(): workers}
        assert told.values(catalog.GUNICORN_REQUEST_LIMIT) == {(): limit}


def test_a_look_within_a_look_changes_nothing() -> None:
    """A signal's handler may look while the same is being done."""
    told = Told()

    class Reentrant(SimpleNamespace):
        @property
        def cfg(self) -> Any:
            told.master.look(told.arbiter)
            return config()

    told.arbiter = Reentrant(num_workers=2, LISTENERS=[], WORKERS={})
    told.master.look(told.arbiter)
    assert told.values(catalog.GUNICORN_WORKERS_CONFIGURED) == {(): 2}


def test_an_end_that_is_heard_of_while_another_is_counted_waits_for_its_turn() -> None:
    """gunicorn 23 hears of its children in a handler, which comes in the middle of anything."""
    told = Told()
    told.spawn(1, 2)
    seen: list[dict[tuple[Any, ...], Any]] = []

    def interrupted() -> bool:
        told.master.ended(2, exited(1), EXIT)
        seen.append(told.reasons())
        return False

    told.kills.took_one = interrupted  # type: ignore[method-assign]
    told.master.ended(1, signal.SIGKILL, EXIT)
    assert seen == [{}]
    assert told.reasons() == {(SIGNAL, "SIGKILL"): 1, (ERROR,): 1}


def test_an_end_that_is_heard_of_during_a_look_is_counted_once_and_for_its_reason() -> None:
    told = Told()
    told.spawn(1)

    def interrupted() -> None:
        told.master.ended(1, exited(1), EXIT)
        del told.arbiter.WORKERS[1]
        assert told.reasons() == {}

    told.kills.look = interrupted  # type: ignore[method-assign]
    told.master.look(told.arbiter)
    assert told.reasons() == {(ERROR,): 1}


def test_a_server_without_a_master_shows_nothing() -> None:
    store = Store.open_private()
    Master(store)
    assert families_of(store) == []


def test_roles_are_told_to_the_relay_before_the_worker_is_seen() -> None:
    told = Told()
    assert told.store._role == layout.ROLE_SERVER
    told.master.spawning()
    assert told.store.role_of_forks == layout.ROLE_WORKER
    told.master.spawned(1)
    assert told.store.role_of_forks == layout.ROLE_UNKNOWN


def test_a_second_master_in_one_process_goes_on() -> None:
    told = Told()
    told.master.look(told.arbiter)
    told.master.begin()
    told.master.look(told.arbiter)
    assert told.values(catalog.GUNICORN_WORKERS_CONFIGURED) == {(): 2}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_backlogs_are_told_by_address_and_are_none_where_nobody_listens_any_more() -> None:
    told = Told()
    with socket.create_server(("127.0.0.1", 0), backlog=7) as listener:
        address, port = listener.getsockname()
        told.arbiter.LISTENERS = [SimpleNamespace(sock=listener), SimpleNamespace(sock=None)]
        with socket.create_connection((address, port)):
            told.master.look(told.arbiter)
        assert told.values(catalog.GUNICORN_BACKLOG) == {(address, port): 1}
        assert told.values(catalog.GUNICORN_BACKLOG_LIMIT) == {(address, port): 7}
    told.arbiter.LISTENERS = []
    told.master.look(told.arbiter)
    assert told.values(catalog.GUNICORN_BACKLOG) == {(address, port): 0}


def test_gunicorns_own_classes_are_known_by_their_names() -> None:
    from gunicorn.workers import gthread, sync

    assert at_once(config(sync.SyncWorker)) == 1
    assert at_once(config(gthread.ThreadWorker, threads=8)) == 8
