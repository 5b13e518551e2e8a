"""Which measurements may become exemplars (metrics SDK specification, "ExemplarFilter").

An offer costs a look at the current span; a cell takes at most one exemplar a second.
"""

from collections.abc import Callable
from time import time_ns
from typing import Any, Final, Protocol, TypeAlias

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, get_current_span

from otelc2c.context import current_span
from otelc2c.record.span import Span


class ExemplarCell(Protocol):
    """A cell that keeps exemplars."""

    exemplar_due: int

    def exemplar(self, value: float, time_ns: int, trace_id: bytes, span_id: bytes) -> None:
        """Keep one measurement with its trace."""


Offer: TypeAlias = Callable[[ExemplarCell, float, Context | None], None]

NO_TRACE: Final = bytes(16)
NO_SPAN: Final = bytes(8)


def offer_for(name: str) -> Offer | None:
    """What offers a measurement to its cell, for a value of OTEL_METRICS_EXEMPLAR_FILTER.

    `trace_based` takes those made inside a sampled span, `always_on` all; None means `always_off`.
    Raises ValueError for any other name.
    """
    if name == "trace_based":
        return offer_sampled
    if name == "always_on":
        return offer_always
    if name == "always_off":
        return None
    raise ValueError(f"Unknown exemplar filter {name!r}.")


def offer_sampled(cell: ExemplarCell, value: float, context: Context | None) -> None:
    """Offer `value` when it was measured inside a sampled span."""
    # Where there was an exemplar before, the clock is the cheaper question; elsewhere the span is.
    if cell.exemplar_due and time_ns() < cell.exemplar_due:
        return
    span: Any = current_span() if context is None else get_current_span(context)
    if span is INVALID_SPAN:
        return
    if span.__class__ is Span:
        if span.sampled:
            cell.exemplar(value, time_ns(), span.trace_id, span.span_id)
        return
    known = span.get_span_context()
    if known.trace_flags.sampled:
        cell.exemplar(value, time_ns(), known.trace_id.to_bytes(16), known.span_id.to_bytes(8))


def offer_always(cell: ExemplarCell, value: float, context: Context | None) -> None:
    """Offer `value`, with the span it was measured in where there is one."""
    known = get_current_span(context).get_span_context()
    if known.is_valid:
        cell.exemplar(value, time_ns(), known.trace_id.to_bytes(16), known.span_id.to_bytes(8))
    else:
        cell.exemplar(value, time_ns(), NO_TRACE, NO_SPAN)
