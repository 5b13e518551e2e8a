"""`TracerProvider`: OpenTelemetry's, with spans that cost a worker next to nothing."""

import atexit
import logging
import os
import time
import weakref
from threading import Lock

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import Attributes

from otelc2c import guard
from otelc2c.context import current_span
from otelc2c.record.layout import RECORD_SPAN
from otelc2c.record.limits import Limits, LimitsLike
from otelc2c.record.pipeline import WHERE, Pipeline, SpanSink, each
from otelc2c.record.points import Scope
from otelc2c.record.ring import record_info
from otelc2c.record.samplers import Inline, from_sdk
from otelc2c.record.span import Span
from otelc2c.record.tracer import Tracer

_logger = logging.getLogger(__name__)

_ALWAYS = 1 << 64


def scope_of(scope: InstrumentationScope) -> Scope:
    """The scope as the files know it."""
    attributes = tuple(sorted((scope.attributes or {}).items()))
    return Scope(scope.name, scope.version or "", scope.schema_url or "", attributes)  # type: ignore[arg-type]


class TracerProvider(trace.TracerProvider):
    """Makes tracers whose finished spans go to `sink`, and to the processors added to it."""

    def __init__(
        self,
        sink: SpanSink | None = None,
        sampler: Inline | Sampler | None = None,
        resource: Resource | None = None,
        id_generator: IdGenerator | None = None,
        span_limits: LimitsLike | None = None,
        shutdown_on_exit: bool = True,
    ) -> None:
        """All parts may be the SDK's own; those that mean the default are recognised and made fast.

        Without a sink and processors no span is recorded, but all have ids. Without a sampler every
        trace is recorded unless its caller's was not.
        """
        self._sink = sink
        self._pipeline = Pipeline(
            put=None if sink is None else sink.put,
            sampler=_inline(sampler),
            id_generator=None if type(id_generator) is RandomIdGenerator else id_generator,
            limits=Limits() if span_limits is None else Limits.of(span_limits),
            resource=Resource.create({}) if resource is None else resource,
        )
        self._lock = Lock()
        self._tracers: dict[InstrumentationScope, Tracer] = {}
        self._processors: tuple[SpanProcessor, ...] = ()
        self._at_exit = atexit.register(self.shutdown) if shutdown_on_exit else None
        _after_fork(self)

    @property
    def resource(self) -> Resource:
        """What all spans of this provider are about."""
        return self._pipeline.resource

    @property
    def sampler(self) -> Sampler:
        """The sampler, as an object of the SDK's."""
        return self._pipeline.sampler_object()

    @property
    def id_generator(self) -> IdGenerator:
        """The id generator; the SDK's random one stands for ours."""
        return self._pipeline.ids or RandomIdGenerator()

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """The tracer of a scope; equal scopes get the same one."""
        if not instrumenting_module_name:
            instrumenting_module_name = ""
            _logger.error("get_tracer called with missing module name.")
        version = instrumenting_library_version or ""
        scope = InstrumentationScope(instrumenting_module_name, version, schema_url, attributes)
        with self._lock:
            tracer = self._tracers.get(scope)
            if tracer is None:
                tracer = self._tracers[scope] = Tracer(self._pipeline, scope, self._info_of(scope))
            return tracer

    def _info_of(self, scope: InstrumentationScope) -> int:
        try:
            number = 0 if self._sink is None else self._sink.scope_id(scope_of(scope))
        except Exception as error:
            guard.swallowed("tracer", error)
            number = 0
        return record_info(RECORD_SPAN, number)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Have a processor told of every span from now on, after those added before it.

        It runs in this process. `on_start` gets our span, which reads as the SDK's does, `on_end`
        gets a `ReadableSpan`. What it raises never reaches the application.
        """
        with self._lock:
            self._processors += (span_processor,)
            self._pipeline.add(span_processor)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush all processors within the time given together; False if that was not enough.

        Spans of the current request that wait for its end are written, too.
        """
        current = current_span()
        if type(current) is Span:
            (current.root or current).wait_no_longer()
        deadline = time.monotonic() + timeout_millis / 1000
        flushed = True
        for processor in self._processors:
            left = int((deadline - time.monotonic()) * 1000)
            if left <= 0:
                return False
            try:
                flushed = processor.force_flush(left) is not False and flushed
            except Exception as error:
                guard.swallowed(WHERE, error)
                flushed = False
        return flushed

    def shutdown(self) -> None:
        """Shut all processors down. Spans are still written to the sink, which its owner closes."""
        each(self._processors, lambda processor: processor.shutdown())
        if self._at_exit is not None:
            atexit.unregister(self._at_exit)
            self._at_exit = None

    def restart(self) -> None:
        """In a child after a fork: spans that the parent had open end there alone."""
        self._lock = Lock()
        self._pipeline = self._pipeline.after_fork()
        for tracer in self._tracers.values():
            tracer.pipeline = self._pipeline


def _inline(sampler: Inline | Sampler | None) -> Inline | Sampler:
    if sampler is None:
        return Inline(_ALWAYS, parent_based=True)
    if isinstance(sampler, Inline):
        return sampler
    return from_sdk(sampler) or sampler


def _after_fork(provider: TracerProvider) -> None:
    weak = weakref.WeakMethod(provider.restart)

    def restart() -> None:
        method = weak()
        if method is not None:
            method()

    os.register_at_fork(after_in_child=restart)
