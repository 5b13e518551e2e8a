"""gunicorn's master is watched without a configuration file, and does what it does without us."""

import os
import signal
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from otelc2c import guard
from otelc2c.measure import gunicorn as subject
from otelc2c.measure.gunicorn import Hooks, unasked
from otelc2c.measure.gunicorn_master import EXIT, RECYCLED, RELOAD, STOP, Master
from otelc2c.record.cells import Store


class Heard(Master):
    """A master that writes down what it is told."""

    def __init__(self) -> None:
        super().__init__(Store.open_private())
        self.heard: list[tuple[Any, ...]] = []

    def begin(self) -> None:
        self.heard.append(("begin",))

    def spawning(self) -> None:
        self.heard.append(("spawning",))

    def spawned(self, pid: int) -> None:
        self.heard.append(("spawned", pid))

    def asks(self, pid: int, number: int, *, silent: bool) -> None:
        self.heard.append(("asks", pid, number, silent))

    def ended(self, pid: int, status: int, unasked: str) -> None:
        self.heard.append(("ended", pid, status, unasked))

    def look(self, arbiter: Any) -> None:
        self.heard.append(("look",))

    def doing(self, what: str | None) -> str | None:
        self.heard.append(("doing", what))
        return None


class Broken(Heard):
    """A master of ours that always fails."""

    def fail(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("ours")

    begin = spawning = spawned = asks = ended = look = fail


def module() -> ModuleType:
    """As much of gunicorn's module as is changed."""
    made = ModuleType(subject.MODULE)

    class Arbiter:
        def __init__(self, app: str) -> None:
            self.app = app
            self.cfg = SimpleNamespace(max_requests=0, reload=False)
            self.WORKERS = {7: SimpleNamespace(aborted=False), 8: SimpleNamespace(aborted=True)}

        def spawn_worker(self) -> int:
            return 9

        def kill_worker(self, pid: int, sig: int) -> str:
            return f"killed {pid} {sig}"

        def murder_workers(self) -> str:
            return "murdered"

        def reap_workers(self, child: int) -> tuple[int, int]:
            # gunicorn asks for any child; here there are some of other tests.
            return made.os.waitpid(child, os.WNOHANG)  # type: ignore[no-any-return]

        def reload(self) -> str:
            return self.kill_worker(7, 15)

        def stop(self, graceful: bool = True) -> str:
            if not graceful:
                raise ZeroDivisionError
            return "stopped"

    made.Arbiter = Arbiter  # type: ignore[attr-defined]
    made.os = os  # type: ignore[attr-defined]
    return made


def changed(master: Master) -> Any:
    loaded = module()
    Hooks(master).change(loaded)
    return loaded


def test_the_master_is_told_and_nothing_that_gunicorn_does_is_changed() -> None:
    heard = Heard()
    arbiter = changed(heard).Arbiter("shop")
    assert arbiter.app == "shop"
    assert arbiter.spawn_worker() == 9
    assert arbiter.kill_worker(7, 15) == "killed 7 15"
    assert arbiter.kill_worker(8, 9) == "killed 8 9"
    assert arbiter.kill_worker(99, 15) == "killed 99 15"
    assert arbiter.murder_workers() == "murdered"
    assert arbiter.reload() == "killed 7 15"
    assert arbiter.stop() == "stopped"
    with pytest.raises(ZeroDivisionError):
        arbiter.stop(False)
    assert heard.heard == [
        ("begin",),
        ("look",),
        ("spawning",),
        ("spawned", 9),
        ("asks", 7, 15, False),
        ("asks", 8, 9, True),
        ("asks", 99, 15, False),
        ("look",),
        ("doing", RELOAD),
        ("asks", 7, 15, False),
        ("doing", None),
        ("doing", STOP),
        ("doing", None),
        ("doing", STOP),
        ("doing", None),
    ]


def test_how_children_ended_is_told_as_gunicorn_hears_it() -> None:
    heard = Heard()
    loaded = changed(heard)
    arbiter = loaded.Arbiter("shop")
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGKILL)
    found = (0, 0)
    while not found[0]:
        found = arbiter.reap_workers(child)
    assert found == (child, signal.SIGKILL)
    assert heard.heard[1:] == [("ended", child, signal.SIGKILL, EXIT)]
    with pytest.raises(ChildProcessError):
        arbiter.reap_workers(child)


def test_only_gunicorns_module_sees_another_os(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.waitpid
    loaded = changed(Heard())
    assert os.waitpid is real
    assert loaded.os.getpid() == os.getpid()
    assert isinstance(loaded.os, ModuleType)
    monkeypatch.setattr(os, "getppid", lambda: -1)
    assert loaded.os.getppid() == -1


def test_a_failure_of_ours_changes_nothing() -> None:
    guard.strict(False)
    loaded = changed(Broken())
    arbiter = loaded.Arbiter("shop")
    assert arbiter.spawn_worker() == 9
    assert arbiter.kill_worker(7, 15) == "killed 7 15"
    assert arbiter.murder_workers() == "murdered"
    assert guard.counts() == {"measure.gunicorn": 5}


def test_a_gunicorn_that_lacks_a_method_is_watched_as_far_as_it_goes() -> None:
    guard.strict(False)
    loaded: Any = module()
    del loaded.Arbiter.reload
    heard = Heard()
    Hooks(heard).change(loaded)
    assert loaded.Arbiter("shop").spawn_worker() == 9
    assert ("spawned", 9) in heard.heard
    assert guard.total() == 1


def test_a_worker_does_not_come_back_and_is_not_told_of_as_spawned() -> None:
    heard = Heard()
    loaded = module()

    def ends(_: Any) -> None:
        raise SystemExit(0)

    loaded.Arbiter.spawn_worker = ends
    Hooks(heard).change(loaded)
    with pytest.raises(SystemExit):
        loaded.Arbiter("shop").spawn_worker()
    assert heard.heard == [("begin",), ("look",), ("spawning",)]


def test_the_class_is_changed_when_it_is_loaded_or_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    hooks: list[tuple[Callable[[Any], None], str]] = []
    monkeypatch.setattr(
        "otelc2c.measure.gunicorn.wrapt.register_post_import_hook", lambda *hook: hooks.append(hook)
    )
    monkeypatch.delitem(sys.modules, subject.MODULE, raising=False)
    Hooks(heard).install()
    ((change, name),) = hooks
    assert name == subject.MODULE
    later: Any = module()
    change(later)
    later.Arbiter("shop")
    now: Any = module()
    monkeypatch.setitem(sys.modules, subject.MODULE, now)
    Hooks(heard).install()
    now.Arbiter("shop")
    assert heard.heard == [("begin",), ("begin",)]


@pytest.mark.parametrize(
    ("most", "reload", "expected"), [(0, False, EXIT), (100, True, RECYCLED), (0, True, RELOAD)]
)
def test_what_an_end_in_good_order_means_depends_on_the_settings(
    most: int, reload: bool, expected: str
) -> None:
    assert unasked(SimpleNamespace(max_requests=most, reload=reload)) == expected


def test_the_installed_gunicorn_has_all_that_is_changed() -> None:
    """Strictly: a method that is not there would raise."""
    import gunicorn.arbiter

    loaded: Any = ModuleType(subject.MODULE)
    loaded.os = os
    loaded.Arbiter = type("Arbiter", (), dict(vars(gunicorn.arbiter.Arbiter)))
    Hooks(Heard()).change(loaded)
    assert loaded.Arbiter.spawn_worker is not gunicorn.arbiter.Arbiter.spawn_worker
