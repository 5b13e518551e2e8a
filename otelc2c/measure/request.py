"""One request while it runs, from its entry to its last byte."""

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final, Literal, Protocol, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import StatusCode

from otelc2c import context
from otelc2c.guard import swallowed
from otelc2c.measure.failures import error_type, message_of, record
from otelc2c.measure.http import status_code
from otelc2c.measure.measurer import Entry, Measurer, Outcome, installed
from otelc2c.record import wire
from otelc2c.record.span import Span

KEY: Final = "otelc2c.request"
"""Under which key of the environ a request is found by layers and hooks further in."""
GIVEN_UP: Final = wire.attribute("otelc2c.response.given_up", True)
"""The client went away, or the server did not want the rest of the body."""
_NO_BODY: Final = frozenset({204, 304})

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]


class Look(Protocol):
    """How a framework says what became of a request: its route, and the exception that it answered."""

    def __call__(self, request: "Request") -> tuple[str | None, BaseException | None]: ...


class Request:
    """A measured request.

    The class holds the values that most requests never change, since this is made for each of them.
    """

    quiet: Literal[False] = False
    open = True
    internal = False
    """Whether a span of somebody else stands around this one."""
    status: str | None = None
    written = False
    """Whether a part of the body was handed to the server, so that the status cannot change any more."""
    abandoned = False
    headers: Any = ()
    server_write: Callable[[bytes], Any]
    baggage: Context | None = None
    baggage_token: Any = None
    token: Any = None
    look: Look | None = None
    found: Any = None
    """What a framework keeps here for its `look`."""
    raised: BaseException | None = None
    running = False

    def __init__(
        self,
        measurer: Measurer,
        environ: Environ,
        server_start: StartResponse,
        entry: Entry,
        span: Span,
        start_ns: int,
    ) -> None:
        self.measurer = measurer
        self.environ = environ
        self.server_start = server_start
        self.entry = entry
        self.span = span
        self.start_ns = start_ns
        self.forks = installed.forks

    # -- what the application calls ----------------------------------------------------------

    def start_response(self, status: Any, headers: Any, *more: Any, **named: Any) -> Callable[[bytes], Any]:
        """The server's `start_response`, with one header more; what the application gave is not changed."""
        sent = headers
        if type(headers) is list:
            try:
                for name, lower, form in self.measurer.response_headers:
                    size = len(name)
                    for header, _ in headers:
                        if len(header) == size and header.lower() == lower:
                            break
                    else:
                        sent = [*sent, (name, form(self.span))]
            except Exception:
                sent = headers
        self.server_write = self.server_start(status, sent, *more, **named)
        # Only now: what the server refuses is not sent.
        self.status = status if type(status) is str else None
        self.headers = headers
        return self.write

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
        baggage, self.baggage_token = self.baggage_token, None
        if baggage is not None:
            otel_context.detach(baggage)

    # -- the end -----------------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """End with what the application let pass. Servers answer 500 while nothing has been sent."""
        if not self.written:
            self.status = "500" if isinstance(error, Exception) else None
        self.finish(error)

    def given_up(self) -> None:
        """End before the last byte, unless the end was there already."""
        if self.open:
            self.abandoned = self.entry.method != "HEAD" and status_code(self.status) not in _NO_BODY
            self.finish()

    def finish(self, error: BaseException | None = None) -> None:
        """End, once. Never raises."""
        # No call stands between the look and the store, so that two threads do not both end it.
        if not self.open:
            return
        self.open = False
        try:
            self.leave()
            if self.forks == installed.forks:
                end_ns = perf_counter_ns()
                self.entry.active.add(-1)
                self._record(error, end_ns)
        except Exception as failure:
            swallowed("wsgi", failure)

    def _record(self, error: BaseException | None, end_ns: int) -> None:
        route: str | None = None
        exception = error
        look = self.look
        if look is not None:
            route, answered = look(self)
            exception = error or answered
        kind: str | None = None
        if exception is not None and (error is not None or (status_code(self.status) or 500) >= 500):
            kind = error_type(exception)
        outcome = self.entry.outcomes[route, self.status, kind, self.internal]
        seconds = (end_ns - self.start_ns) * 1e-9
        cell = outcome.cell
        cell.record(seconds)
        span = self.span
        if span.recording:
            now_ns = end_ns + span.clock
            if span.sampled and now_ns >= cell.exemplar_due:
                cell.exemplar(seconds, now_ns, span.trace_id, span.span_id)
            if exception is not None:
                self._tell(exception, error is not None, kind)
            span.close(end_ns, outcome.shape, self._extra())
        else:
            span.close(end_ns)
        # A body or a tool may keep this object; it must not keep the application's objects alive.
        self.found = self.raised = None

    def _extra(self) -> bytes:
        measurer = self.measurer
        extra = self.entry.original + measurer.attributes.encode(self.environ)
        if measurer.captured.wanted:
            extra += measurer.captured.encode(self.environ, self.headers)
        return extra + GIVEN_UP if self.abandoned else extra

    def _tell(self, exception: BaseException, escaped: bool, kind: str | None) -> None:
        record(self.span, exception, escaped)
        if kind is not None:
            self.span.set_status(StatusCode.ERROR, message_of(exception))


__all__ = ["GIVEN_UP", "KEY", "Environ", "Look", "Outcome", "Request", "StartResponse"]
