"""What was asked for and cannot work, as far as it can be known without connecting to anything."""

import os
from collections.abc import Iterator

from otelc2c.boot import installed as groups
from otelc2c.boot.installed import Installed
from otelc2c.settings import SAMPLERS, Otlp, Problem, Settings

OUR_SPAN_EXPORTERS = frozenset({"otlp", "console"})
OUR_METRIC_EXPORTERS = frozenset({"otlp", "console", "prometheus"})
SINGLE = frozenset({"OTEL_TRACES_SAMPLER", "OTEL_PYTHON_ID_GENERATOR"})
"""Variables with one name: where it is not installed, nobody need say so again."""
OTLP_FILES = ("certificate", "client_key", "client_certificate")


def problems(settings: Settings, installed: Installed) -> list[Problem]:
    """Problems of the settings themselves, then of what they name and is not there."""
    if settings.disabled:
        return []
    return [
        *settings.problems,
        *_config_file(settings),
        *_logs(settings),
        *_entry_points(settings, installed),
        *_otlp(settings, installed),
        *_allow_list(settings, installed),
    ]


def _config_file(settings: Settings) -> Iterator[Problem]:
    if settings.config_file:
        yield Problem(
            "OTEL_CONFIG_FILE",
            "otelc2c does not read the file; what OTEL_* and OTELC2C_* variables say is used",
        )


def _logs(settings: Settings) -> Iterator[Problem]:
    if settings.logs_exporters:
        yield Problem("OTEL_LOGS_EXPORTER", "otelc2c sends no logs")


def _entry_points(settings: Settings, installed: Installed) -> Iterator[Problem]:
    asked: list[tuple[str, str, tuple[str, ...], frozenset[str]]] = [
        ("OTEL_PYTHON_DISTRO", groups.DISTROS, _one(settings.distro), frozenset()),
        ("OTEL_PYTHON_CONFIGURATOR", groups.CONFIGURATORS, _one(settings.configurator), frozenset()),
        ("OTEL_TRACES_EXPORTER", groups.TRACES_EXPORTERS, settings.traces_exporters, OUR_SPAN_EXPORTERS),
        ("OTEL_METRICS_EXPORTER", groups.METRICS_EXPORTERS, settings.metrics_exporters, OUR_METRIC_EXPORTERS),
        ("OTEL_TRACES_SAMPLER", groups.SAMPLERS, (settings.traces_sampler,), SAMPLERS),
        ("OTEL_PROPAGATORS", groups.PROPAGATORS, settings.propagators, frozenset()),
        ("OTEL_PYTHON_ID_GENERATOR", groups.ID_GENERATORS, (settings.id_generator,), frozenset({"random"})),
        (
            "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
            groups.RESOURCE_DETECTORS,
            settings.resource_detectors,
            frozenset({"*"}),
        ),
    ]
    for variable, group, names, ours in asked:
        for name in names:
            if name not in ours and installed.find(group, name) is None:
                known = ", ".join(sorted(ours | {entry.name for entry in installed.group(group)}))
                yield Problem(variable, f"{name!r} is not installed (there are {known or 'none'})")


def _one(name: str | None) -> tuple[str, ...]:
    return () if name is None else (name,)


def _otlp(settings: Settings, installed: Installed) -> Iterator[Problem]:
    for signal, exporters, group, otlp in (
        ("TRACES", settings.traces_exporters, groups.TRACES_EXPORTERS, settings.otlp_traces),
        ("METRICS", settings.metrics_exporters, groups.METRICS_EXPORTERS, settings.otlp_metrics),
    ):
        if "otlp" not in exporters:
            continue
        field = f"otlp_{signal.lower()}"
        if otlp.grpc and installed.find(group, "otlp_proto_grpc") is None:
            variable = settings.sources.get(f"{field}.protocol", "OTEL_EXPORTER_OTLP_PROTOCOL")
            yield Problem(variable, "gRPC needs the package opentelemetry-exporter-otlp-proto-grpc")
        yield from _files(settings, field, otlp)


def _files(settings: Settings, field: str, otlp: Otlp) -> Iterator[Problem]:
    for name in OTLP_FILES:
        path = getattr(otlp, name)
        if path and not (os.path.isfile(path) and os.access(path, os.R_OK)):
            yield Problem(settings.sources[f"{field}.{name}"], f"the file {path!r} cannot be read")


def _allow_list(settings: Settings, installed: Installed) -> Iterator[Problem]:
    names = {entry.name for entry in installed.group(groups.INSTRUMENTORS)}
    for name in settings.instrumentations or ():
        if name not in names and f"otelc2c_{name}" not in names:
            yield Problem("OTELC2C_INSTRUMENTATIONS", f"{name!r} is not installed")
