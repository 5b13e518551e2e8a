"""One outgoing call while it is under way, with the exchanges that it takes."""

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
)

from otelc2c.context import SPAN_KEY, current_context
from otelc2c.guard import guard, swallowed
from otelc2c.measure.failures import error_type
from otelc2c.measure.headers import Captured
from otelc2c.measure.leaves import Leaves
from otelc2c.measure.measurer import Measurer
from otelc2c.measure.outgoing.names import Key
from otelc2c.measure.outgoing.sending import send_context
from otelc2c.measure.outgoing.urls import Told
from otelc2c.record import wire
from otelc2c.record.span import Span

WHERE: Final = "measure.requests"
_POOLS: Final = "urllib3.connectionpool"
_RESENT: Final = wire.Key("http.request.resend_count")
_VERSIONS: Final = {9: "0.9", 10: "1.0", 11: "1.1", 20: "2", 30: "3"}
"""Versions of the protocol, as urllib3 numbers them."""
_PLAIN_SUPPRESS_KEY: Final = "suppress_instrumentation"
_OURS: Final = "by otelc2c"
"""Keeps what stands below us quiet, but not calls that a hook of the application makes by itself."""


class Call:
    """One call of a session, with all that it is redirected to. Made with `new_call`."""

    __slots__ = (
        "before",
        "captured",
        "end_ns",
        "error",
        "extra",
        "following",
        "headers",
        "leaves",
        "method",
        "quiet",
        "request",
        "resent",
        "session",
        "span",
        "start_ns",
        "status",
        "told",
        "version",
    )
    leaves: Leaves[Key]
    captured: Captured | None
    """Which headers become attributes; None where none does."""
    session: Any
    following: bool
    """Whether the session is about to go where it was redirected to."""
    resent: int
    before: Any
    """The call around this one, as a token."""
    quiet: Any
    """The context without the silence that this call asked for, as a token; None where there is none."""

    request: Any
    """The one that is under way: this and all below belong to it."""
    told: Told
    method: str
    extra: bytes
    headers: bytes
    """Encoded attributes of captured headers of the answer."""
    span: Any
    start_ns: int
    end_ns: int
    status: int | None
    version: str | None
    error: str | None

    def begin(self, measurer: Measurer, context: Mapping[str, Any], request: Any) -> None:
        """Begin the next exchange, in OpenTelemetry's context."""
        urls = measurer.urls
        url = request.url
        # What is no URL the session will refuse by itself.
        told = self.told = urls.told[url if type(url) is str else ""]
        method = request.method
        self.method, extra = urls.methods[method if type(method) is str else ""]
        headers = request.headers
        self.request = request
        self.status = self.version = self.error = None
        self.end_ns = 0
        self.headers = b""
        parent = context.get(SPAN_KEY)
        if parent is None or _shows(parent):
            extra += told.attributes
            if headers is not None:
                agent = headers.get("User-Agent")
                if type(agent) is str:
                    extra += urls.agents[agent]
                if self.captured is not None:
                    extra += self.captured.encode_pairs(headers.items(), ())
            if self.resent:
                extra += _RESENT.integer(self.resent)
            start_ns = self.start_ns = perf_counter_ns()
            key = (self.method, told.scheme, told.host, told.port, None, None, None)
            span = self.span = self.leaves.begin(key, start_ns)
        else:
            span = self.span = None
            self.start_ns = perf_counter_ns()
        self.extra = extra
        if headers is not None:
            try:
                send_context(measurer.propagation, context, span, headers)
            except Exception as error:
                swallowed(WHERE, error)

    def answered(self, response: Any) -> None:
        """Note what came; an adapter of the application's may give anything."""
        status = response.status_code
        self.status = status if type(status) is int and 100 <= status <= 999 else None
        self.version = _VERSIONS.get(getattr(response.raw, "version", None))  # type: ignore[arg-type]
        if self.captured is not None:
            self.headers = self.captured.encode_pairs((), response.headers.items())

    def write(self) -> None:
        """Record the exchange as it ended."""
        told = self.told
        key = (self.method, told.scheme, told.host, told.port, self.status, self.version, self.error)
        self.request = None
        if self.span is None:
            self.leaves.write(key, self.start_ns, self.end_ns, self.extra)
        else:
            self.leaves.end(self.span, key, self.start_ns, self.end_ns, self.extra + self.headers)

    def finish(self, response: Any, error: BaseException | None) -> None:
        """The outermost `send` returns or raises: record the last exchange. Never raises."""
        try:
            running.reset(self.before)
            if self.quiet is not None:
                otel_context.detach(self.quiet)
            if error is not None:
                self.end_ns = perf_counter_ns()
                self.error = error_type(error)
            elif not self.resent:
                self.end_ns = perf_counter_ns()
                if self.status is None:
                    with guard(WHERE):
                        self.answered(response)
            self.write()
        except Exception as failure:
            swallowed(WHERE, failure)


running: ContextVar[Call | None] = ContextVar("otelc2c_call", default=None)
"""The call that the current code is inside of."""


def _shows(parent: Any) -> bool:
    """Whether a call below `parent` would have a span: there, or as a trace of its own if that is over."""
    if type(parent) is Span:
        return parent.recording or (parent.root or parent).ended_ns != 0
    return bool(parent.is_recording())


def _is_quiet(context: Mapping[str, Any]) -> bool:
    """Whether somebody asked for silence: an excluded request, or another instrumentation above."""
    if context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_PLAIN_SUPPRESS_KEY):
        return True
    http = context.get(_SUPPRESS_HTTP_INSTRUMENTATION_KEY)
    return bool(http) and http != _OURS


def new_call(measurer: Measurer, session: Any, request: Any) -> Call | None:
    """A call that begins now; None where it is not to be measured."""
    try:
        context = current_context()
        if len(context) > (SPAN_KEY in context) and _is_quiet(context):
            return None
        if measurer.urls.excluded is not None and measurer.urls.excludes(request.url):
            return None
        call = Call()
        call.leaves = measurer.http
        call.captured = measurer.captured_calls if measurer.captured_calls.wanted else None
        call.session = session
        call.following = False
        call.resent = 0
        call.quiet = None
        call.begin(measurer, context, request)
        call.before = running.set(call)
        # Where requests is, urllib3 is loaded too, and may be measured by somebody.
        pools = sys.modules.get(_POOLS)
        if pools is not None and hasattr(pools.HTTPConnectionPool.urlopen, "__wrapped__"):
            silence = {**context, _SUPPRESS_HTTP_INSTRUMENTATION_KEY: _OURS}
            call.quiet = otel_context.attach(Context(silence))
    except Exception as error:
        swallowed(WHERE, error)
        return None
    return call
