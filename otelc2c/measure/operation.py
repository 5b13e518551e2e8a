"""The one way to time a part of a request: what it takes feeds its metric and its span."""

from time import perf_counter_ns
from typing import Any, Final, NamedTuple

from opentelemetry.trace import SpanKind

from otelc2c import context
from otelc2c.guard import swallowed
from otelc2c.measure.failures import error_type
from otelc2c.measure.http import Bounded
from otelc2c.record.own import OwnHistogram, Records, Values
from otelc2c.record.shape import Shape
from otelc2c.record.tracer import Tracer

_MOST_SETS: Final = 2000


class Begun(NamedTuple):
    """A part that is running: when it began, and its span where somebody will see one."""

    start_ns: int
    span: Any
    token: Any


class Operation:
    """One kind of part, such as views: a histogram, and spans that are current while the part runs."""

    __slots__ = ("_cells", "_failed", "_histogram", "_key", "_prefix", "_shapes", "_tracer", "_where")

    def __init__(self, tracer: Tracer, histogram: OwnHistogram, prefix: str, key: str) -> None:
        """Spans are called `prefix` and the part's name, which is also their attribute `key`."""
        self._tracer = tracer
        self._histogram = histogram
        self._prefix = prefix
        self._key = key
        self._where = f"measure.{prefix}"
        self._shapes: Bounded[str, Shape] = Bounded(self._shape)
        self._failed: Bounded[tuple[str, str], Shape] = Bounded(self._failed_shape)
        self._cells: Bounded[Values, Records] = Bounded(histogram.cell, _MOST_SETS)

    def begin(self, name: str) -> Begun | None:
        """Begin the part `name`, one of a bounded set; below the current span, if that is recorded."""
        try:
            parent = context.current_span()
            if not parent.is_recording():
                return Begun(perf_counter_ns(), None, None)
            start_ns = perf_counter_ns()
            span = self._tracer.child(parent, start_ns, self._shapes[name])
            return Begun(start_ns, span, context.activate(span))
        except Exception as error:
            swallowed(self._where, error)
            return None

    def end(
        self, begun: Begun, name: str, first: str, route: str | None, error: BaseException | None
    ) -> None:
        """End it, with the values of the histogram's attributes: the first, the route, the error's type."""
        end_ns = perf_counter_ns()
        start_ns, span, token = begun
        try:
            if token is not None:
                context.deactivate(token)
            kind = None if error is None else error_type(error)
            seconds = (end_ns - start_ns) * 1e-9
            cell = self._cells[first, route, kind]
            cell.record(seconds)
            if span is None:
                return
            if span.sampled and (now := end_ns + span.clock) >= cell.exemplar_due:
                cell.exemplar(seconds, now, span.trace_id, span.span_id)
            span.close(end_ns, self._shapes[name] if kind is None else self._failed[name, kind])
        except Exception as failure:
            swallowed(self._where, failure)

    def _shape(self, name: str) -> Shape:
        return self._tracer.shape(f"{self._prefix} {name}", SpanKind.INTERNAL, {self._key: name})

    def _failed_shape(self, key: tuple[str, str]) -> Shape:
        name, kind = key
        attributes = {self._key: name, "error.type": kind}
        return self._tracer.shape(f"{self._prefix} {name}", SpanKind.INTERNAL, attributes, "")
