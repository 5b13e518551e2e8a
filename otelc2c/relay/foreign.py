"""Exporters that are not ours, found by entry point and fed with the SDK's own types.

They run here, away from the application. Whatever one of them does, raise, hang or refuse,
is counted, and the others go on. OpenTelemetry's packages are imported when the first
exporter is asked for.
"""

import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from otelc2c.record.points import AttributeValue, Scope
from otelc2c.relay.http import Rejected, Retry
from otelc2c.relay.metric_push import Numbers
from otelc2c.relay.otlp import Delivered, Outcome, Spans
from otelc2c.relay.state import Component
from otelc2c.relay.threads import beside

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

TRACES: Final = "opentelemetry_traces_exporter"
METRICS: Final = "opentelemetry_metrics_exporter"
EXPORT_LIMIT: Final = 10.0
"""Seconds after which an export counts as failed."""
GRPC_PATIENCE: Final = 300.0
"""Seconds for which a batch is offered to OpenTelemetry's gRPC exporter. It does not tell a
receiver that is away from one that refuses, and for ever would block all that comes after."""
OTLP_GRPC: Final = "otlp_proto_grpc"
_GRPC: Final = {TRACES: "otlp_grpc_span_exporter", METRICS: "otlp_grpc_metric_exporter"}


class Unusable(Exception):
    """An exporter cannot be had; the message is a sentence for the operator, and holds no secret."""


def span_exporter(
    name: str,
    number: int,
    site: Sequence[str],
    attributes: Mapping[str, AttributeValue],
    schema_url: str = "",
) -> "ForeignSpans":
    """The span exporter of the entry point `name`, for spans of a resource with `attributes`.

    `number` tells exporters of one type apart, `site` is where packages are. Raises Unusable.
    """
    made = _made(TRACES, name, site)
    if not callable(getattr(made, "export", None)):
        raise Unusable(f"the entry point {name} of {TRACES} is no span exporter")
    patience = GRPC_PATIENCE if name == OTLP_GRPC else 0.0
    return ForeignSpans(made, _component(TRACES, name, number, made), name, attributes, schema_url, patience)


def metric_exporter(
    name: str,
    number: int,
    site: Sequence[str],
    attributes: Mapping[str, AttributeValue],
    schema_url: str = "",
) -> "ForeignMetrics | ForeignReader":
    """Like `span_exporter`, for numbers. A metric reader is one that collects when it likes."""
    made = _made(METRICS, name, site)
    component = _component(METRICS, name, number, made)
    from opentelemetry.sdk.metrics.export import MetricReader

    if isinstance(made, MetricReader):
        return ForeignReader(made, component, name, attributes, schema_url)
    if not callable(getattr(made, "export", None)):
        raise Unusable(f"the entry point {name} of {METRICS} is no metric exporter and no metric reader")
    return ForeignMetrics(made, component, name, attributes, schema_url)


def _made(group: str, name: str, site: Sequence[str]) -> Any:
    """An instance of what the entry point names. Raises Unusable."""
    sys.path += [path for path in site if path not in sys.path]
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    found = next(iter(entry_points(group=group, name=name)), None)
    if found is None:
        hint = "; install otelc2c[otlp-grpc]" if name == OTLP_GRPC else ""
        raise Unusable(f"no installed package has an entry point {name} in {group}{hint}")
    try:
        factory = found.load()
    except ImportError as error:
        raise Unusable(f"{found.value} cannot be imported: {error}") from error
    except Exception as error:
        raise Unusable(f"{found.value} cannot be imported ({type(error).__qualname__})") from error
    try:
        return factory()
    except Exception as error:
        # The text of an exception may repeat a header or a URL with a password.
        raise Unusable(f"{found.value} cannot be made ({type(error).__qualname__})") from error


def _component(group: str, name: str, number: int, made: object) -> Component:
    return Component(_GRPC[group] if name == OTLP_GRPC else type(made).__qualname__, number)


def _resource(attributes: Mapping[str, AttributeValue], schema_url: str) -> Any:
    from opentelemetry.sdk.resources import Resource

    return Resource(dict(attributes), schema_url or None)


class _Isolated:
    """Calls something in a thread of its own, and stops waiting for it after a while."""

    def __init__(self) -> None:
        self._running: threading.Thread | None = None

    def call(self, function: Callable[[], object], deadline: float | None) -> Outcome:
        """What came of `function`, whose result has a name, `SUCCESS` or not."""
        if self._running is not None and self._running.is_alive():
            # The last call still hangs; waiting once more would hold up the others.
            return Retry("timeout")
        now = time.monotonic()
        limit = EXPORT_LIMIT if deadline is None else min(EXPORT_LIMIT, deadline - now)
        answers: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._running = beside(lambda: answers.put(_outcome(function)), "otelc2c-foreign")
        try:
            outcome = answers.get(timeout=max(0.0, limit))
        except queue.Empty:
            return Retry("timeout")
        self._running = None
        return outcome


def _outcome(function: Callable[[], object]) -> Outcome:
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value

    # Where the relay is a thread of the application, an exporter's own requests are not to be traced.
    attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        result = function()
    except Exception as error:
        return Rejected(type(error).__qualname__)
    name = getattr(result, "name", None)
    return Delivered() if name == "SUCCESS" else Rejected("failure")


class ForeignSpans:
    """A span exporter written for the SDK, fed with `ReadableSpan`s made from OTLP's bytes."""

    def __init__(
        self,
        exporter: Any,
        component: Component,
        name: str,
        attributes: Mapping[str, AttributeValue],
        schema_url: str = "",
        patience: float = 0.0,
    ) -> None:
        """Feed `exporter`, known to the operator as `name`, offering a batch for `patience` seconds."""
        self.component = component
        self.address = name
        self.retries = patience > 0
        self._exporter = exporter
        self._patience = patience
        self._failing_since: float | None = None
        self._resource = _resource(attributes, schema_url)
        self._scopes: dict[Scope, Any] = {}
        self._isolated = _Isolated()

    def export(self, spans: Spans, deadline: float | None = None) -> Outcome:
        """Hand the spans over once, waiting until `deadline` (of `time.monotonic`) at most."""
        outcome = self._isolated.call(lambda: self._exporter.export(self._readable(spans)), deadline)
        if isinstance(outcome, Delivered) or not self._patience:
            self._failing_since = None
            return outcome
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since < self._patience:
            return Retry(outcome.reason)
        self._failing_since = None
        return Rejected(outcome.reason)

    def _readable(self, spans: Spans) -> list[Any]:
        from otelc2c.record.readable_spans import readable_span

        return [readable_span(payload, self._scope(scope), self._resource) for scope, payload in spans]

    def _scope(self, scope: Scope) -> Any:
        from otelc2c.record.readable_metrics import sdk_scope

        if scope not in self._scopes:
            self._scopes[scope] = sdk_scope(scope)
        return self._scopes[scope]

    def close(self) -> None:
        """Shut the exporter down, waiting two seconds at most."""
        _shut_down(self._exporter, self._isolated)


class ForeignMetrics:
    """A metric exporter written for the SDK, fed with `MetricsData`."""

    retries = False

    def __init__(
        self,
        exporter: Any,
        component: Component,
        name: str,
        attributes: Mapping[str, AttributeValue],
        schema_url: str = "",
    ) -> None:
        """Feed `exporter`, known to the operator as `name`."""
        from otelc2c.record.readable_metrics import delta_kinds

        self.component = component
        self.address = name
        self._exporter = exporter
        self._temporality = getattr(exporter, "_preferred_temporality", None)
        self.delta_kinds = delta_kinds(self._temporality)
        """Kinds of instruments that it wants as differences."""
        self._resource = _resource(attributes, schema_url)
        self._isolated = _Isolated()

    def export(self, numbers: Numbers, deadline: float | None = None) -> Outcome:
        """Hand a collection over once, waiting until `deadline` (of `time.monotonic`) at most."""
        limit = EXPORT_LIMIT if deadline is None else max(0.0, deadline - time.monotonic())
        data = _data(numbers, self._resource, self._temporality)
        return self._isolated.call(lambda: self._exporter.export(data, timeout_millis=limit * 1000), deadline)

    def close(self) -> None:
        """Shut the exporter down, waiting two seconds at most."""
        _shut_down(self._exporter, self._isolated)


class ForeignReader:
    """A metric reader written for the SDK, which collects when it likes (a page, for example)."""

    retries = False

    def __init__(
        self,
        reader: "MetricReader",
        component: Component,
        name: str,
        attributes: Mapping[str, AttributeValue],
        schema_url: str = "",
    ) -> None:
        """Feed `reader`, known to the operator as `name`."""
        from otelc2c.record.readable_metrics import delta_kinds

        private: Any = reader
        self.component = component
        self.address = name
        self._reader = reader
        self._temporality = private._instrument_class_temporality
        self.delta_kinds = delta_kinds(self._temporality)
        """Kinds of instruments that it wants as differences."""
        self._resource = _resource(attributes, schema_url)
        self._isolated = _Isolated()

    def attach(self, numbers: Callable[[], Numbers]) -> None:
        """Let the reader collect `numbers` from now on."""

        def collect(*_: object, **__: object) -> "MetricsData | None":
            found = numbers()
            return _data(found, self._resource, self._temporality) if found.families else None

        private: Any = self._reader
        private._set_collect_callback(collect)

    def export(self, _: Numbers, deadline: float | None = None) -> Outcome:
        """Have the reader collect now, which is all that can be asked of it."""
        limit = EXPORT_LIMIT if deadline is None else max(0.0, deadline - time.monotonic())

        def flush() -> object:
            from opentelemetry.sdk.metrics.export import MetricExportResult

            flushed = self._reader.force_flush(timeout_millis=limit * 1000)
            return MetricExportResult.SUCCESS if flushed is not False else MetricExportResult.FAILURE

        return self._isolated.call(flush, deadline)

    def close(self) -> None:
        """Shut the reader down, waiting two seconds at most."""
        _shut_down(self._reader, self._isolated)


def _data(numbers: Numbers, resource: Any, temporality: Any) -> "MetricsData":
    from otelc2c.record.readable_metrics import metrics_data

    window = numbers.window
    return metrics_data(
        numbers.families, resource, window.since_ns, window.now_ns, temporality, start_ns=window.start_ns
    )


def _shut_down(what: Any, isolated: _Isolated) -> None:
    isolated.call(what.shutdown, time.monotonic() + 2.0)
