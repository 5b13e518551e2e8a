"""gunicorn's master looks after the relay with its workers."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from otelc2c.boot import arbiter


class Arbiter:
    """A master of which only the look at its workers counts."""

    def murder_workers(self) -> str:
        return "as before"


def module() -> ModuleType:
    made = ModuleType(arbiter.MODULE)
    made.Arbiter = type("Arbiter", (Arbiter,), {"murder_workers": Arbiter.murder_workers})  # type: ignore[attr-defined]
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
