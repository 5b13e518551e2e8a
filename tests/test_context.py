"""The current span, read and set the short way, is OpenTelemetry's."""

import contextvars
import threading
from contextvars import ContextVar, Token
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext

from otelc2c import context


def span(number: int = 1) -> Span:
    """A span that records nothing."""
    return NonRecordingSpan(SpanContext(number, number, False))


class Foreign:
    """A runtime context of somebody else's, as `OTEL_PYTHON_CONTEXT` may name one."""

    def __init__(self) -> None:
        self._current_context: ContextVar[Context] = ContextVar("foreign")

    def attach(self, context: Context) -> Token[Context]:
        """Set the current context."""
        return self._current_context.set(context)

    def get_current(self) -> Context:
        """The current context."""
        return self._current_context.get(Context())

    def detach(self, token: Token[Context]) -> None:
        """Put back what was before."""
        self._current_context.reset(token)


@pytest.fixture(params=["short", "foreign"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The three functions, by the private variable and through the public API alone."""
    if request.param == "short":
        return context
    monkeypatch.setattr(otel_context, "_RUNTIME_CONTEXT", Foreign())
    current, activate, deactivate = context._choose()

    class Ways:
        current_span = staticmethod(current)

    Ways.activate = staticmethod(activate)  # type: ignore[attr-defined]
    Ways.deactivate = staticmethod(deactivate)  # type: ignore[attr-defined]
    return Ways


def test_the_known_layout_is_read_directly() -> None:
    """With the installed version of OpenTelemetry (hot-path 4: through one function)."""
    assert context._variable() is not None
    assert context.current_span is not trace.get_current_span


@pytest.mark.parametrize("runtime", [None, object(), Foreign()])
def test_an_unknown_layout_falls_back(monkeypatch: pytest.MonkeyPatch, runtime: object) -> None:
    """To the public functions."""
    monkeypatch.setattr(otel_context, "_RUNTIME_CONTEXT", Foreign() if runtime is None else runtime)
    assert context._choose()[0] is trace.get_current_span


def test_nothing_is_current_at_first(way: Any) -> None:
    """As OpenTelemetry says it."""
    assert way.current_span() is INVALID_SPAN


def test_an_active_span_is_current_for_everybody(way: Any) -> None:
    """For us and for the public API, and no longer afterwards; nested ones too."""
    outer, inner = span(1), span(2)
    first = way.activate(outer)
    second = way.activate(inner)
    assert way.current_span() is trace.get_current_span() is inner
    way.deactivate(second)
    assert way.current_span() is trace.get_current_span() is outer
    way.deactivate(first)
    assert way.current_span() is INVALID_SPAN


def test_what_the_public_api_sets_is_seen(way: Any) -> None:
    """An application's own `use_span`."""
    with trace.use_span(span()) as one:
        assert way.current_span() is one


def test_other_values_stay(way: Any) -> None:
    """Baggage and what else lies in the context."""
    outer = otel_context.attach(baggage.set_baggage("user", "7"))
    token = way.activate(span())
    assert baggage.get_baggage("user") == "7"
    assert isinstance(otel_context.get_current(), Context)
    way.deactivate(token)
    assert baggage.get_baggage("user") == "7"
    otel_context.detach(outer)


def test_a_context_without_a_span_has_none() -> None:
    """Somebody may have put None under the key."""
    token = context.activate(None)  # type: ignore[arg-type]
    assert context.current_span() is INVALID_SPAN
    context.deactivate(token)


def test_deactivating_elsewhere_or_twice_is_harmless() -> None:
    """A body closed in another context or thread (hot-path 4)."""
    token = context.activate(span())
    contextvars.Context().run(context.deactivate, token)
    thread = threading.Thread(target=context.deactivate, args=(token,))
    thread.start()
    thread.join()
    assert context.current_span() is not INVALID_SPAN
    context.deactivate(token)
    context.deactivate(token)
    assert context.current_span() is INVALID_SPAN
