"""What was asked for of spans."""

from dataclasses import dataclass, field
from typing import Final

from otelc2c.settings import parsers
from otelc2c.settings.option import option, signal
from otelc2c.settings.otlp import Otlp

RATIO_SAMPLERS: Final = frozenset({"traceidratio", "parentbased_traceidratio"})
SAMPLERS: Final = frozenset(
    {"always_on", "always_off", "parentbased_always_on", "parentbased_always_off"} | RATIO_SAMPLERS
)
"""Samplers of the specification; any other comes from an entry point."""


@dataclass(frozen=True, repr=False)
class TraceOptions:
    """Spans: where they go, which are recorded, what they may hold."""

    traces_exporters: tuple[str, ...] = option(
        "OTEL_TRACES_EXPORTER",
        syntax=parsers.names("otlp", "console", none=True),
        default=(),
        says="Where spans go: `otlp`, `console`, or the entry point of another exporter.",
        unset="`otlp` when an OTLP endpoint is set, otherwise `none`",
    )
    traces_sampler: str = option(
        "OTEL_TRACES_SAMPLER",
        syntax=parsers.name(*SAMPLERS),
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
        syntax=parsers.names("tracecontext", "baggage", none=True),
        default=("tracecontext", "baggage"),
        says="How trace context is read from and written to headers.",
    )
    id_generator: str = option(
        "OTEL_PYTHON_ID_GENERATOR",
        syntax=parsers.name("random"),
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
        says="Limit of one attempt to export a batch of spans; what was not taken is offered again.",
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
    otlp_traces: Otlp = field(default_factory=Otlp, metadata=signal("TRACES"))
