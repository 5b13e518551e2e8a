"""The one way to time a part of a request: what it takes feeds its metric and its span."""

from collections.abc import Collection
from time import perf_counter_ns
from typing import Any, Final, TypeAlias

from opentelemetry.trace import INVALID_SPAN, SpanKind

from otelc2c import context
from otelc2c.context import SPAN_KEY
from otelc2c.guard import swallowed
from otelc2c.measure.failures import error_type
from otelc2c.measure.http import OTHER, Bounded, Where, route_text
from otelc2c.record.api_spans import ApiTracer
from otelc2c.record.own import OwnHistogram, Records
from otelc2c.record.shape import Shape
from otelc2c.record.tracer import Tracer

_MOST_SETS: Final = 2000

Begun: TypeAlias = tuple[int, Any, Any]
"""A part that is running: when it began, and its span and activation where somebody will see one."""
Labels: TypeAlias = tuple[str, Where, str | None, str | None]
"""The value of the histogram's first attribute, route and root, and the type of an error."""


class Operation:
    """One kind of part, such as views: a histogram, and spans that are current while the part runs."""

    __slots__ = (
        "_allowed",
        "_cells",
        "_exemplars",
        "_failed",
        "_histogram",
        "_key",
        "_prefix",
        "_shapes",
        "_tracer",
        "_where",
    )

    def __init__(
        self,
        tracer: Tracer | ApiTracer,
        histogram: OwnHistogram,
        prefix: str,
        key: str,
        exemplars: bool,
        allowed: Collection[str] | None = None,
    ) -> None:
        """Spans are called `prefix` and the part's name, which is also their attribute `key`.

        `exemplars` says whether measurements inside sampled spans may be exemplars; `allowed` is the
        closed set of values for the histogram's first attribute, where there is one.
        """
        self._tracer = tracer
        self._histogram = histogram
        self._prefix = prefix
        self._key = key
        self._exemplars = exemplars
        self._allowed = allowed
        self._where = f"measure.{prefix}"
        self._shapes: Bounded[str, Shape] = Bounded(self._shape)
        self._failed: Bounded[tuple[str, str], Shape] = Bounded(self._failed_shape)
        self._cells: Bounded[Labels, Records] = Bounded(self._cell, _MOST_SETS)

    def begin(self, name: str, running: Any) -> Begun | None:
        """Begin the part `name`, one of a bounded set; None where nothing is to be recorded.

        `running` is the request around it, if there is one: without a span of its own that is
        recorded the part has none either. The parent is the current span.
        """
        try:
            if running is not None:
                if running.quiet:
                    return None
                around = running.span
                if not around.recording:
                    return perf_counter_ns(), None, None
                now = context.current_context()
                parent = now.get(SPAN_KEY) or INVALID_SPAN
                if parent is not around and not parent.is_recording():
                    return perf_counter_ns(), None, None
            else:
                now = context.current_context()
                parent = now.get(SPAN_KEY) or INVALID_SPAN
                if not parent.is_recording():
                    return perf_counter_ns(), None, None
            start_ns = perf_counter_ns()
            span = self._tracer.child(parent, start_ns, self._shapes[name])
            return start_ns, span, context.activate(span, now)
        except Exception as error:
            swallowed(self._where, error)
            return None

    def end(
        self, begun: Begun, name: str, first: str, where: Where, root: str | None, error: BaseException | None
    ) -> None:
        """End it: `first` is the value of the histogram's first attribute, `error` what was raised."""
        end_ns = perf_counter_ns()
        start_ns, span, token = begun
        try:
            kind = None if error is None else error_type(error)
            if span is None:
                self._cells[first, where, root, kind].record((end_ns - start_ns) * 1e-9)
                return
            context.deactivate(token)
            seconds = (end_ns - start_ns) * 1e-9
            cell = self._cells[first, where, root, kind]
            cell.record(seconds)
            if self._exemplars and span.flags & 1 and (now := end_ns + span.clock) >= cell.exemplar_due:
                cell.exemplar(seconds, now, span.trace_id, span.span_id)
            span.close(end_ns, None if kind is None else self._failed[name, kind])
        except Exception as failure:
            swallowed(self._where, failure)

    def _cell(self, key: Labels) -> Records:
        first, where, root, kind = key
        if self._allowed is not None and first not in self._allowed:
            first = OTHER
        return self._histogram.cell((first, route_text(where, root), kind))

    def _shape(self, name: str) -> Shape:
        return self._tracer.shape(f"{self._prefix} {name}", SpanKind.INTERNAL, {self._key: name})

    def _failed_shape(self, key: tuple[str, str]) -> Shape:
        name, kind = key
        attributes = {self._key: name, "error.type": kind}
        return self._tracer.shape(f"{self._prefix} {name}", SpanKind.INTERNAL, attributes, "")
