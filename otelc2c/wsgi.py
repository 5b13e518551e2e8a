"""The outermost layer of any WSGI application.

What goes through it is not changed: neither the body, nor the status, nor the application's list of
headers, nor what it raises (PEP 3333; F-74, F-78, F-79). The answer gets one header more.
"""

from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    set_span_in_context,
)

from otelc2c import context
from otelc2c.context import SPAN_KEY
from otelc2c.guard import swallowed
from otelc2c.measure.bodies import follow
from otelc2c.measure.measurer import Entry, Measurer, installed
from otelc2c.measure.request import KEY, Environ, Request, StartResponse, new_request
from otelc2c.measure.totals import KEY as TOTALS
from otelc2c.measure.totals import NOTHING
from otelc2c.record import ids
from otelc2c.record.span import Span

MEASURES: Final = "otelc2c_measures"
"""Marks a `__call__` that is this layer itself, as the one of Pyramid's router."""

Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class Quiet:
    """A request that is left out: nothing below it is recorded either."""

    quiet: Final = True
    open = True

    def __init__(self, environ: Environ, start_response: StartResponse) -> None:
        self.environ = environ
        self.start_response = start_response
        above = SpanContext(ids.bits(128) or 1, ids.bits(64) or 1, is_remote=False)
        values = {**otel_context.get_current(), _SUPPRESS_INSTRUMENTATION_KEY: True}
        self._token = otel_context.attach(set_span_in_context(NonRecordingSpan(above), Context(values)))

    def finish(self) -> None:
        """End, with the application's call."""
        self.open = False
        self.environ.pop(KEY, None)
        otel_context.detach(self._token)

    def failed(self, _error: BaseException) -> None:
        """End with what the application let pass."""
        self.finish()


def serve(
    measurer: Measurer, application: Application, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    """Call the application and measure its request, unless a layer further out measures it already."""
    request = _begin(measurer, environ, start_response)
    if request is None:
        return application(environ, start_response)
    try:
        body = application(environ, request.start_response)
    except BaseException as error:
        request.failed(error)
        raise
    kind = type(body)
    if kind is list or kind is tuple or isinstance(request, Quiet):
        request.finish()
        return body
    return _followed(body, request, environ)


def _begin(measurer: Measurer, environ: Environ, start_response: StartResponse) -> Request | Quiet | None:
    counted = False
    try:
        get = environ.get
        before = get(KEY)
        if before is not None and before.open:
            return None
        start_ns = perf_counter_ns()
        excluded = measurer.excluded
        if (get("SCRIPT_NAME") or get("PATH_INFO") not in excluded.clear) and excluded(environ):
            quiet = environ[KEY] = Quiet(environ, start_response)
            return quiet
        try:
            key = environ["REQUEST_METHOD"], environ["wsgi.url_scheme"], environ["SERVER_PROTOCOL"]
        except KeyError:
            key = get("REQUEST_METHOD", ""), get("wsgi.url_scheme", ""), get("SERVER_PROTOCOL", "")
        entry = measurer.entries[key]
        parent = baggage = None
        propagation = measurer.propagation
        if (
            "HTTP_TRACEPARENT" in environ
            or "HTTP_BAGGAGE" in environ
            or get_global_textmap() is not propagation.known
        ):
            parent, baggage = propagation.incoming(environ)
        now = context.current_context()
        outer = now.get(SPAN_KEY) or INVALID_SPAN
        tracer: Any = measurer.tracer
        around = None
        if outer is INVALID_SPAN and measurer.light and tracer.pipeline.ours:
            span = tracer.open(parent, start_ns)
        else:
            around = _around(outer)
            span = _told(measurer, entry, environ, around, parent, start_ns)
            if not measurer.light:
                # Spans below are another provider's: they cannot lead to the totals of this one.
                span.totals = NOTHING[:]
                baggage = Context({**(baggage or {}), TOTALS: span.totals})
        request = new_request(measurer, environ, start_response, entry, span, start_ns, around is not None)
        entry.active.add(1)
        counted = True
        environ[KEY] = request
        # Last, so that nothing that fails leaves it behind.
        if baggage is None:
            request.token = context.activate(span, now)
        else:
            request.baggage = baggage
            request.enter()
    except Exception as error:
        environ.pop(KEY, None)
        if counted:
            entry.active.add(-1)
        swallowed("wsgi", error)
        return None
    return request


def _around(outer: Any) -> Any:
    """The span of somebody else that stands around the request; None for one that was left behind."""
    if not outer.get_span_context().is_valid or (type(outer) is Span and outer.ended_ns):
        return None
    return outer


def _told(measurer: Measurer, entry: Entry, environ: Environ, around: Any, parent: Any, start_ns: int) -> Any:
    """Begin a span below that of somebody else, or of which somebody wants to know all when it begins."""
    attributes = entry.first_attributes(entry.original + measurer.attributes.encode(environ))
    kind = SpanKind.SERVER if around is None else SpanKind.INTERNAL
    return measurer.tracer.open(around or parent, start_ns, entry.name(None), attributes, kind)


def _followed(body: Any, request: Request, environ: Environ) -> Iterable[bytes]:
    request.leave()
    try:
        span = request.span
        if type(span) is Span:
            # A body that is streamed may take long: what has ended by now is sent now.
            span.wait_no_longer()
        found: Iterable[bytes] = follow(body, request, environ.get("wsgi.file_wrapper"))
    except Exception as error:
        request.finish()
        swallowed("wsgi", error)
        return body  # type: ignore[no-any-return]
    return found


class Measured:
    """An application as a server calls it: what it has besides the call is that of the application."""

    def __init__(self, application: Application) -> None:
        self.__wrapped__ = application

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        measurer = installed.measurer
        if measurer is None:
            return self.__wrapped__(environ, start_response)
        return serve(measurer, self.__wrapped__, environ, start_response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)


def measured(application: Any) -> Any:
    """The application with this layer around it; as it is where that cannot be, or is already so."""
    if isinstance(application, Measured) or not callable(application):
        return application
    if getattr(type(application).__call__, MEASURES, False):
        return application
    return Measured(application)
