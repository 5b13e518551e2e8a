"""The SDK's tracer provider on our ring: what `OTELC2C_TRACER_PROVIDER=sdk` goes back to."""

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otelc2c import guard
from otelc2c.record import wire
from otelc2c.record.encoding import encode_readable
from otelc2c.record.layout import RECORD_SPAN
from otelc2c.record.limits import Limits
from otelc2c.record.pipeline import SpanSink
from otelc2c.record.points import Scope
from otelc2c.record.provider import scope_of
from otelc2c.record.ring import record_info
from otelc2c.record.samplers import Inline, load
from otelc2c.settings import Settings


class RingSpanProcessor(SpanProcessor):
    """Encodes finished spans of the SDK's and writes them to the ring."""

    def __init__(self, sink: SpanSink) -> None:
        self._sink = sink
        self._infos: dict[InstrumentationScope | None, int] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing happens until a span ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Write the span, if its trace is sampled. Never raises."""
        try:
            context = span.get_span_context()
            if context is not None and context.trace_flags.sampled:
                self._sink.put(self._info_of(span.instrumentation_scope), wire.item(encode_readable(span)))
        except Exception as error:
            guard.swallowed("span", error)

    def _info_of(self, scope: InstrumentationScope | None) -> int:
        info = self._infos.get(scope)
        if info is None:
            number = self._sink.scope_id(Scope("") if scope is None else scope_of(scope))
            info = self._infos[scope] = record_info(RECORD_SPAN, number)
        return info


def sdk_tracer_provider(
    settings: Settings,
    resource: Resource | None,
    sink: SpanSink | None,
    sampler: Inline | Sampler | None = None,
    id_generator: IdGenerator | None = None,
) -> TracerProvider:
    """The SDK's provider with the settings' sampler and limits, whose spans go to `sink`.

    Without `sampler` the one that the settings name is used; what `samplers.load` says about it
    is for the caller to report.
    """
    chosen = sampler or load(settings.traces_sampler, settings.traces_sampler_arg, settings.sampling_ratio)[0]
    provider = TracerProvider(
        sampler=chosen.sdk() if isinstance(chosen, Inline) else chosen,
        resource=resource,
        id_generator=id_generator,
        span_limits=sdk_limits(Limits.from_settings(settings)),
    )
    if sink is not None:
        provider.add_span_processor(RingSpanProcessor(sink))
    return provider


def sdk_limits(limits: Limits) -> SpanLimits:
    """The same limits as the SDK's object, whatever the environment says."""
    values = {name: SpanLimits.UNSET if value is None else value for name, value in limits._asdict().items()}
    return SpanLimits(**values)
