"""What measures the requests of a process: made once at start, and installed where hooks look for it."""

import os
from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.trace import SpanKind

from otelc2c import catalog
from otelc2c.measure.conventions import asked_for
from otelc2c.measure.excluded import Excluded
from otelc2c.measure.headers import Captured
from otelc2c.measure.http import (
    METHODS,
    OTHER,
    PROTOCOLS,
    SCHEMES,
    Bounded,
    SpanAttributes,
    Where,
    original_method,
    route_text,
    status_code,
)
from otelc2c.measure.leaves import Bounds, Described, Leaves
from otelc2c.measure.operation import Operation
from otelc2c.measure.outgoing import names
from otelc2c.measure.outgoing.urls import Urls
from otelc2c.measure.propagation import Propagation
from otelc2c.measure.queue import Queue
from otelc2c.measure.redis import names as redis_names
from otelc2c.measure.redis.places import INSIDE
from otelc2c.measure.sql import names as sql_names
from otelc2c.measure.sql.pool_metrics import Pools, pool_metrics
from otelc2c.measure.totals import RequestTotals
from otelc2c.record import wire
from otelc2c.record.api_spans import ApiTracer
from otelc2c.record.cells import Store
from otelc2c.record.own import Adds, OwnHistogram, OwnUpDownCounter, Records
from otelc2c.record.shape import Shape
from otelc2c.record.streams import DEFAULT_LIMIT
from otelc2c.record.tracer import Tracer
from otelc2c.record.views import Views
from otelc2c.settings import Settings

_MOST_OUTCOMES: Final = 2000
_REQUEST_ID: Final = "X-Request-ID"
_KeyT = TypeVar("_KeyT", bound=Hashable)


class Instruments(NamedTuple):
    """The metrics of requests, their parts, and what they ask of other systems."""

    duration: OwnHistogram
    active: OwnUpDownCounter
    view: OwnHistogram
    render: OwnHistogram
    database: OwnHistogram
    outgoing: OwnHistogram
    totals: RequestTotals
    rows: OwnHistogram
    pools: Pools
    queue: Queue

    @classmethod
    def of(cls, store: Store, limit: int = DEFAULT_LIMIT, views: Views | None = None) -> "Instruments":
        """The same in `store`, each with at most `limit` attribute sets, as `views` want them."""
        return cls(
            OwnHistogram(store, catalog.HTTP_SERVER_REQUEST_DURATION, limit, views),
            OwnUpDownCounter(store, catalog.HTTP_SERVER_ACTIVE_REQUESTS, limit, views),
            OwnHistogram(store, catalog.VIEW_DURATION, limit, views),
            OwnHistogram(store, catalog.RENDER_DURATION, limit, views),
            OwnHistogram(store, catalog.DB_CLIENT_OPERATION_DURATION, limit, views),
            OwnHistogram(store, catalog.HTTP_CLIENT_REQUEST_DURATION, limit, views),
            RequestTotals(store, limit, views),
            OwnHistogram(store, catalog.DB_CLIENT_RESPONSE_RETURNED_ROWS, limit, views),
            pool_metrics(store, limit, views),
            Queue(store, limit, views),
        )


Outcome: TypeAlias = tuple[Records, Shape]
"""What a way to end gives: its metric and its span."""


Ending: TypeAlias = tuple[Where, str | None, str | None, str | None, bool]
"""Route and root, status line, type of the exception that counts, and whether another's span is around."""


class Entry:
    """Requests of one method, scheme and protocol version, each from a closed set."""

    __slots__ = ("_duration", "_tracer", "active", "method", "original", "outcomes", "protocol", "scheme")

    def __init__(
        self,
        tracer: Tracer | ApiTracer,
        instruments: Instruments,
        method: str,
        scheme: str,
        protocol: str | None,
    ) -> None:
        """`method` is as the caller sent it."""
        self._tracer = tracer
        self._duration = instruments.duration
        self.method: Final = method if method in METHODS else OTHER
        self.scheme: Final = scheme
        self.protocol: Final = protocol
        self.original: Final = b"" if self.method is method else original_method(method)
        self.active: Final[Adds] = instruments.active.cell((self.method, scheme))
        self.outcomes: Final[Bounded[Ending, Outcome]] = Bounded(self._outcome, _MOST_OUTCOMES)

    def name(self, route: str | None) -> str:
        """The name of a server span; without a route it is the method alone, never the path (F-70)."""
        method = "HTTP" if self.method is OTHER else self.method
        return method if route is None else f"{method} {route}"

    def first_attributes(self, more: bytes) -> dict[str, Any]:
        """What samplers and processors may want to know before the request is routed (HTTP conventions).

        `more` are the encoded attributes of the single request.
        """
        first = {catalog.HTTP_REQUEST_METHOD: self.method, catalog.URL_SCHEME: self.scheme}
        return {**first, **wire.read_attributes(more)}

    def _outcome(self, key: Ending) -> Outcome:
        where, root, status, error, internal = key
        route = route_text(where, root)
        code = status_code(status)
        if error is None and code is None:
            error = OTHER
        elif error is None and code is not None and code >= 500:
            error = str(code)
        attributes = {
            catalog.HTTP_REQUEST_METHOD: self.method,
            catalog.URL_SCHEME: self.scheme,
            catalog.HTTP_ROUTE: route,
            catalog.HTTP_RESPONSE_STATUS_CODE: code,
            catalog.NETWORK_PROTOCOL_VERSION: self.protocol,
            catalog.ERROR_TYPE: error,
        }
        known = {name: value for name, value in attributes.items() if value is not None}
        kind = SpanKind.INTERNAL if internal else SpanKind.SERVER
        shape = self._tracer.shape(self.name(route), kind, known, None if error is None else "")
        cell = self._duration.cell((self.method, self.scheme, route, code, self.protocol, error))
        return cell, shape


class Measurer:
    """All that hooks need: settings as values, the tracer, the instruments, and bounded caches of both."""

    def __init__(self, settings: Settings, tracer: Tracer | ApiTracer, instruments: Instruments) -> None:
        """Raises `re.error` for a pattern that is no regular expression, which settings do not let pass."""
        self.tracer: Final = tracer
        self.light: Final = isinstance(tracer, Tracer)
        """Whether the tracer is ours, which need not always be told attributes when a span begins."""
        self.instruments: Final = instruments
        urls = tuple(dict.fromkeys((*settings.wsgi_excluded_urls, *settings.pyramid_excluded_urls)))
        self.excluded: Final = Excluded(settings.excluded_urls, urls)
        self.propagation: Final = Propagation(settings.propagators)
        self.attributes: Final = SpanAttributes(settings.redacted_query)
        self.captured: Final = Captured(
            settings.capture_request_headers, settings.capture_response_headers, settings.sanitize_headers
        )
        self.exemplars: Final = settings.exemplar_filter != "always_off"
        self.all_exemplars: Final = settings.exemplar_filter == "always_on"
        """Whether measurements of requests that are not sampled may be exemplars too."""
        self.views: Final = Operation(
            tracer, instruments.view, "view", "code.function.name", self.exemplars, METHODS
        )
        self.renders: Final = Operation(
            tracer, instruments.render, "render", catalog.RENDERER, self.exemplars
        )
        self.request_id: Final = _REQUEST_ID in settings.response_headers
        self.trace_response: Final = "traceresponse" in settings.response_headers
        self.server_timing: Final = "Server-Timing" in settings.response_headers
        self.more_headers: Final = self.trace_response or self.server_timing
        self.totals: Final = instruments.totals
        self.queue: Final = instruments.queue
        self._settings = settings
        http = asked_for("http", settings.semconv_opt_in)
        self.http: Final[Leaves[names.Key]] = self.leaves(
            "http", instruments.outgoing, names.Names(http).describe
        )
        self.urls: Final = Urls(settings.redacted_query, http, settings.requests_excluded_urls)
        """What may be told of the URLs of outgoing calls."""
        self.captured_calls: Final = Captured(
            settings.capture_call_headers, settings.capture_answer_headers, settings.sanitize_headers
        )
        self.conventions_db: Final = asked_for("database", settings.semconv_opt_in)
        """Which names the attributes of single statements and commands have."""
        self.redis: Final[Leaves[redis_names.Key]] = self.leaves(
            "redis", instruments.database, redis_names.Names(self.conventions_db).describe, INSIDE
        )
        sql = sql_names.Names(self.conventions_db, text=settings.query_text == "sanitized")
        self.sql: Final[Leaves[sql_names.Key]] = self.leaves("sql", instruments.database, sql.describe)
        self.flushes: Final[Bounded[str | None, Shape]] = Bounded(self._flush)
        """The spans of an ORM's flush, by the type of the exception that ended it."""
        self.rows: Final = instruments.rows
        self.pools: Final = instruments.pools
        self.sql_comments: Final = settings.sql_comments
        self._same: dict[tuple[str, str, str | None], Entry] = {}
        self.entries: Final[Bounded[tuple[str, str, str], Entry]] = Bounded(self._entry)

    def leaves(
        self,
        kind: str,
        histogram: OwnHistogram,
        describe: Callable[[_KeyT], Described],
        *suppressed_by: str,
    ) -> Leaves[_KeyT]:
        """Leaves of one kind (see `Leaves`), under the settings of this process."""
        settings = self._settings
        return Leaves(
            self.tracer,
            histogram,
            kind,
            describe,
            exemplars=settings.exemplar_filter,
            bounds=Bounds(round(settings.shortest_leaf * 1e9), settings.most_leaves),
            suppressed_by=(_SUPPRESS_INSTRUMENTATION_KEY, *suppressed_by),
        )

    def _flush(self, error: str | None) -> Shape:
        attributes = {} if error is None else {catalog.ERROR_TYPE: error}
        return self.tracer.shape("flush", SpanKind.INTERNAL, attributes, None if error is None else "")

    def _entry(self, key: tuple[str, str, str]) -> Entry:
        method, scheme, protocol = key
        scheme = scheme if scheme in SCHEMES else OTHER
        version = PROTOCOLS.get(protocol)
        if method not in METHODS:
            # What is beside the closed set differs in its name alone, so its numbers are shared.
            return self._new(method, scheme, version)
        same = self._same.get((method, scheme, version))
        if same is None:
            same = self._same[method, scheme, version] = self._new(method, scheme, version)
        return same

    def _new(self, method: str, scheme: str, version: str | None) -> Entry:
        return Entry(self.tracer, self.instruments, method, scheme, version)


class _Installed:
    """The one place that hooks read. Without a measurer they pass everything through."""

    def __init__(self) -> None:
        self.measurer: Measurer | None = None
        self.forks = 0
        """How many forks lie between this process and the one that imported this."""

    def after_fork(self) -> None:
        self.forks += 1


installed: Final = _Installed()
os.register_at_fork(after_in_child=installed.after_fork)


def install(measurer: Measurer) -> None:
    """Have all requests that begin from now on measured by `measurer`."""
    installed.measurer = measurer


def uninstall() -> None:
    """Measure no further request. Those that have begun end as they would."""
    installed.measurer = None
