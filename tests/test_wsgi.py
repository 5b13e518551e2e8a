"""The outermost layer: it changes nothing, and measures what was really sent."""

import contextvars
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext, TraceFlags

from otelc2c import context, guard
from otelc2c.measure import bodies, request
from otelc2c.measure.measurer import installed
from otelc2c.record.samplers import Inline
from otelc2c.wsgi import Measured, measured
from tests.measure.corpus import APPLICATIONS, ENVIRONS, PLAIN, Chunks, answer, make_environ, observe
from tests.measure.kit import ALWAYS, Kit, sampled_out

DURATION = "http.server.request.duration"


@pytest.fixture
def kit() -> Iterator[Kit]:
    """Everything installed, everything sampled."""
    with Kit() as made:
        yield made
        assert trace.get_current_span() is INVALID_SPAN, "the request's context was left behind"
        assert made.active == 0


def called(app: Any, changes: dict[str, Any] | None = None, most: int = 1000) -> list[Any]:
    """What a server sees of `app` inside our layer."""
    return observe(Measured(app), make_environ(changes), most)


def current() -> str:
    """The trace id that an application sees, in hex."""
    return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)


# -- nothing changes --------------------------------------------------------------------------


@pytest.mark.parametrize("name", APPLICATIONS)
def test_what_a_server_sees_is_what_it_sees_without_us(kit: Kit, name: str) -> None:
    """F-78, F-79: every odd answer, read to its end and given up after the first chunk."""
    app = APPLICATIONS[name]
    assert called(app) == observe(app, make_environ())
    assert called(app, most=1) == observe(app, make_environ(), 1)
    assert len(kit.spans) == 2


@pytest.mark.parametrize("name", ENVIRONS)
def test_odd_requests_reach_the_application_as_they_are(kit: Kit, name: str) -> None:
    """F-74: the same answer, and a span of every request that is not left out."""
    changes = dict(ENVIRONS[name])
    for app in (APPLICATIONS["echo"], APPLICATIONS["generator"], APPLICATIONS["raises"]):
        assert called(app, changes) == observe(app, make_environ(changes))
    assert len(kit.spans) == (0 if name in ("excluded", "unsampled trace") else 3)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_unsampled_requests_are_not_changed_either(name: str) -> None:
    """The other way through the same code."""
    with sampled_out() as kit:
        assert called(APPLICATIONS[name]) == observe(APPLICATIONS[name], make_environ())
        assert kit.spans == []
        assert sum(kit.points(DURATION).values()) == 1
        assert kit.active == 0


def _fails(*_args: Any, **_named: Any) -> Any:
    raise RuntimeError("a failure of ours")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("measurer", "excluded"),
        ("measurer", "propagation"),
        ("measurer", "entries"),
        ("measurer", "tracer"),
        ("measurer", "attributes"),
        ("entry", "active"),
        ("entry", "outcomes"),
        ("request", "look"),
        ("request", "status_code"),
        ("request", "record"),
        ("bodies", "SizedBody"),
        ("bodies", "Body"),
        ("bodies", "_watch_close"),
        ("context", "activate"),
    ],
)
def test_a_failure_of_ours_is_not_noticed(owner: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """D12: each piece fails in turn, and the answers stay what they are."""

    class Broken:
        __getattr__ = __getitem__ = __call__ = _fails

    guard.strict(False)
    monkeypatch.setattr(guard, "say", lambda _text: True)
    with Kit() as kit:
        entry = kit.measurer.entries["GET", "http", "HTTP/1.1"]
        if owner == "request" and name == "look":
            monkeypatch.setattr(request.Request, "_record", _fails)
        else:
            target = {
                "measurer": kit.measurer,
                "entry": entry,
                "request": request,
                "bodies": bodies,
                "context": context,
            }[owner]
            monkeypatch.setattr(target, name, Broken())
        for app in APPLICATIONS.values():
            assert called(app) == observe(app, make_environ())
            assert called(app, most=1) == observe(app, make_environ(), 1)
        if owner != "entry" and name != "look":
            assert kit.active == 0
    assert guard.total() > 0
    assert trace.get_current_span() is INVALID_SPAN


def test_the_headers_of_the_application_are_not_touched(kit: Kit) -> None:
    """Our header is in a list of our own."""
    headers = list(PLAIN)
    called(answer("200 OK", headers, [b"ok"]))
    assert headers == PLAIN


# -- request id -------------------------------------------------------------------------------


def sent_headers(app: Any, changes: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    """All headers that the server gets."""
    found: list[tuple[str, str]] = []
    Measured(app)(make_environ(changes), lambda _status, headers, *_more: found.extend(headers))
    return found


def test_the_answer_carries_the_trace_id(kit: Kit) -> None:
    """D6: by default as `X-Request-ID`."""
    assert sent_headers(APPLICATIONS["list"])[-1] == ("X-Request-ID", kit.span.wire.trace_id.hex())


def test_the_applications_own_request_id_stays_alone(kit: Kit) -> None:
    """Whatever the case of its letters."""
    assert sent_headers(APPLICATIONS["own request id"]) == [("x-request-id", "mine")]


def test_headers_are_chosen_by_settings() -> None:
    """`traceresponse` as the editor's draft of W3C has it; none at all."""
    with Kit({"OTELC2C_RESPONSE_HEADERS": "traceresponse"}) as kit:
        found = sent_headers(APPLICATIONS["list"])
        wire = kit.span.wire
        assert found[-1] == ("traceresponse", f"00-{wire.trace_id.hex()}-{wire.span_id.hex()}-01")
        assert len(found) == len(PLAIN) + 1
    with Kit({"OTELC2C_RESPONSE_HEADERS": "none"}):
        assert sent_headers(APPLICATIONS["list"]) == PLAIN


def test_unsampled_requests_have_an_id_too() -> None:
    """The id is made whatever is sampled."""
    with sampled_out():
        (name, value) = sent_headers(APPLICATIONS["list"])[-1]
        assert name == "X-Request-ID"
        assert len(value) == 32


# -- what is recorded -------------------------------------------------------------------------


def test_a_request_is_one_server_span_and_one_measurement(kit: Kit) -> None:
    """Names and attributes are those of the stable conventions."""
    called(APPLICATIONS["list"], {"RAW_URI": "/a%20b?token=secret&x", "PATH_INFO": "/a b"})
    span = kit.server()
    assert span.name == "GET"
    assert span.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "url.path": "/a%20b",
        "url.query": "token=REDACTED&x",
        "server.address": "shop.example.com",
        "server.port": 80,
        "user_agent.original": "test/1",
        "client.address": "10.0.0.12",
        "network.peer.address": "10.0.0.12",
        "network.peer.port": 51234,
    }
    assert span.wire.status.code == 0
    assert kit.point(DURATION) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }


def test_span_and_measurement_are_of_the_same_time(kit: Kit) -> None:
    """The conventions want the value to equal the span's duration."""
    called(APPLICATIONS["list"])
    (exemplar,) = kit.exemplars(DURATION)
    wire = kit.span.wire
    duration = (wire.end_time_unix_nano - wire.start_time_unix_nano) * 1e-9
    assert exemplar.value == pytest.approx(duration, abs=1e-9)
    assert (exemplar.trace_id, exemplar.span_id) == (wire.trace_id, wire.span_id)


@pytest.mark.parametrize(
    ("name", "code", "error"),
    [
        ("no reason", 200, None),
        ("no reason, blank", 200, None),
        ("unknown status", 299, None),
        ("empty list", 204, None),
        ("informational", 103, None),
        ("server error", 500, "500"),
        ("large status", None, "_OTHER"),
        ("word for status", None, "_OTHER"),
        ("bytes for status", None, "_OTHER"),
        ("list for status", None, "_OTHER"),
        ("never started", None, "_OTHER"),
        ("started twice", 503, "503"),
        ("late error", 200, "ValueError"),
        ("raises midway", 200, "LookupError"),
        ("raises first", 500, "LookupError"),
        ("raises base midway", 200, "Base"),
        ("raises", 500, "ValueError"),
        ("raises without text", 500, "RaisesInStr"),
        ("raises base", None, "Base"),
        ("raises exit", None, "SystemExit"),
        ("recursion", 500, "RecursionError"),
        ("writes then raises", 200, "LookupError"),
        ("close raises", 200, None),
        ("generator", 200, None),
        ("file", 200, None),
    ],
)
def test_the_status_is_that_of_what_was_sent(
    kit: Kit, name: str, code: int | None, error: str | None
) -> None:
    """Also of odd answers; servers answer 500 as long as they have sent nothing."""
    called(APPLICATIONS[name])
    span = kit.server()
    for attributes in (span.attributes, kit.point(DURATION)):
        assert attributes.get("http.response.status_code") == code
        assert attributes.get("error.type") == error
    assert span.wire.status.code == (0 if error is None else 2)


def test_an_exception_is_recorded_with_type_message_and_stack(kit: Kit) -> None:
    """As an event of the server span; its text is also the description of the status."""
    called(APPLICATIONS["raises"])
    ((name, values),) = kit.span.events
    assert name == "exception"
    assert (values["exception.type"], values["exception.message"]) == ("ValueError", "no")
    assert "in app" in values["exception.stacktrace"]
    assert values["exception.escaped"] == "True"
    assert kit.span.wire.status.message == "no"


def test_huge_and_unreadable_exceptions_are_cut(kit: Kit) -> None:
    """F-79, F-80: a message without a text, and one of 10 MB."""
    called(APPLICATIONS["raises without text"])
    called(APPLICATIONS["raises large text"])
    first, second = kit.spans
    assert first.events[0][1]["exception.message"] == "<text not available: ValueError>"
    assert len(kit.raw[1]) < 60_000
    assert second.attributes["error.type"] == "ValueError"


def test_texts_of_the_caller_are_cut(kit: Kit) -> None:
    """F-73: no attribute above 4 kB."""
    called(APPLICATIONS["list"], dict(ENVIRONS["long path"]))
    called(APPLICATIONS["list"], dict(ENVIRONS["odd headers"]))
    for span in kit.spans:
        assert all(len(value) <= 4096 for value in span.attributes.values() if isinstance(value, str))


def test_unknown_methods_are_one(kit: Kit) -> None:
    """`_OTHER` in attributes, `HTTP` in names, and the original on the span alone."""
    called(APPLICATIONS["list"], {"REQUEST_METHOD": "BREW"})
    called(APPLICATIONS["list"], {"REQUEST_METHOD": "STEEP"})
    assert [span.name for span in kit.spans] == ["HTTP", "HTTP"]
    assert [span.attributes["http.request.method_original"] for span in kit.spans] == ["BREW", "STEEP"]
    ((attributes, count),) = kit.points(DURATION).items()
    assert dict(attributes)["http.request.method"] == "_OTHER"
    assert count == 2


def test_nothing_grows_with_what_callers_choose() -> None:
    """F-70 to F-72, T34: names, series and caches stay bounded."""
    with Kit() as kit:
        for number in range(1300):
            called(
                APPLICATIONS["list"],
                {
                    "REQUEST_METHOD": f"M{number}",
                    "PATH_INFO": f"/{number}",
                    "RAW_URI": f"/{number}?q{number}=1",
                    "HTTP_HOST": f"h{number}",
                    "HTTP_USER_AGENT": f"u{number}",
                    "SERVER_PROTOCOL": f"HTTP/{number}.7",
                    "wsgi.url_scheme": f"s{number}",
                    "REMOTE_ADDR": f"a{number}",
                },
            )
        assert {span.name for span in kit.spans} == {"HTTP"}
        assert len(kit.points(DURATION)) == 1
        assert len(kit.measurer.entries) <= 512
        assert len(kit.measurer.excluded.clear) <= 1024
        for cache in (kit.measurer.attributes._targets, kit.measurer.attributes._servers):
            assert len(cache) <= 512


def test_what_is_not_sampled_is_measured_all_the_same() -> None:
    """Metrics do not depend on the sampling."""
    with Kit(sampler=Inline(ALWAYS // 10, parent_based=True)) as kit:
        for _ in range(200):
            called(APPLICATIONS["list"])
        assert kit.points(DURATION).popitem()[1] == 200
        assert 0 < len(kit.spans) < 100


def test_excluded_requests_leave_nothing(kit: Kit) -> None:
    """Neither a span, nor a duration, nor a header, nor spans below."""

    def app(environ: Any, start_response: Callable[..., Any]) -> Any:
        assert kit.active == 0
        with kit.provider.get_tracer("app").start_as_current_span("inner"):
            start_response("200 OK", [])
        return []

    assert sent_headers(app, {"PATH_INFO": "/healthz"}) == []
    assert kit.spans == []
    assert kit.points(DURATION) == {}


# -- context ----------------------------------------------------------------------------------


def test_the_context_is_active_to_the_last_byte(kit: Kit) -> None:
    """In the call, in every chunk, and in `close`, whichever thread or context they run in."""
    seen = []

    class Streamed(Chunks):
        def __next__(self) -> bytes:
            seen.append(current())
            return super().__next__()

        def close(self) -> None:
            seen.append(current())

    def app(environ: Any, start_response: Callable[..., Any]) -> Any:
        seen.append(current())
        start_response("200 OK", [])
        return Streamed(environ, b"a", b"b")

    body = Measured(app)(make_environ(), lambda *_args: None)
    assert trace.get_current_span() is INVALID_SPAN
    assert kit.active == 1
    reader = threading.Thread(target=lambda: contextvars.Context().run(lambda: seen.append(next(iter(body)))))
    reader.start()
    reader.join()
    assert list(body) == [b"b"]
    assert kit.spans != []
    body.close()
    assert set(seen) - {b"a"} == {kit.span.wire.trace_id.hex()}


def test_a_trace_is_continued(kit: Kit) -> None:
    """W3C trace context, with its state."""
    header = f"00-{'ab' * 16}-{'cd' * 8}-01"
    called(APPLICATIONS["list"], {"HTTP_TRACEPARENT": header, "HTTP_TRACESTATE": "a=b"})
    wire = kit.span.wire
    assert (wire.trace_id.hex(), wire.parent_span_id.hex()) == ("ab" * 16, "cd" * 8)
    assert wire.trace_state == "a=b"


def test_baggage_is_there_for_the_application(kit: Kit) -> None:
    """And is gone afterwards."""
    seen = []

    def app(environ: Any, start_response: Callable[..., Any]) -> Any:
        seen.append(baggage.get_all())
        start_response("200 OK", [])
        yield b"x"
        seen.append(baggage.get_all())

    called(app, {"HTTP_BAGGAGE": "a=b"})
    assert [dict(item) for item in seen] == [{"a": "b"}, {"a": "b"}]
    assert baggage.get_all() == {}


def test_a_layer_inside_another_passes_through(kit: Kit) -> None:
    """One environ is one request, also when a layer between them copies it."""
    inner = Measured(APPLICATIONS["generator"])
    called(Measured(inner))
    called(lambda environ, start: inner(dict(environ), start))
    assert len(kit.spans) == 2
    assert sum(kit.points(DURATION).values()) == 2


def test_an_environ_can_be_used_again(kit: Kit) -> None:
    """As tests and benchmarks do."""
    environ = make_environ()
    before = dict(environ)
    for _ in range(2):
        observe(Measured(APPLICATIONS["list"]), environ)
    assert environ == before
    assert len(kit.spans) == 2


def test_inside_a_span_of_others_ours_is_its_child(kit: Kit) -> None:
    """Another middleware's span around the application makes ours an internal one."""
    with kit.provider.get_tracer("other").start_as_current_span("outer", kind=trace.SpanKind.SERVER):
        called(APPLICATIONS["list"])
    inner, outer = kit.spans
    assert inner.parent == outer.id
    assert inner.wire.kind == inner.wire.SPAN_KIND_INTERNAL


def test_a_span_that_was_left_behind_is_no_parent(kit: Kit) -> None:
    """An application that forgets to detach does not join later requests to its trace."""
    left = kit.provider.get_tracer("app").start_span("left")
    left.end()
    token = otel_context.attach(trace.set_span_in_context(left))
    called(APPLICATIONS["list"])
    otel_context.detach(token)
    assert kit.server().parent == b""


def test_an_unsampled_span_around_is_followed(kit: Kit) -> None:
    """The decision of whoever began the trace holds."""
    outer = NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(0)))
    token = otel_context.attach(trace.set_span_in_context(outer))
    called(APPLICATIONS["list"])
    otel_context.detach(token)
    assert kit.spans == []


# -- bodies -----------------------------------------------------------------------------------


def test_a_client_that_goes_away_is_noted_and_is_no_error(kit: Kit) -> None:
    """`close` before the end of the body."""
    called(APPLICATIONS["generator"], most=1)
    assert kit.span.attributes["otelc2c.response.given_up"] is True
    assert "error.type" not in kit.point(DURATION)
    assert kit.span.wire.status.code == 0


@pytest.mark.parametrize("changes", [{"REQUEST_METHOD": "HEAD"}, {}])
def test_a_body_that_nobody_wants_is_not_noted(kit: Kit, changes: dict[str, Any]) -> None:
    """HEAD, and 304: servers need not read the body."""
    body = Measured(APPLICATIONS["generator" if changes else "not modified"])(
        make_environ(changes), lambda *_args: lambda _data: None
    )
    body.close()
    assert "otelc2c.response.given_up" not in kit.span.attributes


def test_a_body_that_is_neither_read_nor_closed_ends_when_it_is_gone(kit: Kit) -> None:
    """In-flight requests are right with servers that forget."""
    body = Measured(APPLICATIONS["chunks"])(make_environ(), lambda *_args: lambda _data: None)
    assert kit.active == 1
    del body
    assert kit.active == 0
    assert len(kit.spans) == 1


def test_the_end_of_a_stream_is_the_end_of_the_span(kit: Kit) -> None:
    """Not its first byte, and not `close` alone."""
    body = Measured(APPLICATIONS["generator"])(make_environ(), lambda *_args: lambda _data: None)
    chunks = iter(body)
    assert [next(chunks), next(chunks), next(chunks)] == [b"a", b"", b"b"]
    assert kit.spans == []
    assert next(chunks, None) is None
    assert len(kit.spans) == 1
    body.close()
    assert len(kit.spans) == 1


def test_a_file_for_the_server_comes_back_as_it_is(kit: Kit) -> None:
    """And is watched through its own `close`."""
    environ = make_environ()
    body = Measured(APPLICATIONS["file"])(environ, lambda *_args: lambda _data: None)
    assert type(body) is environ["wsgi.file_wrapper"]
    assert kit.spans == []
    body.close()
    assert environ["test.log"] == ["file closed"]
    assert len(kit.spans) == 1


def test_a_file_that_cannot_be_watched_ends_at_once(kit: Kit) -> None:
    """Some servers' wrappers take no attribute."""

    class Wrapper:
        __slots__ = ("file",)

        def __init__(self, file: Any) -> None:
            self.file = file

        def __iter__(self) -> Iterator[bytes]:
            return iter([self.file.read()])

    called(APPLICATIONS["file"], {"wsgi.file_wrapper": Wrapper})
    assert len(kit.spans) == 1


# -- processes, wrapping ----------------------------------------------------------------------


def test_a_child_that_is_forked_in_a_request_does_not_end_it(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its copy of the request is none of its own."""

    def app(environ: Any, start_response: Callable[..., Any]) -> Any:
        monkeypatch.setattr(installed, "forks", installed.forks + 1)
        start_response("200 OK", [])
        return []

    called(app)
    assert kit.points(DURATION) == {}
    kit.instruments.active.cell(("GET", "http")).add(-1)


def test_forks_are_counted() -> None:
    """In the child alone."""
    before = installed.forks
    pid = os.fork()
    if not pid:
        os._exit(installed.forks - before)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert installed.forks == before


def test_without_a_measurer_the_application_is_called_directly() -> None:
    """After `uninstall`, for wrapped applications that live on."""
    app = APPLICATIONS["list"]
    assert called(app) == observe(app, make_environ())


def test_an_application_is_wrapped_once_and_keeps_its_face() -> None:
    """Attributes are those of the application."""

    class App:
        name = "mine"

        def __call__(self, *_args: Any) -> Any:
            return []

    wrapped = measured(App())
    assert measured(wrapped) is wrapped
    assert wrapped.name == "mine"
    assert measured("no application") == "no application"


@pytest.mark.parametrize(
    ("chosen", "of_sampled", "of_others"),
    [("trace_based", 1, 0), ("always_on", 1, 1), ("always_off", 0, 0)],
)
def test_exemplars_are_chosen_by_the_variable(chosen: str, of_sampled: int, of_others: int) -> None:
    """`OTEL_METRICS_EXEMPLAR_FILTER`, with its default."""
    variables = {"OTEL_METRICS_EXEMPLAR_FILTER": chosen}
    for sampler, expected in ((None, of_sampled), (Inline(0, parent_based=False), of_others)):
        with Kit(variables, sampler) as kit:
            called(APPLICATIONS["list"])
            assert len(kit.exemplars(DURATION)) == expected


def test_captured_headers_are_attributes() -> None:
    """By OpenTelemetry's variables; sensitive ones without their value."""
    side = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
    variables = {
        side + "SERVER_REQUEST": "x-.*",
        side + "SERVER_RESPONSE": "content-type,set-cookie",
        side + "SANITIZE_FIELDS": ".*cookie.*",
    }
    headers = [("Content-Type", "a"), ("Set-Cookie", "b"), ("Set-Cookie", "c")]
    with Kit(variables) as kit:
        called(answer("200 OK", headers, []), {"HTTP_X_ONE": "1", "HTTP_Y": "2"})
        found = {key: value for key, value in kit.span.attributes.items() if ".header." in key}
        assert found == {
            "http.request.header.x-one": ("1",),
            "http.response.header.content-type": ("a",),
            "http.response.header.set-cookie": ("[REDACTED]", "[REDACTED]"),
        }
