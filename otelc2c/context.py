"""The current span: OpenTelemetry's own, read and set the short way.

OpenTelemetry keeps its current context in one `ContextVar`. The public functions reach
it through several calls and type checks, which cost a request more than all else that is
asked of the context (hot-path 2). That variable is private, so only `_variable` knows it,
and everything goes through the public functions when it is not as known: another runtime
context (`OTEL_PYTHON_CONTEXT`), or another layout.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Any, Final, Protocol, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, get_current_span, set_span_in_context

Activation: TypeAlias = Token[Context]
"""What `activate` returns and `deactivate` takes."""


def _variable() -> ContextVar[Context] | None:
    """OpenTelemetry's context variable, or None when the private layout is not the known one."""
    runtime = getattr(otel_context, "_RUNTIME_CONTEXT", None)
    found = getattr(runtime, "_current_context", None)
    if type(runtime).__name__ != "ContextVarsRuntimeContext" or not isinstance(found, ContextVar):
        return None
    return found if _is_the_current(found) else None


def _is_the_current(variable: ContextVar[Context]) -> bool:
    token = otel_context.attach(Context(otel_context.get_current()))
    try:
        return variable.get() is otel_context.get_current()
    finally:
        otel_context.detach(token)


def _span_key() -> str | None:
    """The key under which OpenTelemetry keeps the current span: what setting one adds to a context."""
    context = set_span_in_context(INVALID_SPAN, Context())
    return next(iter(context), None) if len(context) == 1 else None


class Activate(Protocol):
    """How a span becomes the current one."""

    def __call__(self, span: Span, now: Mapping[str, Any] | None = None) -> Activation:
        """Make `span` current. `now` is `current_context()`, where that has been looked at already."""


Ways: TypeAlias = tuple[Callable[[], Span], Activate, Callable[[Activation], None]]


def _short_way(get: Callable[[], Context], variable: ContextVar[Context], key: str) -> Ways:
    def current_span() -> Span:
        span: Any = get().get(key)
        return span or INVALID_SPAN

    write = variable.set

    def activate(span: Span, now: Mapping[str, Any] | None = None) -> Activation:
        if now is None:
            now = get()
        # Mostly there is nothing but a span, and no copy to make.
        return write(Context({**now, key: span} if len(now) > (key in now) else {key: span}))

    reset = variable.reset

    def deactivate(token: Activation) -> None:
        try:
            reset(token)
        except (ValueError, RuntimeError):
            # A body that is iterated or closed in another context or thread, or a second
            # call: the context it belongs to is gone, and nothing is left to put back.
            return

    return current_span, activate, deactivate


def _public_way() -> Ways:
    def activate(span: Span, now: Mapping[str, Any] | None = None) -> Activation:
        return otel_context.attach(set_span_in_context(span))

    return get_current_span, activate, otel_context.detach


def _choose() -> Ways:
    variable, key = _variable(), _span_key()
    if variable is None or key is None:
        return _public_way()
    return _short_way(variable.get, variable, key)


current_span, activate, deactivate = _choose()

_known: Final = _variable()
current_context: Final[Callable[[], Mapping[str, Any]]] = (
    otel_context.get_current if _known is None else _known.get
)
"""OpenTelemetry's current context."""
SPAN_KEY: Final = _span_key() or ""
"""Under which key the current context has its span; absent outside of any."""
