"""Operations that another system carries out for this process: statements, commands, outgoing calls.

Such an operation is a *leaf*: nothing of this process is below it. It has a metric, which is always
exact, a span that is never current, and it counts in the totals of its request. What leaves of one
sort have in common is described once, and kept under a small key.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from opentelemetry.trace import SpanKind

from otelc2c.context import SPAN_KEY, current_context
from otelc2c.guard import swallowed
from otelc2c.measure.http import Bounded
from otelc2c.measure.totals import KEY, LEFT_OUT, NOTHING, SPANS, Totals, place_of
from otelc2c.record.api_spans import ApiSpan, ApiTracer
from otelc2c.record.own import OwnHistogram, Records
from otelc2c.record.shape import Shape
from otelc2c.record.span import Span
from otelc2c.record.tracer import Tracer

_MOST_OUTCOMES: Final = 2000
_KeyT = TypeVar("_KeyT", bound=Hashable)

AnySpan: TypeAlias = Span | ApiSpan


class Described(NamedTuple):
    """What operations of one key have in common."""

    name: str
    """Of the span: one of few."""
    attributes: Mapping[str, Any]
    """Of the span."""
    values: tuple[str | int | None, ...]
    """Of the histogram's attributes, in the order of the catalogue."""
    error: str | None = None
    """None where nothing failed, else the description of the status, which is empty as a rule."""


class Bounds(NamedTuple):
    """Which leaf spans are left out. Metrics and totals know nothing of it."""

    shortest_ns: int = 0
    """Leaves that took less have no span, unless they failed."""
    most: int = 1 << 62
    """Leaf spans of one request; those beyond are counted on its server span."""


class Leaves(Generic[_KeyT]):
    """One kind of leaf."""

    __slots__ = (
        "_beginnings",
        "_bounds",
        "_describe",
        "_every_exemplar",
        "_exemplars",
        "_histogram",
        "_outcomes",
        "_place",
        "_suppressed_by",
        "_tracer",
        "_where",
    )

    def __init__(
        self,
        tracer: Tracer | ApiTracer,
        histogram: OwnHistogram,
        kind: str,
        describe: Callable[[_KeyT], Described],
        *,
        exemplars: str = "trace_based",
        bounds: Bounds | None = None,
        suppressed_by: tuple[str, ...] = (),
    ) -> None:
        """Measure the `kind` ("sql", "redis" or "http") of leaves that `describe` knows by their keys.

        Keys are tuples of values from bounded sets, and never hold anything that a caller chooses.
        `exemplars` is the exemplar filter. Nothing is recorded where OpenTelemetry's context has a true
        value under one of the keys `suppressed_by`. Raises ValueError for another kind.
        """
        self._tracer = tracer
        self._histogram = histogram
        self._place: Final = place_of(kind)
        self._describe = describe
        self._exemplars = exemplars != "always_off"
        self._every_exemplar = exemplars == "always_on"
        self._bounds = bounds or Bounds()
        self._suppressed_by = suppressed_by
        self._where = f"measure.{kind}"
        self._outcomes: Bounded[_KeyT, tuple[Records, Shape]] = Bounded(self._outcome, _MOST_OUTCOMES)
        # Apart, as a cell that is looked up is a series on the page.
        self._beginnings: Bounded[_KeyT, Shape] = Bounded(self._shape, _MOST_OUTCOMES)

    def _outcome(self, key: _KeyT) -> tuple[Records, Shape]:
        return self._histogram.cell(self._describe(key).values), self._shape(key)

    def _shape(self, key: _KeyT) -> Shape:
        name, attributes, _, error = self._describe(key)
        return self._tracer.shape(name, SpanKind.CLIENT, attributes, error)

    # -- what a hook calls -------------------------------------------------------------------

    def wanted(self) -> bool:
        """Whether a leaf that ends now would have a span, so that attributes for it are worth making."""
        parent = current_context().get(SPAN_KEY)
        return parent.recording if type(parent) is Span else parent is None or parent.is_recording()

    def write(self, key: _KeyT, start_ns: int, end_ns: int, extra: bytes = b"") -> None:
        """Record a leaf that began and ended at these times of `time.perf_counter_ns`. Never raises.

        `extra` are further attributes of the span, encoded with `wire.Key` or `wire.attribute`.
        """
        try:
            context = current_context()
            parent: Any = context.get(SPAN_KEY)
            if len(context) > (parent is not None) and self._is_suppressed(context):
                return
            cell, shape = self._outcomes[key]
            seconds = (end_ns - start_ns) * 1e-9
            cell.record(seconds)
            if type(parent) is not Span or (root := parent.root or parent).ended_ns:
                self._elsewhere(context, parent, cell, shape, start_ns, end_ns, extra)
                return
            totals: Totals | None = root.totals
            if totals is None:
                totals = root.totals = NOTHING[:]
            place = self._place
            totals[place] += 1
            totals[place + 1] += end_ns - start_ns
            if not parent.recording:
                if self._every_exemplar:
                    self._exemplar(cell, seconds, end_ns + parent.clock, parent, parent.span_id)
                return
            shortest_ns, most = self._bounds
            if totals[SPANS] >= most or (end_ns - start_ns < shortest_ns and shape.error is None):
                totals[LEFT_OUT] += 1
                span_id = parent.span_id
            else:
                totals[SPANS] += 1
                span_id = self._tracer.leaf(parent, shape, start_ns, end_ns, extra)
            if self._exemplars and end_ns + parent.clock >= cell.exemplar_due:
                self._exemplar(cell, seconds, end_ns + parent.clock, parent, span_id)
        except Exception as error:
            swallowed(self._where, error)

    def begin(self, key: _KeyT, start_ns: int) -> AnySpan | None:
        """The span of a leaf that begins, for who has to send its ids; `end` it, instead of `write`.

        None where nobody would see it. The leaf is described by `key` as far as that is known now.
        """
        try:
            context = current_context()
            parent: Any = context.get(SPAN_KEY)
            if len(context) > (parent is not None) and self._is_suppressed(context):
                return None
            shape = self._beginnings[key]
            if type(parent) is Span and not (root := parent.root or parent).ended_ns:
                if not parent.recording or (root.totals or NOTHING)[SPANS] >= self._bounds.most:
                    return None
                return self._tracer.child(parent, start_ns, shape)
            return self._alone(parent, shape, start_ns)
        except Exception as error:
            swallowed(self._where, error)
            return None

    def end(self, span: AnySpan | None, key: _KeyT, start_ns: int, end_ns: int, extra: bytes = b"") -> None:
        """Record a leaf that began with `begin`, whatever that returned. Never raises."""
        if span is None:
            self.write(key, start_ns, end_ns, extra)
            return
        try:
            cell, shape = self._outcomes[key]
            seconds = (end_ns - start_ns) * 1e-9
            cell.record(seconds)
            totals = self._totals(current_context())
            if totals is not None:
                totals[SPANS] += 1
                totals[self._place] += 1
                totals[self._place + 1] += end_ns - start_ns
            span.close(end_ns, shape, extra)
            if self._exemplars:
                self._exemplar(cell, seconds, end_ns + span.clock, span, span.span_id)
        except Exception as error:
            swallowed(self._where, error)

    # -- what is rarer -----------------------------------------------------------------------

    def _is_suppressed(self, context: Mapping[str, Any]) -> bool:
        return any(context.get(key) for key in self._suppressed_by)

    def _exemplar(self, cell: Records, seconds: float, now_ns: int, around: Any, span_id: bytes) -> None:
        if now_ns >= cell.exemplar_due and (around.sampled or self._every_exemplar):
            cell.exemplar(seconds, now_ns, around.trace_id, span_id)

    def _totals(self, context: Mapping[str, Any]) -> Totals | None:
        """Where leaves of the current request are counted; None outside of one."""
        parent: Any = context.get(SPAN_KEY)
        if type(parent) is not Span:
            found: Totals | None = context.get(KEY)
            return found
        root = parent.root or parent
        if root.totals is None and not root.ended_ns:
            root.totals = NOTHING[:]
        return root.totals

    def _elsewhere(
        self,
        context: Mapping[str, Any],
        parent: Any,
        cell: Records,
        shape: Shape,
        start_ns: int,
        end_ns: int,
        extra: bytes,
    ) -> None:
        """Below no span, one of another provider, or a request that is over."""
        totals: Totals = context.get(KEY) or NOTHING[:]
        totals[self._place] += 1
        totals[self._place + 1] += end_ns - start_ns
        if totals[SPANS] >= self._bounds.most or (
            end_ns - start_ns < self._bounds.shortest_ns and shape.error is None
        ):
            totals[LEFT_OUT] += 1
            return
        span = self._alone(parent, shape, start_ns)
        totals[SPANS] += 1
        span.close(end_ns, shape, extra)
        if self._exemplars and span.recording:
            self._exemplar(cell, (end_ns - start_ns) * 1e-9, end_ns + span.clock, span, span.span_id)

    def _alone(self, parent: Any, shape: Shape, start_ns: int) -> AnySpan:
        """Begin a span where none of ours is open above it."""
        over = type(parent) is Span
        above = None if parent is None or over else parent.get_span_context()
        if above is not None and not above.is_valid:
            above = None
        if above is not None and parent.is_recording():
            return self._tracer.child(parent, start_ns, shape)
        span = self._tracer.open(above, start_ns, shape.name, shape.attributes.copy(), SpanKind.CLIENT)
        if over and span.recording:
            # The request has been answered: what it left behind is a trace of its own.
            span.add_link(parent.get_span_context())
        return span
