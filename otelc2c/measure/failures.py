"""Exceptions as spans show them. Nothing of an exception is trusted: not its text, not its size."""

import traceback
from typing import Any, Final

from opentelemetry.trace import Span

from otelc2c.measure.texts import without_secrets

MOST_MESSAGE: Final = 4096
"""Characters of a message that are kept."""
MOST_STACK: Final = 32_768
"""Characters of a stack trace that are kept: its beginning and its end."""


def error_type(error: BaseException) -> str:
    """The `error.type` of an exception, as contrib's instrumentations name it."""
    return type(error).__qualname__


def message_of(error: BaseException) -> str:
    """The text of an exception, cut, without secrets of URLs; a placeholder where `__str__` fails (F-79)."""
    try:
        text = str(error)
    except Exception as failure:
        return f"<text not available: {type(failure).__name__}>"
    return without_secrets(text if len(text) <= MOST_MESSAGE else text[:MOST_MESSAGE] + "...")


def stack_of(error: BaseException) -> str:
    """The stack trace as Python prints it, cut in the middle, without secrets of URLs; empty if it fails."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:
        return ""
    if len(text) <= MOST_STACK:
        return without_secrets(text)
    half = MOST_STACK // 2
    start, end = text[:half], text[-half:]
    # From the beginning of a word on: in the middle of one nobody sees that it is a URL.
    end = end[len(end.split(maxsplit=1)[0]) :] if end[:1].strip() else end
    return without_secrets(f"{start}\n... {len(text) - 2 * half} characters left out ...\n{end}")


def record(span: Span, error: BaseException, escaped: bool) -> None:
    """Add the event "exception" of the conventions. `escaped` says that the application let it pass."""
    kind = type(error)
    module = kind.__module__
    values: dict[str, Any] = {
        "exception.type": kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}",
        "exception.message": message_of(error),
        "exception.stacktrace": stack_of(error),
        "exception.escaped": str(escaped),
    }
    span.add_event("exception", values)
