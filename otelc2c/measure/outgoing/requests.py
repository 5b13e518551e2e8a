"""The library requests: each HTTP exchange of a session is one call, redirects one after another.

`Session.send` is where every call comes by, with whatever adapter: the application's own, or one that never
opens a connection. It is called again for each redirect, inside of the first call; so what is open
there is kept in a context variable. A call lasts until its body was read, as the session reads it;
one that is streamed until its headers were.

A failure behind an answer (a body that breaks off, too many redirects, a location that is none)
belongs to the call that brought the answer: n calls give n in the metric.
"""

from collections.abc import Callable, Collection
from functools import partial
from time import perf_counter_ns
from typing import Any, Final

from otelc2c.context import current_context
from otelc2c.guard import swallowed
from otelc2c.measure.late import LateInstrumentor
from otelc2c.measure.measurer import Measurer, installed
from otelc2c.measure.outgoing.call import WHERE, Call, new_call, running

_SESSIONS: Final = "requests.sessions"


def _send(original: Callable[..., Any], unprepared: type) -> Callable[..., Any]:
    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        measurer = installed.measurer
        if measurer is None or isinstance(request, unprepared):
            return original(self, request, **kwargs)
        around = running.get()
        if around is not None and around.following and around.session is self:
            return _send_on(original, measurer, around, request, kwargs)
        call = new_call(measurer, self, request)
        if call is None:
            return original(self, request, **kwargs)
        try:
            response = original(self, request, **kwargs)
        except BaseException as error:
            call.finish(None, error)
            raise
        call.finish(response, None)
        return response

    return send


def _send_on(
    original: Callable[..., Any], measurer: Measurer, call: Call, request: Any, kwargs: dict[str, Any]
) -> Any:
    """Send what the session was redirected to: another exchange of the same call."""
    try:
        call.write()
        call.resent += 1
        call.following = False
        call.begin(measurer, current_context(), request)
    except Exception as error:
        swallowed(WHERE, error)
    # What is raised passes the outermost `send` too.
    response = original(call.session, request, **kwargs)
    try:
        call.end_ns = perf_counter_ns()
        call.answered(response)
    except Exception as error:
        swallowed(WHERE, error)
    return response


def _get_redirect_target(original: Callable[..., Any]) -> Callable[..., Any]:
    """Asked of each answer before its body is read, whether it is a redirect or not."""

    def get_redirect_target(self: Any, resp: Any) -> Any:
        target = original(self, resp)
        call = running.get()
        if call is not None:
            try:
                if call.request is resp.request:
                    call.answered(resp)
                    if target:
                        call.end_ns = perf_counter_ns()
                        call.following = True
            except Exception as error:
                swallowed(WHERE, error)
        return target

    return get_redirect_target


class RequestsInstrumentor(LateInstrumentor):
    """Measures the calls of all sessions of requests, those that exist already as well."""

    modules = ("requests.sessions",)
    where = WHERE

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("requests >= 2.20, < 3",)

    def change(self, module: Any) -> None:
        """Wrap where every call comes by, and where answers are asked for redirects."""
        replace = self._patches.replace
        replace(module.Session, "send", partial(_send, unprepared=module.Request))
        replace(module.SessionRedirectMixin, "get_redirect_target", _get_redirect_target)
