"""The library requests: each HTTP exchange of a session is one call, redirects one after another.

`Session.send` is where every call comes by, with whatever adapter: the application's own, or one that never
opens a connection. It is called again for each redirect, inside of the first call; so what is open
there is kept in a context variable. A call lasts until its body was read, as the session reads it;
one that is streamed until its headers were.

A failure behind an answer (a body that breaks off, too many redirects, a location that is none)
belongs to the call that brought the answer: n calls give n in the metric.
"""

import sys
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from functools import partial
from time import perf_counter_ns
from typing import Any, ClassVar, Final

import wrapt
from opentelemetry import context as otel_context
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
)
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from otelc2c.context import SPAN_KEY, current_context
from otelc2c.guard import swallowed
from otelc2c.measure.failures import error_type
from otelc2c.measure.leaves import Leaves
from otelc2c.measure.measurer import Measurer, installed
from otelc2c.measure.outgoing.names import Key
from otelc2c.measure.outgoing.sending import send_context
from otelc2c.measure.outgoing.urls import Place, Urls, parts
from otelc2c.measure.patches import Patches
from otelc2c.record import wire

_WHERE: Final = "measure.requests"
_SESSIONS: Final = "requests.sessions"
_RESENT: Final = wire.Key("http.request.resend_count")
_VERSIONS: Final = {9: "0.9", 10: "1.0", 11: "1.1", 20: "2", 30: "3"}
"""Versions of the protocol, as urllib3 numbers them."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PLAIN_SUPPRESS_KEY: Final = "suppress_instrumentation"
_OURS: Final = "by otelc2c"
"""Keeps what stands below us quiet, but not calls that a hook of the application makes by itself."""


class _Call:
    """One call of a session, with all that it is redirected to. Made with `_new_call`."""

    __slots__ = (
        "_before",
        "_quiet",
        "end_ns",
        "error",
        "extra",
        "following",
        "leaves",
        "method",
        "place",
        "request",
        "resent",
        "session",
        "span",
        "start_ns",
        "status",
        "version",
    )
    leaves: Leaves[Key]
    session: Any
    resent: int
    following: bool
    """Whether the session is sending on what it was redirected to."""

    request: Any
    """The one that is under way: this and all below belong to it."""
    method: str
    place: Place
    extra: bytes
    span: Any
    start_ns: int
    end_ns: int
    status: int | None
    version: str | None
    error: str | None

    def begin(self, measurer: Measurer, urls: Urls, request: Any) -> None:
        """Begin the next exchange."""
        url = request.url
        if type(url) is not str:
            # The session will say what it thinks of that.
            url = ""
        start, path = parts(url)
        place = self.place = urls.places[start]
        self.method, original = urls.methods[str(request.method)]
        self.request = request
        self.status = self.version = self.error = None
        self.end_ns = 0
        leaves = self.leaves
        self.extra = b""
        headers = request.headers
        wanted = leaves.wanted()
        if wanted:
            agent = None if headers is None else headers.get("User-Agent")
            self.extra = original + urls.attributes(place, url, path, agent)
            if self.resent:
                self.extra += _RESENT.integer(self.resent)
        start_ns = self.start_ns = perf_counter_ns()
        key = (self.method, place.scheme, place.host, place.port, None, None, None)
        self.span = leaves.begin(key, start_ns) if wanted else None
        if headers is not None:
            try:
                send_context(measurer.propagation, self.span, headers)
            except Exception as error:
                swallowed(_WHERE, error)

    def answered(self, response: Any) -> None:
        """Note what came; a custom adapter may give anything."""
        status = response.status_code
        self.status = status if type(status) is int and 100 <= status <= 999 else None
        self.version = _VERSIONS.get(getattr(response.raw, "version", None))  # type: ignore[arg-type]

    def write(self) -> None:
        """Record the exchange as it ended."""
        place = self.place
        self.leaves.end(
            self.span,
            (self.method, place.scheme, place.host, place.port, self.status, self.version, self.error),
            self.start_ns,
            self.end_ns,
            self.extra,
        )
        self.request = None

    # -- the end of `Session.send` -----------------------------------------------------------

    def returned(self, response: Any) -> None:
        """The outermost `send` returns."""
        try:
            if not self.resent:
                if not self.end_ns:
                    self.end_ns = perf_counter_ns()
                if self.status is None:
                    self.answered(response)
            self.finish()
        except Exception as error:
            swallowed(_WHERE, error)

    def raised(self, error: BaseException) -> None:
        """The outermost `send` raises."""
        try:
            if self.error is None:
                self.error = error_type(error)
                self.end_ns = perf_counter_ns()
            self.finish()
        except Exception as failure:
            swallowed(_WHERE, failure)

    def finish(self) -> None:
        """Leave what `_new_call` entered, and record the last exchange."""
        self.leave()
        self.write()

    def enter(self) -> None:
        """Be found by what runs inside; keep an instrumentation of urllib3 quiet, if there is one."""
        self._before = _running.set(self)
        self._quiet = None
        if _is_wrapped():
            values = {**otel_context.get_current(), _SUPPRESS_HTTP_INSTRUMENTATION_KEY: _OURS}
            self._quiet = otel_context.attach(Context(values))

    def leave(self) -> None:
        """Put back what was before."""
        _running.reset(self._before)
        if self._quiet is not None:
            otel_context.detach(self._quiet)


_running: ContextVar[_Call | None] = ContextVar("otelc2c_requests", default=None)
"""The call that the current code is inside of."""


def _is_wrapped() -> bool:
    """Whether somebody measures urllib3, which is loaded where requests is."""
    pools = sys.modules.get("urllib3.connectionpool")
    return pools is not None and getattr(pools.HTTPConnectionPool.urlopen, "__wrapped__", None) is not None


def _is_quiet(context: Mapping[str, Any]) -> bool:
    """Whether somebody asked for silence: an excluded request, or another instrumentation above."""
    if context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_PLAIN_SUPPRESS_KEY):
        return True
    http = context.get(_SUPPRESS_HTTP_INSTRUMENTATION_KEY)
    return bool(http) and http != _OURS


def _new_call(measurer: Measurer, session: Any, request: Any) -> _Call | None:
    """A call that begins now; None where it is not to be measured."""
    try:
        context = current_context()
        if len(context) > (SPAN_KEY in context) and _is_quiet(context):
            return None
        urls = measurer.urls
        if urls.excludes(request.url):
            return None
        call = _Call()
        call.leaves = measurer.http
        call.session = session
        call.resent = 0
        call.following = False
        call.begin(measurer, urls, request)
        call.enter()
    except Exception as error:
        swallowed(_WHERE, error)
        return None
    return call


def _send(original: Callable[..., Any], unprepared: type) -> Callable[..., Any]:
    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        measurer = installed.measurer
        if measurer is None or isinstance(request, unprepared):
            return original(self, request, **kwargs)
        running = _running.get()
        if running is not None and running.following and running.session is self:
            return _send_on(original, measurer, running, request, kwargs)
        call = _new_call(measurer, self, request)
        if call is None:
            return original(self, request, **kwargs)
        try:
            response = original(self, request, **kwargs)
        except BaseException as error:
            call.raised(error)
            raise
        call.returned(response)
        return response

    return send


def _send_on(
    original: Callable[..., Any], measurer: Measurer, call: _Call, request: Any, kwargs: dict[str, Any]
) -> Any:
    """Send what the session was redirected to: another exchange of the same call."""
    try:
        call.write()
        call.resent += 1
        call.following = False
        call.begin(measurer, measurer.urls, request)
    except Exception as error:
        swallowed(_WHERE, error)
    try:
        response = original(call.session, request, **kwargs)
    except BaseException as error:
        call.error = error_type(error)
        call.end_ns = perf_counter_ns()
        raise
    try:
        call.end_ns = perf_counter_ns()
        call.answered(response)
        call.following = True
    except Exception as error:
        swallowed(_WHERE, error)
    return response


def _resolve_redirects(original: Callable[..., Any]) -> Callable[..., Any]:
    """Called for each answer before its body is read, whether it is a redirect or not."""

    def resolve_redirects(self: Any, resp: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        call = _running.get()
        if call is not None and call.request is req:
            try:
                call.answered(resp)
                if call.status in _REDIRECTS and not kwargs.get("yield_requests") and resp.is_redirect:
                    call.end_ns = perf_counter_ns()
                    call.following = True
            except Exception as error:
                swallowed(_WHERE, error)
        return original(self, resp, req, *args, **kwargs)

    return resolve_redirects


class RequestsInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Measures the calls of all sessions of requests, those that exist already as well."""

    # The base class makes one instance, but calls `__init__` each time.
    _patches: ClassVar[Patches] = Patches()
    _on = False
    _hooked = False

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("requests >= 2.20, < 3",)

    def _instrument(self, **_kwargs: Any) -> None:
        # Not imported here: what requests loads must not be there before gevent has replaced `ssl`.
        self._on = True
        if _SESSIONS in sys.modules:
            self._change(sys.modules[_SESSIONS])
        elif not self._hooked:
            self._hooked = True
            wrapt.register_post_import_hook(self._change, _SESSIONS)

    def _change(self, module: Any) -> None:
        if not self._on:
            return
        try:
            replace = self._patches.replace
            replace(module.Session, "send", partial(_send, unprepared=module.Request))
            replace(module.SessionRedirectMixin, "resolve_redirects", _resolve_redirects)
        except Exception as error:
            swallowed(_WHERE, error)

    def _uninstrument(self, **_kwargs: Any) -> None:
        self._on = False
        self._patches.restore()
