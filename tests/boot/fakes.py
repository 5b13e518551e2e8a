"""Entry points and instrumentations that need no installed package."""

from collections.abc import Collection
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

from opentelemetry.instrumentation.dependencies import DependencyConflict, DependencyConflictError
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

HERE = "tests.boot.fakes"


class FakeDistribution:
    """A package by its name and what its instrumentation needs."""

    def __init__(self, name: str, *needs: str) -> None:
        self.name = name
        self.requires = [f'{need}; extra == "instruments"' for need in needs]


def entry_point(
    group: str, name: str, value: str = "Good", *needs: str, package: str = "fakes"
) -> EntryPoint:
    """An entry point of a package that needs these versions; `value` is a name in this file."""
    made = EntryPoint(name, value if ":" in value else f"{HERE}:{value}", group)
    vars(made).update(dist=FakeDistribution(package, *needs))
    return made


class Good(BaseInstrumentor):  # type: ignore[misc]
    """Works, and counts how often it was switched on."""

    switched_on: ClassVar[int] = 0

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing."""
        return []

    def instrument(self, **kwargs: Any) -> None:
        """Only counts."""
        type(self).switched_on += 1

    def _uninstrument(self, **kwargs: Any) -> None:
        raise NotImplementedError


class AtWork(Good):
    """Was switched on by somebody else."""

    _instance = None
    _is_instrumented_by_opentelemetry = True


class Raising(Good):
    """Fails when it is switched on."""

    _instance = None

    def instrument(self, **kwargs: Any) -> None:
        """Fails."""
        raise RuntimeError("cannot be patched")


class Conflicting(Good):
    """Finds by itself that the library is too new."""

    _instance = None

    def instrument(self, **kwargs: Any) -> None:
        """Refuses."""
        raise DependencyConflictError(DependencyConflict("lib<2", "lib 2.1"))


class NeedsMissing(Good):
    """Says itself that it needs a library that nobody has."""

    _instance = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """A library that is not installed."""
        return ["no-such-library >= 1"]


class NeedsOlder(Good):
    """Says itself that it needs a version that nobody has."""

    _instance = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Far too old."""
        return ["opentelemetry-api < 0.1"]
