"""Threads and pools take OpenTelemetry's context along: the current span, and baggage.

What they do belongs to the request that started them for as long as that runs. Nothing needs to be
told when it ends: a span that begins in a context whose request is over is a trace of its own, with a
link to it (`Tracer.start_span`, `Leaves`). So what is carried is the context as it is, which holds a
span and nothing of the request.

Tasks of asyncio have their context by themselves. Under gevent threads and pools are greenlets, and are
covered; what is spawned by gevent's own functions is not, because those hand no context on.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach, detach

from otelc2c.context import current_context
from otelc2c.measure.late import LateInstrumentor

_WHERE: Final = "measure.threads"
_POOL: Final = "concurrent.futures.thread"
_NOTHING: Final = Context()


# -- threads ----------------------------------------------------------------------------------


def _start(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: Any) -> Any:
        context: Any = current_context()
        # A thread may live as long as the process: one that a probe starts is not quiet for ever.
        if not context or context.get(_SUPPRESS_INSTRUMENTATION_KEY):
            return original(self)
        # Where the thread looks for it, whatever class it has and however that overrides `run`.
        values = self.__dict__
        own = values.get("run")
        values["run"] = partial(_run_thread, self, context, own)
        try:
            return original(self)
        except BaseException:
            _put_back(self, own)
            raise

    return start


def _run_thread(thread: Any, context: Context, own: Any) -> None:
    _put_back(thread, own)
    token = attach(context)
    del context
    try:
        thread.run()
    finally:
        detach(token)


def _put_back(thread: Any, own: Any) -> None:
    """`run` as the thread had it before it was started."""
    if own is None:
        thread.__dict__.pop("run", None)
    else:
        thread.__dict__["run"] = own


# -- pools ------------------------------------------------------------------------------------


def _submit(original: Callable[..., Any]) -> Callable[..., Any]:
    def submit(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        context = current_context()
        if not context or not args:
            return original(self, *args, **kwargs)
        # The pool may make a thread now, which will work for other requests too.
        token = attach(_NOTHING)
        try:
            return original(self, _run, context, *args, **kwargs)
        finally:
            detach(token)

    return submit


def _run(context: Context, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = attach(context)
    del context
    try:
        return function(*args, **kwargs)
    finally:
        detach(token)


class ThreadingInstrumentor(LateInstrumentor):
    """Carries the context into threads, timers and the tasks of thread pools that start from now on."""

    modules = ("threading", "concurrent.futures.thread")
    where = "measure.threads"

    def change(self, module: Any) -> None:
        """Have threads, or pools, take the context along."""
        if module is threading:
            # gevent puts a class of its own below the one that has it.
            owner = next(kind for kind in threading.Thread.__mro__ if "start" in vars(kind))
            self._patches.replace(owner, "start", _start)
        else:
            self._patches.replace(module.ThreadPoolExecutor, "submit", _submit)
