"""A span around a block: the application's exception is the one that leaves it."""

import pytest

from otelc2c import guard
from otelc2c.record.provider import TracerProvider
from tests.record.spans import ListSink


class Unreadable(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")


def test_an_exception_that_cannot_be_told_leaves_as_it_is() -> None:
    """F-79: its text fails; the span ends all the same."""
    guard.strict(False)
    sink = ListSink()
    tracer = TracerProvider(sink, shutdown_on_exit=False).get_tracer("shop")
    with pytest.raises(Unreadable), tracer.start_as_current_span("order"):
        raise Unreadable
    assert [span.name for span in sink.spans] == ["order"]
    assert guard.counts() == {"span": 1}
