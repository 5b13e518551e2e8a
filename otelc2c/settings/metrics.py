"""What was asked for of numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from otelc2c.settings import parsers, streams
from otelc2c.settings.option import option, signal
from otelc2c.settings.otlp import Otlp
from otelc2c.settings.values import Combine, View


@dataclass(frozen=True, repr=False)
class MetricOptions:
    """Numbers: where they go, and how they are kept."""

    metrics_exporters: tuple[str, ...] = option(
        "OTEL_METRICS_EXPORTER",
        syntax=parsers.names("otlp", "console", "prometheus", none=True),
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
        syntax=parsers.choice("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        default="explicit_bucket_histogram",
        says="How histograms are kept for which no variable names boundaries, if numbers are sent by OTLP; "
        "a page beside it shows exponential ones with powers of two.",
    )
    internal_metrics: bool = option(
        "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED",
        syntax=parsers.BOOLEAN,
        default=False,
        says="Exporters of numbers get the relay's own, too. What was dropped or lost is always among them, "
        "and the Prometheus page always has all.",
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
        syntax=streams.BUCKETS,
        default={},
        says="Bucket boundaries of single histograms.",
    )
    views: tuple[View, ...] = option(
        "OTELC2C_VIEWS",
        syntax=streams.VIEWS,
        default=(),
        says="Views: drop or rename an instrument, choose its attributes or buckets.",
        show=lambda views: ";".join(map(str, views)),
    )
    gauges: Mapping[str, Combine] = option(
        "OTELC2C_GAUGES",
        syntax=streams.GAUGES,
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
    otlp_metrics: Otlp = field(default_factory=Otlp, metadata=signal("METRICS"))
