"""A measurer on memory, and what it recorded in readable form."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.sdk.trace.sampling import Sampler

from otelc2c.measure.measurer import Instruments, Measurer, install, uninstall
from otelc2c.record import wire
from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.pipeline import RingSink
from otelc2c.record.points import Distribution, Family
from otelc2c.record.provider import TracerProvider
from otelc2c.record.samplers import Inline
from otelc2c.settings import Settings

ALWAYS = 1 << 64


class Seen(NamedTuple):
    """One finished span, decoded from the bytes that went to the ring."""

    wire: WireSpan
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]

    @property
    def name(self) -> str:
        return self.wire.name

    @property
    def parent(self) -> bytes:
        return self.wire.parent_span_id

    @property
    def id(self) -> bytes:
        return self.wire.span_id


class Kit:
    """Everything that a process would have: provider, store, measurer. Use as a context manager."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        sampler: Inline | Sampler | None = None,
        limit: int = 2000,
    ) -> None:
        self.raw: list[bytes] = []
        self.store = Store.open_private()
        self.provider = TracerProvider(
            RingSink(lambda _info, payload: self.raw.append(payload), self.store.scope_id),
            sampler=sampler,
            shutdown_on_exit=False,
        )
        self.settings = Settings.from_environ(environ or {})
        self.instruments = Instruments.of(self.store, limit)
        self.measurer = Measurer(self.settings, self.provider.get_tracer("otelc2c"), self.instruments)

    def __enter__(self) -> Self:
        install(self.measurer)
        return self

    def __exit__(self, *_error: object) -> None:
        uninstall()

    @property
    def spans(self) -> list[Seen]:
        """Finished spans in the order in which they ended."""
        return [_seen(span) for payload in self.raw for span in _spans(payload)]

    @property
    def span(self) -> Seen:
        """The only finished span."""
        (found,) = self.spans
        return found

    def server(self) -> Seen:
        """The only span of the kind "server"."""
        (found,) = [span for span in self.spans if span.wire.kind == WireSpan.SPAN_KIND_SERVER]
        return found

    def named(self, start: str) -> Seen:
        """The only span whose name begins so."""
        (found,) = [span for span in self.spans if span.name.startswith(start)]
        return found

    def points(self, name: str) -> dict[frozenset[tuple[str, Any]], Any]:
        """Values of one metric by attributes: a count for a histogram, else the number."""
        found: dict[frozenset[tuple[str, Any]], Any] = {}
        for family in self._families():
            if family.instrument.name == name:
                for point in family.points:
                    value = point.value
                    number = value.count if isinstance(value, Distribution) else value
                    found[frozenset(point.attributes.items())] = number
        return found

    def point(self, name: str) -> dict[str, Any]:
        """Attributes of the only point of a metric, which must count one."""
        ((attributes, count),) = self.points(name).items()
        assert count == 1
        return dict(attributes)

    @property
    def active(self) -> int:
        """Requests in flight."""
        return sum(self.points("http.server.active_requests").values())

    def exemplars(self, name: str) -> list[Any]:
        """All exemplars of one metric."""
        return [
            exemplar
            for family in self._families()
            if family.instrument.name == name
            for point in family.points
            for exemplar in point.exemplars
        ]

    def _families(self) -> list[Family]:
        return list(families_of(self.store))


def _spans(payload: bytes) -> Sequence[WireSpan]:
    """The spans of one record: fields `spans` of a `ScopeSpans`, or a span alone."""
    if payload.startswith(wire.TRACE):
        return [WireSpan.FromString(payload)]
    return ScopeSpans.FromString(payload).spans


def _seen(parsed: WireSpan) -> Seen:
    events = [(event.name, _plain(event.attributes)) for event in parsed.events]
    return Seen(parsed, _plain(parsed.attributes), events)


def _plain(values: Any) -> dict[str, Any]:
    return {item.key: wire.read_value(item.value.SerializeToString()) for item in values}


@contextmanager
def sampled_out() -> Iterator[Kit]:
    """A kit that samples nothing."""
    with Kit(sampler=Inline(0, parent_based=False)) as kit:
        yield kit
