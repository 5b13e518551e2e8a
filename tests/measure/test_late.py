"""Instrumentations that wait for the import of what they change."""

import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelc2c import guard
from otelc2c.measure.late import LateInstrumentor

NAME = "otelc2c_test_of_late"


class Library(LateInstrumentor):
    """Changes a module of these tests."""

    modules = (NAME,)
    where = "measure.test"

    def change(self, module: Any) -> None:
        """Have `speak` say it twice."""
        self._patches.replace(module, "speak", lambda original: lambda: original() * 2)


class Other(Library):
    """Another one, with patches of its own."""


@pytest.fixture
def instrumentor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """The instrumentation of a library that can be imported, and is not yet."""
    (tmp_path / f"{NAME}.py").write_text("def speak():\n    return 'a'\n")
    monkeypatch.syspath_prepend(tmp_path)
    made = Library()
    monkeypatch.setattr(made, "_waiting", False)
    yield made
    made._uninstrument()
    sys.modules.pop(NAME, None)


def test_what_is_not_imported_is_changed_when_it_is(instrumentor: Library) -> None:
    instrumentor._instrument()
    assert NAME not in sys.modules
    module = importlib.import_module(NAME)
    assert module.speak() == "aa"
    instrumentor._uninstrument()
    assert module.speak() == "a"
    instrumentor._instrument()
    assert module.speak() == "aa"


def test_what_is_imported_after_the_end_stays_as_it_is(instrumentor: Library) -> None:
    instrumentor._instrument()
    instrumentor._uninstrument()
    assert importlib.import_module(NAME).speak() == "a"


def test_a_library_of_another_shape_is_counted_and_left_alone(
    instrumentor: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.strict(False)
    monkeypatch.setattr(guard, "say", lambda _text: True)
    monkeypatch.setitem(sys.modules, NAME, types.ModuleType(NAME))
    instrumentor._instrument()
    assert guard.counts() == {"measure.test": 1}


def test_each_instrumentation_has_its_own_patches() -> None:
    assert Library._patches is not Other._patches
