"""Leaves: one metric, one span, one count in their request, wherever they happen."""

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

from otelc2c import guard
from otelc2c.measure.leaves import Described, Leaves
from otelc2c.measure.measurer import Measurer, install
from otelc2c.record import wire
from otelc2c.record.api_spans import ApiTracer
from otelc2c.record.samplers import Inline
from otelc2c.record.shape import Shape
from otelc2c.wsgi import Measured
from tests.measure.kit import Kit

NAME = "db.client.operation.duration"
MS = 1_000_000
Key = tuple[str, str | None]


def described(key: Key) -> Described:
    """A key of the tests: an operation, and the error that ended it."""
    operation, error = key
    values = ("test", operation, None, None, None, None, None, None, error)
    attributes = {"db.system.name": "test", "db.operation.name": operation}
    return Described(operation, attributes, values, None if error is None else "")


def leaves_of(kit: Kit) -> Leaves[Key]:
    """The leaves of a measurer, as a hook has them."""
    return kit.measurer.leaves("sql", kit.instruments.database, described)


def serve(inside: Callable[[], Any], environ: dict[str, Any] | None = None, body: Any = None) -> Any:
    """One measured request that does `inside`; its headers."""
    headers: list[tuple[str, str]] = []

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        inside()
        start_response("200 OK", [])
        return [b""] if body is None else body

    given = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "wsgi.url_scheme": "http",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "here",
        **(environ or {}),
    }
    answer = Measured(application)(given, lambda _status, sent, _info=None: headers.extend(sent))
    for _ in answer:
        pass
    if hasattr(answer, "close"):
        answer.close()
    return dict(headers)


def write(leaves: Leaves[Key], took: int = MS, key: Key = ("SELECT", None), extra: bytes = b"") -> None:
    """One leaf that took so many nanoseconds."""
    now = perf_counter_ns()
    leaves.write(key, now - took, now, extra)


@contextmanager
def alone() -> Iterator[contextvars.Context]:
    """A context without a span."""
    yield contextvars.Context()


def test_a_leaf_is_a_client_span_below_the_current_one_and_one_in_the_metric() -> None:
    with Kit() as kit:
        leaves = leaves_of(kit)
        serve(lambda: write(leaves, extra=wire.attribute("rows", 3)))
    leaf, server = kit.named("SELECT"), kit.server()
    assert (leaf.parent, leaf.wire.kind) == (server.id, leaf.wire.SPAN_KIND_CLIENT)
    assert leaf.attributes == {"db.system.name": "test", "db.operation.name": "SELECT", "rows": 3}
    assert leaf.wire.end_time_unix_nano - leaf.wire.start_time_unix_nano == MS
    assert kit.point(NAME) == {"db.system.name": "test", "db.operation.name": "SELECT"}
    assert [exemplar.span_id for exemplar in kit.exemplars(NAME)] == [leaf.id]


def test_the_request_knows_number_and_time_of_its_leaves() -> None:
    with Kit() as kit:
        leaves = leaves_of(kit)
        serve(lambda: [write(leaves) for _ in range(5)])
    attributes = kit.server().attributes
    assert attributes["otelc2c.sql.count"] == 5
    assert attributes["otelc2c.sql.duration"] == pytest.approx(0.005)
    assert sum(kit.points("otelc2c.request.operations").values()) == 1


def test_a_request_that_asks_nothing_has_no_totals() -> None:
    with Kit() as kit:
        serve(lambda: None)
    assert not [key for key in kit.server().attributes if key.startswith("otelc2c.")]
    assert kit.points("otelc2c.request.operations") == {}


def test_leaves_below_spans_of_the_application_count_in_the_request_too() -> None:
    """Whatever scope those spans have."""
    with Kit() as kit:
        leaves = leaves_of(kit)
        tracer = kit.provider.get_tracer("application")

        def inside() -> None:
            with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
                write(leaves)

        serve(inside)
    assert kit.named("SELECT").parent == kit.named("inner").id
    assert kit.server().attributes["otelc2c.sql.count"] == 1


def test_metrics_and_totals_are_exact_where_nothing_is_sampled() -> None:
    with Kit(sampler=Inline(0, parent_based=True)) as kit:
        leaves = leaves_of(kit)
        serve(lambda: [write(leaves) for _ in range(3 - leaves.wanted())])
    assert kit.spans == []
    assert list(kit.points(NAME).values()) == [3]
    assert list(kit.points("otelc2c.request.operations").values()) == [1]
    assert kit.exemplars(NAME) == []


def test_a_failed_leaf_has_the_status_error() -> None:
    with Kit() as kit:
        leaves = leaves_of(kit)
        serve(lambda: write(leaves, key=("SELECT", "Timeout")))
    assert kit.named("SELECT").wire.status.code == 2
    assert kit.point(NAME)["error.type"] == "Timeout"


def test_short_leaves_may_be_left_out_and_failed_ones_are_not() -> None:
    with Kit({"OTELC2C_LEAF_SPAN_MIN_DURATION": "5"}) as kit:
        leaves = leaves_of(kit)
        serve(lambda: (write(leaves, 4 * MS), write(leaves, 6 * MS), write(leaves, MS, ("SELECT", "E"))))
    assert len(kit.spans) == 3
    assert sum(kit.points(NAME).values()) == 3
    assert kit.server().attributes["otelc2c.leaf_spans.left_out"] == 1
    assert kit.server().attributes["otelc2c.sql.count"] == 3


def test_a_request_has_a_limited_number_of_leaf_spans() -> None:
    """2,594 spans of one request were seen (contract opentelemetry 3.4)."""
    with Kit({"OTELC2C_LEAF_SPAN_LIMIT": "10"}) as kit:
        leaves = leaves_of(kit)
        serve(lambda: [write(leaves) for _ in range(2594)])
    assert len(kit.spans) == 11
    assert list(kit.points(NAME).values()) == [2594]
    assert kit.server().attributes["otelc2c.leaf_spans.left_out"] == 2584


def test_nothing_is_recorded_where_it_is_suppressed() -> None:
    with Kit() as kit:
        leaves = leaves_of(kit)

        def inside() -> None:
            with suppress_instrumentation():
                write(leaves)
                assert leaves.begin(("SELECT", None), 1) is None

        serve(inside)
        serve(lambda: write(leaves), {"PATH_INFO": "/health_check"})
    assert kit.points(NAME) == {}
    assert len(kit.spans) == 1


def test_nothing_is_recorded_where_it_is_suppressed_outside_of_a_request() -> None:
    def outside(leaves: Leaves[Key]) -> None:
        with suppress_instrumentation():
            write(leaves)
            assert leaves.begin(("SELECT", None), 1) is None

    with Kit() as kit:
        contextvars.Context().run(outside, leaves_of(kit))
    assert kit.points(NAME) == {}
    assert kit.spans == []


def test_outside_of_a_request_a_leaf_is_a_trace_of_its_own() -> None:
    """As contrib has it for statements at start."""
    with Kit() as kit:
        contextvars.Context().run(write, leaves_of(kit))
    assert kit.span.parent == b""
    assert kit.span.wire.kind == kit.span.wire.SPAN_KIND_CLIENT
    assert list(kit.points(NAME).values()) == [1]


def test_below_a_context_from_elsewhere_a_leaf_continues_that_trace() -> None:
    above = SpanContext(7, 9, True, TraceFlags(1))

    def inside(leaves: Leaves[Key]) -> None:
        token = trace.context_api.attach(set_span_in_context(NonRecordingSpan(above)))
        write(leaves)
        trace.context_api.detach(token)

    with Kit() as kit:
        contextvars.Context().run(inside, leaves_of(kit))
    assert kit.span.wire.trace_id == (7).to_bytes(16, "big")
    assert kit.span.parent == (9).to_bytes(8, "big")


def test_after_its_request_a_leaf_is_a_trace_of_its_own_with_a_link() -> None:
    """What a request leaves behind, in a thread as in a callback."""
    kept: list[contextvars.Context] = []
    with Kit() as kit:
        leaves = leaves_of(kit)
        serve(lambda: kept.append(contextvars.copy_context()))
        kept[0].run(write, leaves)
    server, leaf = kit.server(), kit.named("SELECT")
    assert leaf.wire.trace_id != server.wire.trace_id
    assert [link.span_id for link in leaf.wire.links] == [server.id]
    assert "otelc2c.sql.count" not in server.attributes


def test_a_leaf_that_begins_early_has_its_ids_and_ends_as_it_turned_out() -> None:
    """For who sends trace context along."""
    seen: list[Any] = []
    with Kit() as kit:
        leaves = leaves_of(kit)

        def inside() -> None:
            start = perf_counter_ns()
            span = leaves.begin(("SELECT", None), start)
            assert span is not None
            seen.append(span.span_id)
            leaves.end(span, ("SELECT", "Timeout"), start, start + MS)

        serve(inside)
    leaf = kit.named("SELECT")
    assert [leaf.id] == seen
    assert leaf.attributes == {"db.system.name": "test", "db.operation.name": "SELECT"}
    assert leaf.wire.status.code == 2
    assert kit.server().attributes["otelc2c.sql.count"] == 1
    assert kit.point(NAME)["error.type"] == "Timeout"


def test_a_leaf_that_nobody_sees_is_counted_all_the_same() -> None:
    with Kit(sampler=Inline(0, parent_based=True)) as kit:
        leaves = leaves_of(kit)

        def inside() -> None:
            span = leaves.begin(("SELECT", None), 1)
            assert span is None
            leaves.end(span, ("SELECT", None), 1, 2)

        serve(inside)
    assert list(kit.points(NAME).values()) == [1]


@pytest.mark.parametrize("sampled", [True, False])
def test_the_sdk_s_provider_gets_the_same(sampled: bool) -> None:
    """With OTELC2C_TRACER_PROVIDER=sdk: spans below the right parents, and totals (D3)."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider() if sampled else TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with Kit() as kit:
        measurer = Measurer(kit.settings, ApiTracer(provider.get_tracer("otelc2c")), kit.instruments)
        install(measurer)
        leaves = measurer.leaves("sql", kit.instruments.database, described)

        def inside() -> None:
            write(leaves)
            with provider.get_tracer("application").start_as_current_span("own"):
                write(leaves)

        serve(inside)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert list(kit.points(NAME).values()) == [2]
    assert list(kit.points("otelc2c.request.operations").values()) == [1]
    if not sampled:
        assert spans == {}
        return
    assert spans["GET"].attributes is not None
    assert spans["GET"].attributes["otelc2c.sql.count"] == 2
    assert [span.kind for span in exporter.get_finished_spans()].count(SpanKind.CLIENT) == 2
    last = [span for span in exporter.get_finished_spans() if span.name == "SELECT"][1]
    assert last.parent is not None
    assert spans["own"].context is not None
    assert last.parent.span_id == spans["own"].context.span_id


def test_a_failure_of_ours_is_swallowed_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    guard.strict(False)

    def broken(*_arguments: Any) -> Shape:
        raise ZeroDivisionError

    with Kit() as kit:
        leaves = leaves_of(kit)
        monkeypatch.setattr(kit.measurer.tracer, "shape", broken)
        serve(lambda: (write(leaves), leaves.end(leaves.begin(("X", None), 1), ("X", None), 1, 2)))
    assert guard.counts()["measure.sql"] >= 2


def test_server_timing_says_where_the_time_went_if_it_is_asked_for() -> None:
    with Kit({"OTELC2C_RESPONSE_HEADERS": "Server-Timing"}) as kit:
        leaves = leaves_of(kit)
        headers = serve(lambda: (write(leaves), write(leaves)))
    assert headers["Server-Timing"].startswith("total;dur=")
    assert headers["Server-Timing"].endswith('sql;dur=2.0;desc="2"')
    with Kit() as kit:
        assert "Server-Timing" not in serve(lambda: None)
