"""The distribution: what `opentelemetry-instrument` finds first, and asks to load instrumentations.

The launcher asks, in this order: the distribution to configure itself, the configurator to make
the providers, the distribution to load each instrumentation, and at last `finish`.
"""

import os
from collections.abc import MutableMapping
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

from opentelemetry.instrumentation.dependencies import DependencyConflictError
from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]

from otelc2c import guard
from otelc2c.boot.installed import CONFIGURATORS, INSTRUMENTORS, Installed
from otelc2c.boot.instrumentors import (
    OURS,
    Instrumentor,
    at_work,
    by_choice,
    by_version,
    dependencies_of,
    missing,
)
from otelc2c.boot.report import StartReport
from otelc2c.boot.resource import NAME
from otelc2c.settings import Settings


class Distro(BaseDistro):  # type: ignore[misc]
    """One object a process, however often it is made: the configurator gets its report from here."""

    environ: ClassVar[MutableMapping[str, str]] = os.environ
    report: StartReport

    def __init__(self) -> None:
        """Read the settings, the first time."""
        if not hasattr(self, "report"):
            self.report = StartReport(Settings.from_environ(self.environ), Installed())

    @property
    def settings(self) -> Settings:
        """What was asked for, as it was when the process began."""
        return self.report.settings

    def _configure(self, **_: Any) -> None:
        """Make sure that our configurator follows, where several are installed and none was named.

        The launcher reads the variable after this, and has no other way to be told.
        """
        self.report.launched = True
        several = len(self.report.installed.group(CONFIGURATORS)) > 1
        if several and not self.settings.configurator:
            self.environ["OTEL_PYTHON_CONFIGURATOR"] = NAME

    def load_instrumentor(self, entry_point: EntryPoint, **kwargs: Any) -> None:
        """Load and switch on one instrumentation, unless the settings say otherwise.

        Nothing is raised: an instrumentation that fails is reported and the next one is loaded.
        """
        self.report.instrumentor(self._load(entry_point, kwargs))

    def _load(self, entry_point: EntryPoint, arguments: dict[str, Any]) -> Instrumentor:
        name = entry_point.name
        names = frozenset(entry.name for entry in self.report.installed.group(INSTRUMENTORS)) | {name}
        kept = by_choice(name, self.settings, names)
        if kept is not None:
            return kept
        try:
            instrumentor = entry_point.load()()
            # The launcher has compared versions with what the package of an instrumentation says,
            # but our package says nothing: each of our instrumentations is asked by itself.
            refused = by_version(name, dependencies_of(instrumentor)) if name in OURS else None
            if refused is not None:
                return refused
            instrumentor.instrument(**arguments)
        except DependencyConflictError as error:
            return by_version(name, error.conflict) or Instrumentor(name, "failed", str(error))
        except ModuleNotFoundError as error:
            return missing(name, error)
        except Exception as error:
            return Instrumentor(name, "failed", f"{type(error).__name__}: {error}")
        return Instrumentor(name, "active")


def finish() -> None:
    """Say once what was started; called by the launcher after everything else.

    Ends the process when something that was asked for cannot work and the settings are strict.
    """
    with guard.guard("boot.report"):
        report = Distro().report
        report.finished = True
        if not report.launched:
            for what in report.instrumentors:
                entry = report.installed.find(INSTRUMENTORS, what.name)
                if what.state in ("ready", "replaced") and entry is not None:
                    report.instrumentor(at_work(entry))
        report.announce()
