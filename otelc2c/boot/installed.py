"""What is installed: entry points by group, read once."""

from collections.abc import Iterable
from functools import cached_property
from importlib.metadata import EntryPoint
from typing import Final

# The launcher's own list, read once a process: asking importlib.metadata again for each group
# takes several milliseconds of every start.
from opentelemetry.util._importlib_metadata import entry_points

DISTROS: Final = "opentelemetry_distro"
CONFIGURATORS: Final = "opentelemetry_configurator"
INSTRUMENTORS: Final = "opentelemetry_instrumentor"
TRACES_EXPORTERS: Final = "opentelemetry_traces_exporter"
METRICS_EXPORTERS: Final = "opentelemetry_metrics_exporter"
PROPAGATORS: Final = "opentelemetry_propagator"
SAMPLERS: Final = "opentelemetry_traces_sampler"
ID_GENERATORS: Final = "opentelemetry_id_generator"
RESOURCE_DETECTORS: Final = "opentelemetry_resource_detector"


class Installed:
    """Entry points of all installed packages, in the order in which the launcher finds them."""

    def __init__(self, entries: Iterable[EntryPoint] | None = None) -> None:
        """Of this environment, or `entries` alone."""
        self._given = entries

    @cached_property
    def _groups(self) -> dict[str, list[EntryPoint]]:
        groups: dict[str, list[EntryPoint]] = {}
        for entry in entry_points() if self._given is None else self._given:
            groups.setdefault(entry.group, []).append(entry)
        return groups

    def group(self, group: str) -> list[EntryPoint]:
        """The entry points of `group`."""
        return self._groups.get(group, [])

    def find(self, group: str, name: str) -> EntryPoint | None:
        """The first entry point of that name, or `None`."""
        return next((entry for entry in self.group(group) if entry.name == name), None)

    def chosen(self, group: str, name: str | None) -> EntryPoint | None:
        """The one that the launcher takes of a group where one is enough: that `name`, or the first."""
        return self.find(group, name) if name else next(iter(self.group(group)), None)


def package(entry: EntryPoint) -> str:
    """The name of the package that `entry` comes from."""
    return entry.dist.name if entry.dist is not None else entry.module.partition(".")[0]
