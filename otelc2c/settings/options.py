"""What was asked for: every option, once.

`Settings.from_environ(environ)` reads a mapping and never raises: what cannot be used is named
in `problems`, and that part keeps its default. Durations are in seconds, whatever the unit of
the variable. `OTEL_*` variables keep the meaning of OpenTelemetry's specification; where nothing
is set, numbers are shown on the Prometheus port and nothing is sent to an address nobody named.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from otelc2c.settings import otlp, parsers
from otelc2c.settings.option import Reading, Row, group, option, options, plain, read, shown
from otelc2c.settings.otlp import Otlp
from otelc2c.settings.values import Combine, Problem, QueryPolicy, View

OWN_PREFIX: Final = "OTELC2C_"
RATIO_SAMPLERS: Final = frozenset({"traceidratio", "parentbased_traceidratio"})
PROBES: Final = (
    r"/(health_?check|healthz?|livez|readyz|startupz|metrics|__heartbeat__|__lbheartbeat__|__version__)/?(\?|$)",
)
"""Paths that probes and scrapers ask, below any prefix."""


@dataclass(frozen=True, repr=False)
class Settings:
    """Everything that was asked for. Make it with `Settings.from_environ`."""

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

    # -- resource --
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

    # -- traces --
    traces_exporters: tuple[str, ...] = option(
        "OTEL_TRACES_EXPORTER",
        syntax=parsers.names(none=True),
        default=(),
        says="Where spans go: `otlp`, `console`, or the entry point of another exporter.",
        unset="`otlp` when an OTLP endpoint is set, otherwise `none`",
    )
    traces_sampler: str = option(
        "OTEL_TRACES_SAMPLER",
        syntax=parsers.TEXT,
        default="parentbased_always_on",
        says="Which traces are recorded: a sampler of the specification, or another one's entry point.",
    )
    traces_sampler_arg: str | None = option(
        "OTEL_TRACES_SAMPLER_ARG",
        syntax=parsers.TEXT,
        default=None,
        says="Argument of the sampler; for the ratio samplers a number from 0 to 1.",
        unset="1.0 for ratio samplers",
    )
    propagators: tuple[str, ...] = option(
        "OTEL_PROPAGATORS",
        syntax=parsers.names(none=True),
        default=("tracecontext", "baggage"),
        says="How trace context is read from and written to headers.",
    )
    id_generator: str = option(
        "OTEL_PYTHON_ID_GENERATOR",
        syntax=parsers.TEXT,
        default="random",
        says="Generator of trace and span ids, by entry point.",
    )
    tracer_provider: str = option(
        "OTELC2C_TRACER_PROVIDER",
        syntax=parsers.choice("light", "sdk"),
        default="light",
        says="`sdk` goes back to the tracer provider of OpenTelemetry's SDK.",
    )
    bsp_schedule_delay: float = option(
        "OTEL_BSP_SCHEDULE_DELAY",
        syntax=parsers.milliseconds(),
        default=1.0,
        says="Longest delay between two batches of spans.",
        unset="1000",
    )
    """Seconds, like the next timeouts."""
    bsp_export_timeout: float = option(
        "OTEL_BSP_EXPORT_TIMEOUT",
        syntax=parsers.milliseconds(1),
        default=30.0,
        says="Limit of the export of one batch of spans, all attempts together.",
        unset="30000",
    )
    bsp_max_queue_size: int = option(
        "OTEL_BSP_MAX_QUEUE_SIZE",
        syntax=parsers.whole(1),
        default=2048,
        says="Most spans that wait to be exported; above it they are dropped and counted.",
    )
    bsp_max_export_batch_size: int = option(
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        syntax=parsers.whole(1),
        default=512,
        says="Most spans of one batch; not above the size of the queue.",
    )

    # -- limits of spans --
    span_attribute_count_limit: int = option(
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        syntax=parsers.whole(0),
        default=128,
        says="Most attributes of a span.",
    )
    event_attribute_count_limit: int = option(
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        syntax=parsers.whole(0),
        default=128,
        says="Most attributes of an event.",
    )
    link_attribute_count_limit: int = option(
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        syntax=parsers.whole(0),
        default=128,
        says="Most attributes of a link.",
    )
    span_attribute_value_length_limit: int | None = option(
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        syntax=parsers.whole(0),
        default=None,
        says="Longest text of an attribute of a span.",
        unset="no limit",
    )
    attribute_value_length_limit: int | None = option(
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        syntax=parsers.whole(0),
        default=None,
        says="Longest text of any other attribute.",
        unset="no limit",
    )
    span_event_count_limit: int = option(
        "OTEL_SPAN_EVENT_COUNT_LIMIT", syntax=parsers.whole(0), default=128, says="Most events of a span."
    )
    span_link_count_limit: int = option(
        "OTEL_SPAN_LINK_COUNT_LIMIT", syntax=parsers.whole(0), default=128, says="Most links of a span."
    )

    # -- metrics --
    metrics_exporters: tuple[str, ...] = option(
        "OTEL_METRICS_EXPORTER",
        syntax=parsers.names(none=True),
        default=("prometheus",),
        says="Where numbers go: `prometheus`, `otlp`, `console`, or the entry point of another exporter.",
        unset="`prometheus`, and `otlp` when an OTLP endpoint is set",
    )
    metric_export_interval: float = option(
        "OTEL_METRIC_EXPORT_INTERVAL",
        syntax=parsers.milliseconds(1),
        default=60.0,
        says="Time from one export of numbers to the next.",
        unset="60000",
    )
    metric_export_timeout: float = option(
        "OTEL_METRIC_EXPORT_TIMEOUT",
        syntax=parsers.milliseconds(1),
        default=30.0,
        says="Limit of one export of numbers.",
        unset="30000",
    )
    exemplar_filter: str = option(
        "OTEL_METRICS_EXEMPLAR_FILTER",
        syntax=parsers.choice("trace_based", "always_on", "always_off"),
        default="trace_based",
        says="Which measurements may become exemplars.",
    )
    temporality: str = option(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        syntax=parsers.choice("cumulative", "delta", "lowmemory"),
        default="cumulative",
        says="Whether OTLP counts from the start or from the last export.",
    )
    histogram_aggregation: str = option(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        syntax=parsers.choice("explicit_bucket_histogram"),
        default="explicit_bucket_histogram",
        says="Only explicit buckets are kept; exponential ones are not supported.",
    )
    prometheus_host: str = option(
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        syntax=parsers.TEXT,
        default="localhost",
        says="Address on which the page of numbers is served.",
        unset="`localhost`; `0.0.0.0` when C2C_PROMETHEUS_PORT gives the port",
    )
    prometheus_port: int = option(
        "OTEL_EXPORTER_PROMETHEUS_PORT",
        "C2C_PROMETHEUS_PORT",
        syntax=parsers.whole(0, 65535),
        default=9464,
        says="Port on which the page of numbers is served; 0 takes any free one.",
    )
    buckets: Mapping[str, tuple[float, ...]] = option(
        "OTELC2C_BUCKETS",
        syntax=parsers.BUCKETS,
        default={},
        says="Bucket boundaries of single histograms.",
    )
    views: tuple[View, ...] = option(
        "OTELC2C_VIEWS",
        syntax=parsers.VIEWS,
        default=(),
        says="Views: drop or rename an instrument, choose its attributes or buckets.",
    )
    gauges: Mapping[str, Combine] = option(
        "OTELC2C_GAUGES",
        syntax=parsers.GAUGES,
        default={},
        says="How the values that several workers have for a gauge become one.",
    )
    cardinality_limit: int = option(
        "OTELC2C_CARDINALITY_LIMIT",
        syntax=parsers.whole(1, 10_000_000),
        default=2000,
        says="Most attribute sets of one instrument; what is above goes to otel.metric.overflow.",
    )
    observe_interval: float = option(
        "OTELC2C_OBSERVE_INTERVAL",
        syntax=parsers.seconds(0.1),
        default=5.0,
        says="Seconds from one observation of asynchronous instruments to the next.",
    )

    # -- exporters --
    otlp_traces: Otlp = group(Otlp, "TRACES")
    otlp_metrics: Otlp = group(Otlp, "METRICS")

    # -- what is measured --
    instrumentations: tuple[str, ...] | None = option(
        "OTELC2C_INSTRUMENTATIONS",
        syntax=parsers.names(none=True),
        default=None,
        says="Only these instrumentations are loaded, by entry point.",
        unset="all that are installed",
    )
    """`None`: all; empty: none."""
    disabled_instrumentations: tuple[str, ...] = option(
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
        syntax=parsers.names(),
        default=(),
        says="These instrumentations are not loaded; `*` is all.",
    )
    excluded_urls: tuple[str, ...] = option(
        "OTELC2C_EXCLUDED_URLS",
        syntax=parsers.PATTERNS,
        default=PROBES,
        says="Requests that are neither traced nor timed, besides those of the next variables.",
        unset="health, metrics and version paths",
    )
    wsgi_excluded_urls: tuple[str, ...] = option(
        "OTEL_PYTHON_WSGI_EXCLUDED_URLS",
        "OTEL_PYTHON_EXCLUDED_URLS",
        syntax=parsers.PATTERNS,
        default=(),
        says="Requests of any WSGI application that are neither traced nor timed.",
    )
    pyramid_excluded_urls: tuple[str, ...] = option(
        "OTEL_PYTHON_PYRAMID_EXCLUDED_URLS",
        "OTEL_PYTHON_EXCLUDED_URLS",
        syntax=parsers.PATTERNS,
        default=(),
        says="Requests of a Pyramid application that are neither traced nor timed.",
    )
    capture_request_headers: tuple[str, ...] = option(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
        syntax=parsers.PATTERNS,
        default=(),
        says="Request headers that become attributes of the server span.",
    )
    capture_response_headers: tuple[str, ...] = option(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE",
        syntax=parsers.PATTERNS,
        default=(),
        says="Response headers that become attributes of the server span.",
    )
    sanitize_headers: tuple[str, ...] = option(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS",
        syntax=parsers.PATTERNS,
        default=(),
        says="Captured headers whose values are replaced by [REDACTED].",
    )
    response_headers: tuple[str, ...] = option(
        "OTELC2C_RESPONSE_HEADERS",
        syntax=parsers.one_of_each("X-Request-ID", "traceresponse"),
        default=("X-Request-ID",),
        says="Headers by which a caller gets the id of its request.",
    )
    redacted_query: QueryPolicy = option(
        "OTELC2C_REDACTED_QUERY",
        syntax=parsers.QUERY_POLICY,
        default=QueryPolicy(),
        says="Values of the query string that are not recorded.",
        unset="`all`",
    )
    semconv_opt_in: tuple[str, ...] = option(
        "OTEL_SEMCONV_STABILITY_OPT_IN",
        syntax=parsers.names(),
        default=(),
        says="Read by other instrumentations; ours always uses the stable conventions.",
    )

    # -- the pod --
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
        default=3.0,
        says="Seconds that the end of the server waits for what is not delivered yet.",
    )
    backlog_bytes: int = option(
        "OTELC2C_BACKLOG_BYTES",
        syntax=parsers.SIZE,
        default=64 << 20,
        says="Space that undelivered spans of ended workers may take.",
        unset="64 MiB",
    )

    problems: tuple[Problem, ...] = field(default=())
    """What cannot be taken as it is, in the order of the options; unknown variables of ours come last."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """The variable that gave a field its value; fields of a signal are called `otlp_traces.endpoint`."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Settings from a mapping such as the process' environment. Never raises."""
        reading = read(options(cls), environ)
        _settle(reading, environ)
        plain_values = {name: value for name, value in reading.values.items() if "." not in name}
        groups = {
            name: replace(value, **_inner(reading, name)) for name, value in vars(cls()).items() if isinstance(value, Otlp)
        }
        return cls(**plain_values, **groups, problems=tuple(reading.problems), sources=reading.sources)

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

    def shown(self) -> dict[str, str]:
        """Every field as it may be printed: secrets are masked."""
        return {name: shown(entry, self.value(name)) for name, entry in options(type(self)).items()}

    def __repr__(self) -> str:
        texts = self.shown()
        return "Settings(" + ", ".join(f"{name}={texts[name]}" for name in self.sources) + ")"


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
        for name, entry in options(Settings).items()
    ]


def variables() -> frozenset[str]:
    """Every variable that is read."""
    return frozenset(name for entry in options(Settings).values() for name in entry.names)


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
        values["prometheus_host"] = "0.0.0.0"  # noqa: S104 - what c2cwsgiutils does with its port
    queue = values.get("bsp_max_queue_size", 2048)
    if values.get("bsp_max_export_batch_size", 512) > queue:
        if "bsp_max_export_batch_size" in sources:
            message = f"is above OTEL_BSP_MAX_QUEUE_SIZE; {queue} is used"
            problems.append(Problem("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", message))
        values["bsp_max_export_batch_size"] = queue
    argument = values.get("traces_sampler_arg")
    if values.get("traces_sampler") in RATIO_SAMPLERS and _ratio(argument) is None:
        problems.append(Problem("OTEL_TRACES_SAMPLER_ARG", f"must be from 0 to 1, not {argument!r}; 1.0 is used"))
    problems.extend(_unknown(environ))


def _unknown(environ: Mapping[str, str]) -> list[Problem]:
    known = sorted(name for name in variables() if name.startswith(OWN_PREFIX))
    found = []
    for name in sorted(environ):
        if name.startswith(OWN_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            found.append(Problem(name, "is not a variable of otelc2c" + (f"; is it {near[0]}?" if near else "")))
    return found
