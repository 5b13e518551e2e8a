"""What was asked for: every option, once.

`Settings.from_environ(environ)` reads a mapping and never raises: what cannot be used is named
in `problems`, and that part keeps its default. Durations are in seconds, whatever the unit of
the variable. `OTEL_*` variables keep the meaning of OpenTelemetry's specification; where nothing
is set, numbers are shown on the Prometheus port and nothing is sent to an address nobody named.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from otelc2c.settings import otlp
from otelc2c.settings.measured import MeasureOptions
from otelc2c.settings.metrics import MetricOptions
from otelc2c.settings.option import Reading, Row, options, plain, read, shown
from otelc2c.settings.otlp import Otlp
from otelc2c.settings.pod import PodOptions
from otelc2c.settings.process import ProcessOptions
from otelc2c.settings.traces import RATIO_SAMPLERS, TraceOptions
from otelc2c.settings.values import Problem

OWN_PREFIX: Final = "OTELC2C_"


@dataclass(frozen=True, repr=False)
class Settings(MeasureOptions, ProcessOptions, MetricOptions, TraceOptions, PodOptions):
    """Everything that was asked for. Make it with `Settings.from_environ`."""

    problems: tuple[Problem, ...] = field(default=())
    """What cannot be taken as it is, in the order of the options; unknown variables of ours come last."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """The variable that gave a field its value; fields of a signal are called `otlp_traces.endpoint`."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Settings from a mapping such as the process' environment. Never raises."""
        reading = read(_OPTIONS, environ)
        _settle(reading, environ)
        values = {name: value for name, value in reading.values.items() if "." not in name}
        for name in ("otlp_traces", "otlp_metrics"):
            values[name] = Otlp(**_inner(reading, name))
        return cls(**values, problems=tuple(reading.problems), sources=reading.sources)

    @property
    def sampling_ratio(self) -> float:
        """The share of traces that a ratio sampler records, 1.0 where none was given."""
        ratio = _ratio(self.traces_sampler_arg)
        return 1.0 if ratio is None else ratio

    def value(self, name: str) -> Any:
        """The value of a field by its name in `sources`."""
        outer, _, inner = name.partition(".")
        found = getattr(self, outer)
        return getattr(found, inner) if inner else found

    def variable(self, name: str) -> str:
        """The variable that gave a field its value, or else the first that could."""
        return self.sources.get(name) or _OPTIONS[name].names[0]

    def shown(self) -> dict[str, str]:
        """Every field as it may be printed: secrets are masked."""
        return {name: shown(entry, self.value(name)) for name, entry in _OPTIONS.items()}

    def __repr__(self) -> str:
        texts = self.shown()
        return "Settings(" + ", ".join(f"{name}={texts[name]}" for name in self.sources) + ")"


_OPTIONS: Final = options(Settings)


def reference() -> list[Row]:
    """Rows of the reference of all variables; options of both signals appear as a row each."""
    defaults = Settings()
    return [
        Row(
            entry.names,
            entry.syntax.words,
            entry.unset or plain(defaults.value(name) if defaults.value(name) is not None else ""),
            entry.says,
            entry.secret,
        )
        for name, entry in _OPTIONS.items()
    ]


def variables() -> frozenset[str]:
    """Every variable that is read."""
    return frozenset(name for entry in _OPTIONS.values() for name in entry.names)


def _inner(reading: Reading, outer: str) -> dict[str, Any]:
    head = outer + "."
    return {name[len(head) :]: value for name, value in reading.values.items() if name.startswith(head)}


def _ratio(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else 1.0
    except ValueError:
        return None
    return value if 0.0 <= value <= 1.0 else None


def _settle(reading: Reading, environ: Mapping[str, str]) -> None:
    """Defaults and checks that depend on more than one variable."""
    values, sources, problems = reading
    for name, path in (("otlp_traces", "/v1/traces"), ("otlp_metrics", "/v1/metrics")):
        otlp.settle(name, path, reading)
    if "traces_exporters" not in sources and "otlp_traces.endpoint" in sources:
        values["traces_exporters"] = ("otlp",)
    if "metrics_exporters" not in sources and "otlp_metrics.endpoint" in sources:
        values["metrics_exporters"] = ("prometheus", "otlp")
    if "prometheus_host" not in sources and sources.get("prometheus_port") == "C2C_PROMETHEUS_PORT":
        values["prometheus_host"] = "0.0.0.0"  # noqa: S104 - as c2cwsgiutils does with its variable
    queue = values.get("bsp_max_queue_size", 2048)
    if values.get("bsp_max_export_batch_size", 512) > queue:
        if "bsp_max_export_batch_size" in sources:
            message = f"is above OTEL_BSP_MAX_QUEUE_SIZE; {queue} is used"
            problems.append(Problem("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", message))
        values["bsp_max_export_batch_size"] = queue
    argument = values.get("traces_sampler_arg")
    if values.get("traces_sampler") in RATIO_SAMPLERS and _ratio(argument) is None:
        problems.append(
            Problem("OTEL_TRACES_SAMPLER_ARG", f"must be from 0 to 1, not {argument!r}; 1.0 is used")
        )
    problems.extend(_unknown(environ))


def _unknown(environ: Mapping[str, str]) -> list[Problem]:
    known = {name.removeprefix(OWN_PREFIX) for name in variables() if name.startswith(OWN_PREFIX)}
    found = []
    for variable in sorted(environ):
        name = variable.removeprefix(OWN_PREFIX)
        if variable.startswith(OWN_PREFIX) and name not in known and environ[variable].strip():
            near = difflib.get_close_matches(name, sorted(known), 1)
            hint = f"; is it {OWN_PREFIX}{near[0]}?" if near else ""
            found.append(Problem(variable, f"is not a variable of otelc2c{hint}"))
    return found
