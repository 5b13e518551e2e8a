"""What happens to spans of one provider in one process: who decides, who makes ids, where they go."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler

from otelc2c import guard
from otelc2c.record import ids
from otelc2c.record.limits import Limits
from otelc2c.record.points import Scope
from otelc2c.record.samplers import Inline

if TYPE_CHECKING:
    from otelc2c.record.span import Span

WHERE = "span processor"

_T = TypeVar("_T")


class SpanSink(Protocol):
    """Where finished spans are written: a ring, and the numbers under which it knows scopes."""

    @property
    def put(self) -> Callable[[int, bytes], object]:
        """Takes the info word of a record (`ring.record_info`) and one encoded OTLP `Span`."""

    @property
    def scope_id(self) -> Callable[[Scope], int]:
        """Takes an instrumentation scope."""


class RingSink(NamedTuple):
    """A `SpanSink` of a `RingWriter`'s `put` and a `Store`'s `scope_id`."""

    put: Callable[[int, bytes], object]
    scope_id: Callable[[Scope], int]


class Pipeline:
    """The provider's parts as its spans use them.

    A span keeps the pipeline it began with. After a fork the child gets a new one and the old is
    closed there, so that a span open during a fork is written by the process that opened it, and by
    no other. (The SDK writes such a span twice: once in the parent, once in the child.)
    """

    __slots__ = ("alive", "ids", "inline", "limits", "ours", "processors", "put", "resource", "sampler")

    def __init__(
        self,
        put: Callable[[int, bytes], object] | None,
        sampler: Inline | Sampler,
        id_generator: IdGenerator | None,
        limits: Limits,
        resource: Resource,
        processors: tuple[SpanProcessor, ...] = (),
    ) -> None:
        """`id_generator` is None for our own ids. Without `put` and processors nothing is recorded."""
        self.put = put
        self.inline = sampler if isinstance(sampler, Inline) else None
        self.sampler = sampler
        self.ids = id_generator
        self.limits = limits
        self.resource = resource
        self.processors = processors
        self.alive = True
        self.ours = self._all_ours()
        """Whether sampler and ids are ours and nobody watches the spans: the short way is right."""

    def _all_ours(self) -> bool:
        return self.inline is not None and self.ids is None and not self.processors

    @property
    def records(self) -> bool:
        """Whether anybody takes finished spans."""
        return self.put is not None or bool(self.processors)

    def add(self, processor: SpanProcessor) -> None:
        """Have a processor told of all spans that start and end from now on."""
        self.processors += (processor,)
        self.ours = False

    def after_fork(self) -> "Pipeline":
        """In a child: the pipeline for its own spans. Spans of the parent end nowhere here."""
        fresh = Pipeline(
            self.put,
            self.inline or self.sampler_object(),
            self.ids,
            self.limits,
            self.resource,
            self.processors,
        )
        self.alive = self.ours = False
        self.put = None
        self.processors = ()
        return fresh

    def sampler_object(self) -> Sampler:
        """The sampler as an object of the SDK."""
        return self.sampler.sdk() if isinstance(self.sampler, Inline) else self.sampler

    def new_trace_id(self) -> bytes:
        """A trace id from the generator in use."""
        if self.ids is None:
            return ids.new_trace_id()
        return self.ids.generate_trace_id().to_bytes(16, "big")

    def new_span_id(self) -> bytes:
        """A span id from the generator in use."""
        if self.ids is None:
            return ids.new_span_id()
        return self.ids.generate_span_id().to_bytes(8, "big")

    def random_flag(self) -> int:
        """The W3C flag that says that trace ids are random."""
        return 2 if self.ids is None or self.ids.is_trace_id_random() else 0

    # -- processors ------------------------------------------------------------------------

    def on_start(self, span: "Span", context: Context | None) -> None:
        """Tell the processors that a span starts."""
        for processor in self.processors:
            try:
                processor.on_start(span, parent_context=context)  # type: ignore[arg-type]
            except Exception as error:
                guard.swallowed(WHERE, error)

    def on_ending(self, span: "Span") -> None:
        """Tell the processors that a span ends; the SDK's own name for this hook is still private."""
        for processor in self.processors:
            hook = getattr(processor, "_on_ending", None)
            if hook is not None:
                try:
                    hook(span)
                except Exception as error:
                    guard.swallowed(WHERE, error)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand a finished span to the processors."""
        each(self.processors, lambda processor: processor.on_end(span))


def each(items: Iterable[_T], call: Callable[[_T], object]) -> None:
    """Call for each item; what one raises does not keep the next from its turn."""
    for item in items:
        try:
            call(item)
        except Exception as error:
            guard.swallowed(WHERE, error)
