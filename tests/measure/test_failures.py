"""Exceptions as spans show them: nothing of them is trusted."""

from typing import Any

from opentelemetry.trace import NonRecordingSpan, SpanContext

from otelc2c.measure.failures import MOST_STACK, error_type, message_of, record, stack_of
from tests.measure.corpus import RaisesInStr


class Noted(NonRecordingSpan):
    """Keeps its events."""

    def __init__(self) -> None:
        super().__init__(SpanContext(1, 2, is_remote=False))
        self.events: list[tuple[str, Any]] = []

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.events.append((name, attributes))


def raised(error: BaseException) -> BaseException:
    """The same with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def test_an_exception_is_the_event_of_the_conventions() -> None:
    """Builtin types without their module, others with it."""
    span = Noted()
    record(span, raised(ValueError("no")), escaped=True)
    record(span, raised(RaisesInStr()), escaped=False)
    (_, first), (_, second) = span.events
    assert first["exception.type"] == "ValueError"
    assert second["exception.type"] == f"{RaisesInStr.__module__}.RaisesInStr"
    assert (first["exception.escaped"], second["exception.escaped"]) == ("True", "False")
    assert second["exception.message"] == "<text not available: ValueError>"
    assert "in raised" in second["exception.stacktrace"]


def test_large_texts_keep_their_ends() -> None:
    """F-80: a stack of ten thousand lines."""
    error = raised(ValueError("a" + "\n" * 100_000 + "z"))
    assert len(message_of(error)) < 4200
    stack = stack_of(error)
    assert len(stack) < MOST_STACK + 100
    assert "characters left out" in stack
    assert stack.startswith("Traceback")
    assert stack.rstrip().endswith("z")


def test_a_stack_that_cannot_be_made_is_empty() -> None:
    """Formatting asks the exception for its cause, its notes and more."""

    class Odd(Exception):
        @property
        def __notes__(self) -> Any:
            raise OSError("no notes")

    assert "Odd" in stack_of(raised(Odd())) or stack_of(raised(Odd())) == ""


def test_the_type_of_an_error_is_its_qualified_name() -> None:
    """As contrib's instrumentations have it."""
    assert error_type(raised(KeyError())) == "KeyError"
