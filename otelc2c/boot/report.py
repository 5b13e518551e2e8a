"""The start report: what is active, absent, refused, disabled, and where signals go.

The same facts are one line on standard error at each start and the table of `otelc2c doctor`.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from types import FrameType
from typing import NamedTuple

from otelc2c import guard
from otelc2c.boot import checks, instrumentors
from otelc2c.boot.installed import (
    CONFIGURATORS,
    DISTROS,
    METRICS_EXPORTERS,
    TRACES_EXPORTERS,
    Installed,
    package,
)
from otelc2c.boot.instrumentors import Instrumentor, State
from otelc2c.boot.resource import NAME, own_version, unnamed_service
from otelc2c.settings import Problem, Settings, without_user

STATES: tuple[State, ...] = ("active", "ready", "failed", "refused", "replaced", "disabled", "absent")
"""In the order in which a reader wants them."""
SHORT = frozenset({"absent", "disabled"})
"""States of which the line gives names and no reasons."""


class Destination(NamedTuple):
    """Where one signal goes by one exporter."""

    signal: str
    exporter: str
    target: str

    def __str__(self) -> str:
        return f"{self.exporter} {self.target}".strip()


class StartReport:
    """What is known of one start, gathered by those who take part in it."""

    def __init__(self, settings: Settings, installed: Installed | None = None) -> None:
        """A report on `settings` in which nothing has been loaded yet."""
        self.settings = settings
        self.installed = installed or Installed()
        self.launched = False
        """Whether the launcher chose our distribution."""
        self.finished = False
        """Whether the launcher has come to its end, so that what was not loaded never will be."""
        self.joined = False
        """Set it where a process joins a pod that is there: it has nothing new to say."""
        self.service = _service(settings)
        """The name of the service; set it where a detector found another."""
        self.notes: list[str] = []
        self._loaded: dict[str, Instrumentor] = {}
        self._problems = checks.problems(settings, self.installed)

    # -- gathering --

    def problem(self, variable: str, message: str) -> None:
        """Something that was asked for by `variable` and cannot work."""
        if variable in checks.SINGLE and any(known.variable == variable for known in self._problems):
            return
        found = Problem(variable, message)
        if found not in self._problems:
            self._problems.append(found)

    def note(self, sentence: str) -> None:
        """Something worth knowing that is nobody's mistake."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def instrumentor(self, what: Instrumentor) -> None:
        """What became of an instrumentation that was to be loaded."""
        self._loaded[what.name] = what

    # -- what was found --

    @cached_property
    def _survey(self) -> dict[str, Instrumentor]:
        return instrumentors.survey(self.settings, self.installed)

    @property
    def instrumentors(self) -> Sequence[Instrumentor]:
        """Every installed instrumentation; `ready` only where it is not our distribution that loads."""
        found = [self._loaded.get(name) or self._missed(what) for name, what in self._survey.items()]
        return instrumentors.with_overlaps(found)

    def _missed(self, what: Instrumentor) -> Instrumentor:
        if self.launched and self.finished and what.state == "ready":
            return Instrumentor(what.name, "failed", "it was not loaded")
        return what

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that was asked for and cannot work."""
        return (*self._problems, *self._wanted_in_vain(), *self._not_chosen())

    def _wanted_in_vain(self) -> Iterable[Problem]:
        wanted = {*(self.settings.instrumentations or ())}
        for what in self.instrumentors:
            if what.state == "failed":
                yield Problem(what.name, f"instrumentation failed: {what.detail}")
            elif what.state in ("refused", "absent") and wanted & {
                what.name,
                instrumentors.OURS.get(what.name),
            }:
                yield Problem("OTELC2C_INSTRUMENTATIONS", f"{what.name!r} is {what.state}: {what.detail}")

    def _not_chosen(self) -> Iterable[Problem]:
        """Others that the launcher took because nobody told it which to take."""
        if self.settings.disabled:
            return
        distro = self.installed.chosen(DISTROS, self.settings.distro)
        # Where our distribution is chosen, our configurator follows by itself.
        ours = self.launched or (distro is not None and distro.name == NAME)
        for variable, group, name in (
            ("OTEL_PYTHON_DISTRO", DISTROS, self.settings.distro or (NAME if self.launched else None)),
            (
                "OTEL_PYTHON_CONFIGURATOR",
                CONFIGURATORS,
                self.settings.configurator or (NAME if ours else None),
            ),
        ):
            chosen = self.installed.chosen(group, name)
            if name is None and chosen is not None and chosen.name != NAME:
                winner = f"{chosen.name!r} of {package(chosen)}"
                yield Problem(variable, f"{winner} is used, because it was found first; set it to {NAME}")

    @property
    def destinations(self) -> Sequence[Destination]:
        """Where signals go."""
        settings = self.settings
        found = []
        for exporter in settings.traces_exporters:
            target = without_user(settings.otlp_traces.endpoint) if exporter == "otlp" else ""
            found.append(Destination("spans", exporter, target or self._source(TRACES_EXPORTERS, exporter)))
        for exporter in settings.metrics_exporters:
            target = without_user(settings.otlp_metrics.endpoint) if exporter == "otlp" else ""
            if exporter == "prometheus":
                target = self.page()
            found.append(
                Destination("numbers", exporter, target or self._source(METRICS_EXPORTERS, exporter))
            )
        return found

    def page(self) -> str:
        """The address of the page of numbers."""
        host, port = self.settings.prometheus_host, self.settings.prometheus_port
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port or '(any free port)'}/metrics"

    def _source(self, group: str, exporter: str) -> str:
        entry = self.installed.find(group, exporter)
        return f"({package(entry)})" if entry is not None and exporter != "console" else ""

    # -- telling --

    def line(self) -> str:
        """Everything in one line, without the prefix that all our lines have."""
        if self.settings.disabled:
            return f"{own_version()} is switched off by OTEL_SDK_DISABLED"
        parts = [f"{own_version()}, service {self.service}"]
        by_state: dict[str, list[Instrumentor]] = {}
        for what in self.instrumentors:
            by_state.setdefault(what.state, []).append(what)
        for state in STATES:
            if state in by_state or state == "active":
                names = [what.name if state in SHORT else str(what) for what in by_state.get(state, [])]
                parts.append(f"{state}: {', '.join(names) or 'none'}")
        for signal in ("spans", "numbers"):
            targets = [str(found) for found in self.destinations if found.signal == signal]
            parts.append(f"{signal} to {', '.join(targets) or 'nowhere'}")
        parts += self.notes
        parts += [f"PROBLEM {problem}" for problem in self.problems]
        return "; ".join(parts)

    def announce(self) -> bool:
        """Say the line on standard error; whether it was said.

        A process that joined a pod and a start with everything switched off say nothing, nor do we
        where another distribution and configurator were asked for by name.
        Raises `SystemExit` under the rule of `refuse_if_strict`.
        """
        if self.settings.disabled or not {self.settings.distro, self.settings.configurator} & {None, NAME}:
            return False
        self.refuse_if_strict()
        if self.joined:
            return False
        return guard.say(self.line())

    def refuse_if_strict(self) -> None:
        """Raise `SystemExit` with all problems when there are some and the settings are strict.

        While the interpreter itself is being started, an exception would end in a "fatal error"
        of many lines; there the problems are said, and the process ends with code 1.
        """
        problems = self.problems
        if not self.settings.strict or self.settings.disabled or not problems:
            return
        said = [
            "does not start, because OTELC2C_STRICT is set and this cannot work:",
            *map(str, problems),
        ]
        if _interpreter_is_starting():
            for line in said:
                guard.say(line)
            os._exit(1)
        raise SystemExit(f"{NAME}: " + "\n  ".join(said))


def _interpreter_is_starting() -> bool:
    """Whether we were called by a `sitecustomize` that the module `site` imports."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__") != "site":
        frame = frame.f_back
    return frame is not None


def _service(settings: Settings) -> str:
    return settings.service_name or settings.resource_attributes.get("service.name") or unnamed_service()
