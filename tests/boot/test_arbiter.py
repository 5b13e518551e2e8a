"""gunicorn's master is known, and looks after the relay with its workers."""

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from otelc2c.boot import arbiter


class Arbiter:
    """A master of which only its beginning and the look at its workers count."""

    def __init__(self, app: str = "") -> None:
        self.loaded = (app, arbiter.is_master())

    def murder_workers(self) -> str:
        return "as before"


@pytest.fixture(autouse=True)
def no_master(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a process that has nothing to do with gunicorn."""
    monkeypatch.setattr(arbiter._Master, "pid", 0)


def module() -> ModuleType:
    made = ModuleType(arbiter.MODULE)
    made.Arbiter = type("Arbiter", (Arbiter,), {})  # type: ignore[attr-defined]
    return made


def test_the_relay_is_looked_after_with_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = module()
    monkeypatch.setitem(sys.modules, arbiter.MODULE, loaded)
    looks: list[int] = []
    arbiter.watch(lambda: looks.append(1))
    assert loaded.Arbiter().murder_workers() == "as before"
    assert looks == [1]


def test_a_server_that_is_loaded_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, arbiter.MODULE, raising=False)
    hooks = SimpleNamespace(found=[])
    monkeypatch.setattr(arbiter.wrapt, "register_post_import_hook", lambda *hook: hooks.found.append(hook))
    looks: list[int] = []
    arbiter.watch(lambda: looks.append(1))
    ((change, name),) = hooks.found
    assert (name, looks) == (arbiter.MODULE, [])
    loaded = module()
    change(loaded)
    loaded.Arbiter().murder_workers()
    assert looks == [1]


def test_the_master_is_known_before_it_loads_an_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its children are known not to be it; a process without a gunicorn is neither."""
    loaded = module()
    monkeypatch.setitem(sys.modules, arbiter.MODULE, loaded)
    arbiter.watch(lambda: None)
    assert not arbiter.is_master()
    assert not arbiter.is_below_master()
    assert loaded.Arbiter("shop").loaded == ("shop", True)
    assert not arbiter.is_below_master()
    monkeypatch.setattr(arbiter._Master, "pid", os.getppid())
    assert not arbiter.is_master()
    assert arbiter.is_below_master()
