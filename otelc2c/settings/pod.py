"""What the pod is called, where its files are, and whether anything runs at all."""

from collections.abc import Mapping
from dataclasses import dataclass

from otelc2c.settings import parsers
from otelc2c.settings.option import option


@dataclass(frozen=True, repr=False)
class PodOptions:
    """The service, its resource, and the processes that serve it."""

    disabled: bool = option(
        "OTEL_SDK_DISABLED",
        syntax=parsers.BOOLEAN,
        default=False,
        says="Switches everything off: nothing is loaded, patched, written or sent.",
    )
    strict: bool = option(
        "OTELC2C_STRICT",
        syntax=parsers.BOOLEAN,
        default=False,
        says="Refuse to start when something that was asked for cannot work.",
    )
    config_file: str | None = option(
        "OTEL_CONFIG_FILE",
        syntax=parsers.TEXT,
        default=None,
        says="Not read: otelc2c takes its settings from variables only, and says so at start.",
    )
    service_name: str | None = option(
        "OTEL_SERVICE_NAME",
        syntax=parsers.TEXT,
        default=None,
        says="Name of the service; wins over service.name in OTEL_RESOURCE_ATTRIBUTES.",
        unset="unknown_service",
    )
    resource_attributes: Mapping[str, str] = option(
        "OTEL_RESOURCE_ATTRIBUTES",
        syntax=parsers.PAIRS,
        default={},
        says="Attributes of the resource that all signals carry.",
    )
    resource_detectors: tuple[str, ...] = option(
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
        syntax=parsers.names(),
        default=(),
        says="Resource detectors to ask, by entry point; `*` is all that are installed.",
    )
    folder: str | None = option(
        "OTELC2C_FOLDER",
        syntax=parsers.FOLDER,
        default=None,
        says="Folder in which the folder of the pod is made.",
        unset="`/dev/shm`, or the folder for temporary files",
    )
    pod: str | None = option(
        "OTELC2C_POD",
        syntax=parsers.FOLDER,
        default=None,
        says="Set by otelc2c itself for the processes of a pod: the folder they share.",
    )
    relay: str = option(
        "OTELC2C_RELAY",
        syntax=parsers.choice("process", "thread", "off"),
        default="process",
        says="What shows and sends: a process of its own, a thread of a single process, or nothing.",
    )
    exit_timeout: float = option(
        "OTELC2C_EXIT_TIMEOUT",
        syntax=parsers.seconds(0.0, 300.0),
        default=2.0,
        says="Seconds that the end of the server waits for what is not delivered yet.",
    )
    backlog_bytes: int = option(
        "OTELC2C_BACKLOG_BYTES",
        syntax=parsers.SIZE,
        default=64 << 20,
        says="Space that undelivered spans of ended workers may take.",
        unset="64 MiB",
    )
    logs_exporters: tuple[str, ...] = option(
        "OTEL_LOGS_EXPORTER",
        syntax=parsers.names(none=True),
        default=(),
        says="Not read: otelc2c sends no logs, and says so at start where another value than `none` is set.",
        unset="`none`",
    )
    distro: str | None = option(
        "OTEL_PYTHON_DISTRO",
        syntax=parsers.TEXT,
        default=None,
        says="Which of several installed distributions is used; ours is `otelc2c`.",
        unset="the first one found",
    )
    configurator: str | None = option(
        "OTEL_PYTHON_CONFIGURATOR",
        syntax=parsers.TEXT,
        default=None,
        says="Which of several installed configurators is used; ours follows our distribution by itself.",
        unset="the first one found",
    )
