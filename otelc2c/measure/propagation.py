"""Trace context from a caller's headers, by the propagators that are configured.

W3C trace context is read here, since OpenTelemetry's way costs more than all the rest of the span
(hot-path 2); for every header the result is the one of OpenTelemetry's propagator. All other
propagators are OpenTelemetry's, and asked through its API.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from opentelemetry import propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanContext, TraceState
from opentelemetry.trace import span as api_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otelc2c.guard import swallowed
from otelc2c.record.span import Parent

MOST_BAGGAGE_BYTES: Final = 8192
"""Longest `baggage` header that is looked at: what every participant must take (W3C Baggage)."""
MOST_BAGGAGE_ENTRIES: Final = 64
_MOST_TRACESTATE: Final[int] = getattr(api_span, "_TRACECONTEXT_MAXIMUM_TRACESTATE_LENGTH", 512)
"""Longest `tracestate` that OpenTelemetry takes: a private number, which differs by version."""
_PARENT_LENGTH: Final = 55
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)
_INLINE: Final = ({"tracecontext"}, {"tracecontext", "baggage"})


class Incoming(NamedTuple):
    """What came with a request."""

    parent: Parent | None
    context: Context | None = None
    """Everything but the span (baggage, for example); None when there is nothing."""


NOTHING: Final = Incoming(None)


class EnvironGetter(Getter[Mapping[str, Any]]):
    """Reads headers of a WSGI environ; an over-long `baggage` header is cut to what must be taken."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        value = carrier.get("HTTP_" + key.upper().replace("-", "_"))
        if value is None:
            return None
        return [bounded_baggage(value) if key == "baggage" else value]

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        return [key[5:].lower().replace("_", "-") for key in carrier if key.startswith("HTTP_")]


def bounded_baggage(header: str) -> str:
    """The part of a `baggage` header that is looked at, without entries that cannot be valid (T28)."""
    if len(header) > MOST_BAGGAGE_BYTES:
        return ""
    entries = [entry for entry in header.split(",") if "=" in entry]
    return ",".join(entries[:MOST_BAGGAGE_ENTRIES])


_upstream: Final = TraceContextTextMapPropagator()
_baggage: Final = W3CBaggagePropagator()
_getter: Final = EnvironGetter()


def w3c_parent(environ: Mapping[str, Any], header: str) -> Parent | None:
    """The parent that a `traceparent` header names, with the `tracestate` beside it; None if invalid."""
    # The form that everybody sends; any other goes to OpenTelemetry's propagator.
    if len(header) != _PARENT_LENGTH or header[:3] != "00-" or header[35] != "-" or header[52] != "-":
        return _asked(_upstream.extract(environ, Context(), _getter))
    try:
        trace_id = bytes.fromhex(header[3:35])
        span_id = bytes.fromhex(header[36:52])
        flags = bytes.fromhex(header[53:])
    except ValueError:
        return None
    # `fromhex` skips blanks, which shows in the lengths, and takes capital letters.
    if len(trace_id) != 16 or len(span_id) != 8 or len(flags) != 1 or header.lower() != header:
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    state = environ.get("HTTP_TRACESTATE")
    if state is None or len(state) > _MOST_TRACESTATE:
        return Parent(trace_id, span_id, flags[0])
    return Parent(trace_id, span_id, flags[0], TraceState.from_header([state]))


def _asked(context: Context) -> Parent | None:
    found: SpanContext = trace.get_current_span(context).get_span_context()
    if not found.is_valid:
        return None
    return Parent(
        found.trace_id.to_bytes(16, "big"),
        found.span_id.to_bytes(8, "big"),
        found.trace_flags,
        found.trace_state,
        found.is_remote,
    )


class Propagation:
    """Reads the context of requests as the configured propagators do."""

    __slots__ = ("_baggage", "known")

    def __init__(self, names: tuple[str, ...]) -> None:
        """`names` are those of `OTEL_PROPAGATORS`, from which OpenTelemetry has made the global one."""
        self.known: Final = propagate.get_global_textmap() if set(names) in _INLINE else None
        """The global propagator, while it is known to look at W3C's headers only."""
        self._baggage = "baggage" in names

    def incoming(self, environ: Mapping[str, Any]) -> Incoming:
        """What the caller sent. Never raises: what cannot be read counts as not sent."""
        try:
            # An application may have set another global propagator since.
            if propagate.get_global_textmap() is not self.known:
                return self._general(environ)
            header = environ.get("HTTP_TRACEPARENT")
            bag = environ.get("HTTP_BAGGAGE") if self._baggage else None
            if header is None and bag is None:
                return NOTHING
            return Incoming(
                w3c_parent(environ, header) if header else None,
                _baggage.extract(environ, Context(), _getter) if bag else None,
            )
        except Exception as error:
            swallowed("measure.propagation", error)
            return NOTHING

    def _general(self, environ: Mapping[str, Any]) -> Incoming:
        context = propagate.extract(environ, Context(), _getter)
        return Incoming(_asked(context), context or None)
