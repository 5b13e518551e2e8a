"""Our span as the SDK's `ReadableSpan`: what processors and code written for the SDK look at."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status

from otelc2c.record.details import Details

if TYPE_CHECKING:
    from otelc2c.record.pipeline import Pipeline
    from otelc2c.record.shape import Shape
    from otelc2c.record.tracer import Tracer


def _bounded(items: Sequence[Any], limit: int | None, dropped: int) -> Sequence[Any]:
    kept: Any = BoundedList.from_seq(limit, items)
    kept.dropped = dropped
    result: Sequence[Any] = kept
    return result


class LooksReadable(ReadableSpan):
    """The properties of `ReadableSpan`, made from a light span when they are asked for."""

    __slots__ = ()

    # What a light span has; see `otelc2c.record.span.Span`.
    tracer: "Tracer"
    pipeline: "Pipeline"
    shape: "Shape | None"
    details: Details | None
    started_ns: int
    ended_ns: int

    def view(self) -> Details:
        """The span's details as they would be written now."""
        details, shape = self.details, self.shape
        if details is not None and (shape is None or details.whole):
            return details
        whole = Details(self.pipeline.limits, "", SpanKind.SERVER)
        if details is not None:
            whole.name, whole.renamed, whole.status = details.name, details.renamed, details.status
            whole.events, whole.links = details.events, details.links
            whole.attributes = details.attributes
        if shape is not None:
            whole.take(shape, b"")
        return whole

    def readable(self) -> ReadableSpan:
        """A copy that no longer changes."""
        view, limits, scope = self.view(), self.pipeline.limits, self.instrumentation_scope
        attributes = BoundedAttributes(attributes=view.attributes)
        attributes.dropped = view.attributes.dropped
        return ReadableSpan(
            name=view.name,
            context=self.context,
            parent=self.parent,
            resource=self.resource,
            attributes=attributes,
            events=_bounded(view.events, limits.max_events, view.dropped_events),
            links=_bounded(view.links, limits.max_links, view.dropped_links),
            kind=view.kind,
            instrumentation_info=self._info(),
            status=view.status,
            start_time=self.start_time,
            end_time=self.end_time,
            instrumentation_scope=scope,
        )

    def _readable_span(self) -> ReadableSpan:
        return self.readable()

    def get_span_context(self) -> SpanContext:
        raise NotImplementedError  # pragma: no cover - Span has it.

    @property
    def context(self) -> SpanContext:
        return self.get_span_context()

    @property
    def name(self) -> str:
        return self.view().name

    @property
    def kind(self) -> SpanKind:
        return self.view().kind

    @property
    def start_time(self) -> int:
        return self.started_ns

    @property
    def end_time(self) -> int | None:
        return self.ended_ns or None

    @property
    def status(self) -> Status:
        return self.view().status

    @property
    def attributes(self) -> MappingProxyType[str, Any]:
        return MappingProxyType(self.view().attributes)

    @property
    def events(self) -> Sequence[Event]:
        return tuple(self.view().events)

    @property
    def links(self) -> Sequence[Link]:
        return tuple(self.view().links)

    @property
    def dropped_attributes(self) -> int:
        return self.view().attributes.dropped

    @property
    def dropped_events(self) -> int:
        return self.view().dropped_events

    @property
    def dropped_links(self) -> int:
        return self.view().dropped_links

    @property
    def resource(self) -> Resource:
        return self.pipeline.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        return self.tracer.scope

    def _info(self) -> InstrumentationInfo:
        return self.tracer.instrumentation_info

    @property
    def instrumentation_info(self) -> InstrumentationInfo:
        return self._info()

    def to_json(self, indent: int | None = 4) -> str:
        text: str = self.readable().to_json(indent)
        return text
