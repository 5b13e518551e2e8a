"""`start_as_current_span`: a span around a block or a function, current while it runs."""

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

from opentelemetry.trace import Span, Status, StatusCode

from otelc2c.context import Activation, activate, deactivate
from otelc2c.guard import swallowed

_F = TypeVar("_F", bound=Callable[..., Any])


class CurrentSpan:
    """Begins a span on entering, ends it on leaving; as a decorator, once for each call."""

    __slots__ = ("_begin", "_end_on_exit", "_record_exception", "_set_status", "_span", "_token")

    _span: Span
    _token: Activation

    def __init__(
        self, begin: Callable[[], Span], record_exception: bool, set_status: bool, end_on_exit: bool
    ) -> None:
        """`begin` begins a span; the rest is as in OpenTelemetry's `use_span`."""
        self._begin = begin
        self._record_exception = record_exception
        self._set_status = set_status
        self._end_on_exit = end_on_exit

    def __enter__(self) -> Span:
        span = self._span = self._begin()
        self._token = activate(span)
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deactivate(self._token)
        span = self._span
        try:
            # Only `Exception`s are errors: leaving by GeneratorExit or SystemExit is none.
            if isinstance(error, Exception) and span.is_recording():
                if self._record_exception:
                    span.record_exception(error)
                if self._set_status:
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        except Exception as failure:
            # What cannot be told of the application's exception must not take its place.
            swallowed("span", failure)
        finally:
            if self._end_on_exit:
                span.end()

    def _again(self) -> "CurrentSpan":
        return CurrentSpan(self._begin, self._record_exception, self._set_status, self._end_on_exit)

    def __call__(self, function: _F) -> _F:
        """The function with a span around each call; of a coroutine function, around all it awaits."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return await function(*args, **kwargs)

            return cast("_F", call_async)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return cast("_F", call)
