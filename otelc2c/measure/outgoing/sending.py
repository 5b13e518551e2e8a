"""Trace context that goes with an outgoing call, by the propagators that are configured.

W3C trace context is written here where it is all there is to send: one formatted text, as
OpenTelemetry's way costs ten times as much (hot-path 2). Everything else is OpenTelemetry's.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import Span as AnySpan
from opentelemetry.trace import set_span_in_context

from otelc2c.context import SPAN_KEY
from otelc2c.measure.propagation import Propagation
from otelc2c.record.span import Span

_TRACE_PARENT: Final = "traceparent"
_TRACE_STATE: Final = "tracestate"
_VERSION: Final = "00"
_FLAGS: Final = tuple(f"{flags:02x}" for flags in range(256))


def send_context(
    propagation: Propagation,
    context: Mapping[str, Any],
    span: AnySpan | None,
    headers: MutableMapping[str, Any],
) -> None:
    """Write the context of a call into its headers, in place of what the application put there.

    `span` is that of the call, in `context`. Without one the call belongs to the current span, which may
    be one that nobody records: the other side is to know that. Nothing is written outside of any, or where
    that has ended. May raise what the headers raise, or another propagator.
    """
    found: Any = span
    if span is None:
        found = context.get(SPAN_KEY)
        if found is None or (type(found) is Span and _is_over(found)):
            return
    propagator = get_global_textmap()
    if propagator is propagation.known and type(found) is Span and len(context) <= (SPAN_KEY in context):
        # Half of what an f-string costs.
        parts = _VERSION, found.trace_id.hex(), found.span_id.hex(), _FLAGS[found.flags]
        headers[_TRACE_PARENT] = "-".join(parts)
        if found.state:
            headers[_TRACE_STATE] = found.state.to_header()
        return
    propagator.inject(headers, set_span_in_context(found, Context(context)))


def _is_over(span: Span) -> bool:
    """Whether the request that a span belongs to has been answered: what is done now is not its own."""
    return (span.root or span).ended_ns != 0
