"""One request while it runs, from its entry to its last byte."""

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final, Protocol, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import StatusCode

from otelc2c import context
from otelc2c.guard import swallowed
from otelc2c.measure.answers import answered
from otelc2c.measure.failures import error_type, message_of, record
from otelc2c.measure.http import Where, status_code
from otelc2c.measure.measurer import Entry, Measurer, installed
from otelc2c.measure.queue import HEADER as QUEUED
from otelc2c.measure.totals import server_timing
from otelc2c.record import wire
from otelc2c.record.api_spans import ApiSpan
from otelc2c.record.span import Span

KEY: Final = "otelc2c.request"
"""Under which key of the environ a request is found by layers and hooks further in."""
GIVEN_UP: Final = wire.attribute("otelc2c.response.given_up", True)
"""The client went away, or the server did not want the rest of the body."""
_NO_BODY: Final = frozenset({204, 304})
_REQUEST_ID: Final = "X-Request-ID"
_REQUEST_ID_LOWER: Final = _REQUEST_ID.lower()

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]


Answered: TypeAlias = tuple[Where, str | None, BaseException | None]
"""Route and root of the application, and the exception that was answered."""


class Look(Protocol):
    """How a framework says what became of a request."""

    def __call__(self, request: "Request") -> Answered: ...


class Request:
    """A measured request, made with `new_request`."""

    __slots__ = (
        "abandoned",
        "baggage",
        "baggage_token",
        "entry",
        "environ",
        "forks",
        "found",
        "headers",
        "inside",
        "internal",
        "look",
        "measurer",
        "open",
        "raised",
        "server_start",
        "server_write",
        "span",
        "start_ns",
        "status",
        "token",
        "written",
    )
    quiet: Final = False

    measurer: Measurer
    environ: Environ
    server_start: StartResponse
    server_write: Callable[[bytes], Any]
    entry: Entry
    span: Span | ApiSpan
    start_ns: int
    forks: int
    headers: Any
    open: bool
    status: str | None
    written: bool
    """Whether a part of the body was handed to the server, so that the status stays what it is."""
    token: Any
    baggage: Context | None
    baggage_token: Any
    look: Look | None
    found: Any
    """What a framework keeps here for its `look`."""
    raised: BaseException | None
    inside: bool
    """Whether the framework is answering it."""
    internal: bool
    """Whether a span of somebody else stands around this one."""
    abandoned: bool

    # -- what the application calls ----------------------------------------------------------

    def start_response(self, status: Any, headers: Any, exc_info: Any = None) -> Callable[[bytes], Any]:
        """The server's `start_response`, with one header more; what the application gave is not changed."""
        sent = headers
        measurer = self.measurer
        if measurer.request_id and type(headers) is list:
            try:
                for name, _ in headers:
                    # "Content-Type" is as long, and the only other one that is.
                    if len(name) == 12 and name != "Content-Type" and name.lower() == _REQUEST_ID_LOWER:
                        break
                else:
                    sent = [*headers, (_REQUEST_ID, self.span.trace_id.hex())]
            except Exception:  # what is no list of headers is for the server to refuse
                sent = headers
        if measurer.more_headers:
            sent = self._with_more(sent)
        if exc_info is None:
            self.server_write = self.server_start(status, sent)
        else:
            self.server_write = self.server_start(status, sent, exc_info)
        # Only now: what the server refuses is not sent.
        self.status = status if type(status) is str else None
        self.headers = headers
        return self.write

    def _with_more(self, headers: Any) -> Any:
        """The list with the headers that few ask for."""
        try:
            if type(headers) is not list:
                return headers
            measurer, span = self.measurer, self.span
            more = []
            if measurer.trace_response and not any(name.lower() == "traceresponse" for name, _ in headers):
                value = f"00-{span.trace_id.hex()}-{span.span_id.hex()}-{span.flags & 1:02x}"
                more.append(("traceresponse", value))
            if measurer.server_timing:
                elapsed = perf_counter_ns() - self.start_ns
                more.append(("Server-Timing", server_timing(span.totals, elapsed)))
            return [*headers, *more]
        except Exception:
            return headers

    def write(self, data: bytes) -> Any:
        """The server's `write`."""
        self.written = True
        return self.server_write(data)

    # -- context -----------------------------------------------------------------------------

    def enter(self) -> None:
        """Make the request's span current, and what came along with it."""
        if self.baggage is not None:
            self.baggage_token = otel_context.attach(Context({**otel_context.get_current(), **self.baggage}))
        self.token = context.activate(self.span)

    def leave(self) -> None:
        """Put back what was current before."""
        token, self.token = self.token, None
        if token is not None:
            context.deactivate(token)
            if self.baggage is not None:
                otel_context.detach(self.baggage_token)

    # -- the end -----------------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """End with what the application let pass, and the status that the server gives it."""
        if not self.written:
            self.status = answered(error, self.environ)
        self.finish(error)

    def given_up(self) -> None:
        """End before the last byte, unless the end was there already."""
        if self.open:
            self.abandoned = True
            self.finish()

    def finish(self, error: BaseException | None = None) -> None:
        """End, once. Never raises."""
        # No call stands between the look and the store, so that two threads do not both end it.
        if not self.open:
            return
        self.open = False
        try:
            if self.baggage is not None:
                self.leave()
            elif self.token is not None:
                context.deactivate(self.token)
                self.token = None
            end_ns = perf_counter_ns()
            # Nobody needs it any more, and the two would keep each other alive.
            self.environ.pop(KEY, None)
            if self.forks == installed.forks:
                self.entry.active.add(-1)
                self._record(error, end_ns)
        except Exception as failure:
            swallowed("wsgi", failure)

    def _record(self, error: BaseException | None, end_ns: int) -> None:
        where: Where = None
        root: str | None = None
        exception, kind = error, None
        look = self.look
        if look is not None:
            where, root, answered = look(self)
            exception = error or answered
            # A body may keep this object, which must not keep the application's objects alive.
            self.found = self.raised = self.look = None
        if exception is not None and (error is not None or self._is_failure(exception)):
            kind = error_type(exception)
        cell, shape = self.entry.outcomes[where, root, self.status, kind, self.internal]
        seconds = (end_ns - self.start_ns) * 1e-9
        cell.record(seconds)
        span, measurer = self.span, self.measurer
        totals = span.totals
        if totals is not None:
            measurer.totals.record(totals, where, root)
        environ = self.environ
        waited = (
            measurer.queue.note(environ, self.entry.method, self.start_ns + span.clock)
            if QUEUED in environ
            else b""
        )
        if (span.recording and span.flags & 1 and measurer.exemplars) or measurer.all_exemplars:
            now_ns = end_ns + span.clock
            if now_ns >= cell.exemplar_due:
                cell.exemplar(seconds, now_ns, span.trace_id, span.span_id)
        if not span.recording:
            span.close(end_ns)
            return
        if exception is not None:
            self._tell(exception, error is not None, kind)
        extra = measurer.attributes.encode(self.environ)
        if self.abandoned or self.entry.original or measurer.captured.wanted:
            extra += self._more()
        if totals is not None:
            extra += measurer.totals.attributes(totals)
        span.close(end_ns, shape, extra + waited)

    def _is_failure(self, exception: BaseException) -> bool:
        """Whether an answered exception is why this is an error; one that is an answer has a status."""
        return (status_code(self.status) or 500) >= 500 and not hasattr(exception, "status_int")

    def _more(self) -> bytes:
        """Attributes that few requests have, encoded."""
        captured = self.measurer.captured
        found = self.entry.original
        if captured.wanted:
            found += captured.encode(self.environ, self.headers if self.status else ())
        wanted = self.entry.method != "HEAD" and status_code(self.status) not in _NO_BODY
        return found + GIVEN_UP if self.abandoned and wanted else found

    def _tell(self, exception: BaseException, escaped: bool, kind: str | None) -> None:
        record(self.span, exception, escaped)
        if kind is not None:
            self.span.set_status(StatusCode.ERROR, message_of(exception))


def new_request(
    measurer: Measurer,
    environ: Environ,
    server_start: StartResponse,
    entry: Entry,
    span: Span | ApiSpan,
    start_ns: int,
    internal: bool,
) -> Request:
    """A request as it begins. A function, as a call of a class with `__init__` costs three times as much."""
    request = Request()
    request.measurer = measurer
    request.environ = environ
    request.server_start = server_start
    request.entry = entry
    request.span = span
    request.start_ns = start_ns
    request.forks = installed.forks
    request.open = True
    request.status = None
    request.written = False
    request.token = None
    request.baggage = None
    request.look = None
    request.found = None
    request.raised = None
    request.inside = False
    request.internal = internal
    request.abandoned = False
    return request
