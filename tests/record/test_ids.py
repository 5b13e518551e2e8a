"""Ids: never zero, never an application's to repeat, never the same in two processes."""

import os
import random

import pytest

from otelc2c.record import ids


def test_ids_have_their_size_and_differ() -> None:
    """16 and 8 bytes."""
    traces = {ids.new_trace_id() for _ in range(100)}
    spans = {ids.new_span_id() for _ in range(100)}
    assert {len(one) for one in traces} == {16}
    assert {len(one) for one in spans} == {8}
    assert len(traces) == len(spans) == 100


def test_an_id_is_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zero is what OpenTelemetry calls invalid."""
    monkeypatch.setattr(ids, "urandom", bytes)
    for stock, new in ((ids.traces, ids.new_trace_id), (ids.spans, ids.new_span_id)):
        kept = stock.copy()
        stock.clear()
        assert any(new())
        assert stock
        assert all(any(one) for one in stock)
        stock[:] = kept


def test_ids_are_new_again_when_the_stock_is_empty() -> None:
    """They are drawn many at once."""
    traces = {ids.new_trace_id() for _ in range(len(ids.traces) + 2)}
    spans = {ids.new_span_id() for _ in range(len(ids.spans) + 2)}
    assert ids.traces
    assert ids.spans
    assert not traces.intersection(ids.traces)
    assert not spans.intersection(ids.spans)


def test_the_seed_of_the_application_changes_nothing() -> None:
    """An application that calls `random.seed` for its own sake repeats no id (hot-path 4)."""
    random.seed(1)
    first = ids.new_trace_id()
    random.seed(1)
    assert ids.new_trace_id() != first


def test_parent_and_children_of_forks_draw_different_ids() -> None:
    """All of them start from the same memory (hot-path 4)."""
    drawn = []
    for _ in range(3):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(write, ids.new_trace_id() + ids.new_span_id())
            os._exit(0)
        os.waitpid(pid, 0)
        drawn.append(os.read(read, 24))
        os.close(read)
        os.close(write)
    drawn.append(ids.new_trace_id() + ids.new_span_id())
    assert len({one[:16] for one in drawn}) == 4
    assert len({one[16:] for one in drawn}) == 4
