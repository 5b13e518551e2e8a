"""Calls of requests: each exchange is measured exactly once, and nothing of it is changed."""

import importlib
import sys
import threading
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import copy_context
from itertools import pairwise
from typing import Any

import pytest
import requests
from opentelemetry import trace
from opentelemetry.context import attach, detach, set_value
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from requests.adapters import BaseAdapter, HTTPAdapter

from otelc2c import guard
from otelc2c.measure.measurer import Measurer, install
from otelc2c.measure.outgoing.requests import RequestsInstrumentor
from otelc2c.record.api_spans import ApiTracer
from otelc2c.record.samplers import Inline
from otelc2c.wsgi import measured
from tests.measure.corpus import make_environ, observe
from tests.measure.kit import Kit, Seen, sampled_out
from tests.measure.outgoing.peer import CERTIFICATE, Peer, refused

DURATION = "http.client.request.duration"


@pytest.fixture
def session(instrumentor: RequestsInstrumentor) -> Iterator[requests.Session]:
    """A session that is measured, and reads nothing of the environment."""
    with requests.Session() as made:
        made.trust_env = False
        yield made


def counts(kit: Kit) -> Counter[tuple[Any, ...]]:
    """How many calls the metric has, by method, status and error."""
    found: Counter[tuple[Any, ...]] = Counter()
    keys = ("http.request.method", "http.response.status_code", "error.type")
    for attributes, count in kit.points(DURATION).items():
        values = dict(attributes)
        found[tuple(values.get(key) for key in keys)] += count
    return found


def outcomes(kit: Kit) -> Counter[tuple[Any, ...]]:
    """The same of the spans."""
    keys = ("http.request.method", "http.response.status_code", "error.type")
    return Counter(tuple(span.attributes.get(key) for key in keys) for span in calls_of(kit))


def calls_of(kit: Kit) -> list[Seen]:
    """Spans of calls, in the order in which they ended."""
    return [span for span in kit.spans if span.wire.kind == WireSpan.SPAN_KIND_CLIENT]


def inside(kit: Kit, work: Callable[[], object]) -> Seen:
    """Do `work` in a request; its span."""
    serve(work)
    return kit.server()


def serve(work: Callable[[], object], environ: dict[str, Any] | None = None) -> None:
    """Do `work` in a request."""

    def application(_environ: Any, start_response: Any) -> list[bytes]:
        work()
        start_response("200 OK", [])
        return [b""]

    list(measured(application)(make_environ(environ or {}), lambda *_args: lambda _data: None))


# -- one call ---------------------------------------------------------------------------------


def test_a_call_is_a_span_below_the_request(session: requests.Session, peer: Peer) -> None:
    with Kit() as kit:
        server = inside(kit, lambda: session.get(f"{peer.url}/page?token=secret"))
        (span,) = calls_of(kit)
        assert span.parent == server.id
        assert span.attributes == {
            "http.request.method": "GET",
            "server.address": "127.0.0.1",
            "server.port": peer.port,
            "http.response.status_code": 200,
            "network.protocol.version": "1.1",
            "url.full": f"{peer.url}/page",
            "user_agent.original": f"python-requests/{requests.__version__}",
        }
        assert kit.point(DURATION) == {
            "http.request.method": "GET",
            "server.address": "127.0.0.1",
            "server.port": peer.port,
            "http.response.status_code": 200,
            "network.protocol.version": "1.1",
            "url.scheme": "http",
        }
        assert server.attributes["otelc2c.http.count"] == 1
        assert server.attributes["otelc2c.http.duration"] > 0


def test_the_older_names_are_given_when_they_are_asked_for(session: requests.Session, peer: Peer) -> None:
    with Kit({"OTEL_SEMCONV_STABILITY_OPT_IN": "http/dup"}) as kit:
        session.post(f"{peer.url}/status/500")
        assert kit.span.attributes["http.method"] == kit.span.attributes["http.request.method"] == "POST"
        assert kit.span.attributes["http.url"] == f"{peer.url}/status/500"
        assert kit.span.attributes["http.status_code"] == 500


def test_a_method_that_nobody_knows_is_told_in_full_on_the_span_alone(
    session: requests.Session, peer: Peer
) -> None:
    with Kit() as kit:
        session.request("BREW", f"{peer.url}/pot")
        assert kit.span.name == "HTTP"
        assert kit.span.attributes["http.request.method"] == "_OTHER"
        assert kit.span.attributes["http.request.method_original"] == "BREW"
        assert counts(kit) == {("_OTHER", 200, None): 1}


def test_headers_that_were_asked_for_are_attributes(session: requests.Session, peer: Peer) -> None:
    """By the variables of other instrumentations; sensitive ones are masked, and bytes are taken."""
    asked = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
    environ = {
        f"{asked}CLIENT_REQUEST": "x-.*",
        f"{asked}CLIENT_RESPONSE": "content-length,location",
        f"{asked}SANITIZE_FIELDS": ".*key",
    }
    with Kit(environ) as kit:
        session.get(f"{peer.url}/redirect/1", headers={"X-Own": b"1", "X-Key": "S3CRET", "Other": "2"})
        first, last = kit.spans
        names = {f"http.request.header.{name}" for name in ("x-own", "x-key")}
        for span in (first, last):
            found = {key: value for key, value in span.attributes.items() if ".header." in key}
            assert names < found.keys()
            assert found["http.request.header.x-own"] == ("1",)
            assert found["http.request.header.x-key"] == ("[REDACTED]",)
            assert found["http.response.header.content-length"] == ("2",)
        assert first.attributes["http.response.header.location"] == ("/redirect/0?",)
        assert "http.response.header.location" not in last.attributes


def test_other_versions_of_the_protocol_are_told(session: requests.Session, peer: Peer) -> None:
    with Kit() as kit:
        session.get(f"{peer.url}/old")
        assert kit.point(DURATION)["network.protocol.version"] == "1.0"


def test_nothing_is_measured_without_a_measurer(session: requests.Session, peer: Peer) -> None:
    session.get(f"{peer.url}/")
    assert "traceparent" not in peer.received[0].headers


def test_calls_that_are_not_sampled_have_numbers(session: requests.Session, peer: Peer) -> None:
    with sampled_out() as kit:
        serve(lambda: session.get(f"{peer.url}/status/404"))
        assert not kit.spans
        assert counts(kit) == {("GET", 404, "404"): 1}


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF])
def test_with_the_providers_of_the_sdk_it_is_the_same(
    session: requests.Session, peer: Peer, sampler: Sampler
) -> None:
    """With OTELC2C_TRACER_PROVIDER=sdk: below the request, counted there, and known to the other side."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with Kit() as kit:
        install(Measurer(kit.settings, ApiTracer(provider.get_tracer("otelc2c")), kit.instruments))
        serve(lambda: session.get(f"{peer.url}/redirect/1"))
        assert counts(kit) == {("GET", 302, None): 1, ("GET", 200, None): 1}
    sent = [got.headers["traceparent"] for got in peer.received]
    if sampler is ALWAYS_OFF:
        assert [int(value[-2:], 16) & 1 for value in sent] == [0, 0]
        assert not exporter.get_finished_spans()
        return
    first, second, server = exporter.get_finished_spans()
    for call, value in zip((first, second), sent, strict=True):
        assert call.parent is not None
        assert call.parent.span_id == server.context.span_id
        assert value.split("-")[2] == trace.format_span_id(call.context.span_id)
        assert (call.attributes or {})["url.full"].startswith(f"{peer.url}/redirect/")
    assert (server.attributes or {})["otelc2c.http.count"] == 2


def test_calls_above_the_limit_have_numbers_and_the_context_of_their_request(
    session: requests.Session, peer: Peer
) -> None:
    with Kit({"OTELC2C_LEAF_SPAN_LIMIT": "1"}) as kit:
        server = inside(kit, lambda: [session.get(f"{peer.url}/{number}") for number in range(3)])
        (call,) = calls_of(kit)
        assert counts(kit) == {("GET", 200, None): 3}
        assert [sent_by(got.headers) for got in peer.received] == [
            call.id.hex(),
            server.id.hex(),
            server.id.hex(),
        ]
        assert server.attributes["otelc2c.leaf_spans.left_out"] == 2


def test_a_short_call_keeps_its_span(session: requests.Session, peer: Peer) -> None:
    """The other side has been told of it, and is below it."""
    with Kit({"OTELC2C_LEAF_SPAN_MIN_DURATION": "60000"}) as kit:
        inside(kit, lambda: session.get(f"{peer.url}/a"))
        (call,) = calls_of(kit)
        assert sent_by(peer.received[0].headers) == call.id.hex()


# -- failures ---------------------------------------------------------------------------------


def fail_refused(session: requests.Session, _peer: Peer) -> None:
    with refused() as url:
        session.get(url)


def fail_tls(session: requests.Session, _peer: Peer) -> None:
    with Peer(tls=True) as peer:
        session.get(peer.url)


FAILURES: dict[str, tuple[Callable[[requests.Session, Peer], object], dict[tuple[Any, ...], int]]] = {
    "refused": (fail_refused, {("GET", None, "ConnectionError"): 1}),
    "not trusted": (fail_tls, {("GET", None, "SSLError"): 1}),
    "slow": (lambda s, p: s.get(f"{p.url}/slow", timeout=0.05), {("GET", None, "ReadTimeout"): 1}),
    "no answer": (lambda s, p: s.get(f"{p.url}/drop"), {("GET", None, "ConnectionError"): 1}),
    "cut off": (lambda s, p: s.get(f"{p.url}/cut"), {("GET", 200, "ChunkedEncodingError"): 1}),
    "too many redirects": (
        lambda s, p: s.get(f"{p.url}/redirect/99"),
        {("GET", 302, None): 30, ("GET", 302, "TooManyRedirects"): 1},
    ),
    "led nowhere": (
        lambda s, p: s.get(f"{p.url}/to?ftp://a/b"),
        {("GET", 307, None): 1, ("GET", None, "InvalidSchema"): 1},
    ),
    "led to what is no URL": (
        lambda s, p: s.get(f"{p.url}/to?http://[x"),
        {("GET", 307, "ValueError"): 1},
    ),
    "led to where nobody is": (
        lambda s, p: s.get(f"{p.url}/to?http://127.0.0.1:1/"),
        {("GET", 307, None): 1, ("GET", None, "ConnectionError"): 1},
    ),
    "no adapter": (lambda s, _: s.get("ftp://a/b"), {("GET", None, "InvalidSchema"): 1}),
    # These never become a call.
    "no URL": (lambda s, _: s.get("http://"), {}),
    "not prepared": (lambda s, p: s.send(requests.Request("GET", p.url)), {}),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_counted_once_and_raised_as_without_us(
    session: requests.Session, instrumentor: RequestsInstrumentor, peer: Peer, name: str
) -> None:
    """Kind of the exception, metric and span; the text of an exception is not told, for it has the URL."""
    fail, expected = FAILURES[name]
    with Kit() as kit, pytest.raises(Exception) as ours:
        fail(session, peer)
    assert counts(kit) == outcomes(kit) == expected
    for span in kit.spans:
        failed = "error.type" in span.attributes
        assert span.wire.status.code == (Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET)
        assert not span.wire.status.message
        assert not span.events
    instrumentor.uninstrument()
    with pytest.raises(type(ours.value)) as theirs:
        fail(session, peer)
    instrumentor.instrument(skip_dep_check=True)
    assert type(theirs.value) is type(ours.value)
    assert [type(cause) for cause in causes(theirs.value)] == [type(cause) for cause in causes(ours.value)]


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exceptions that led to one."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_what_is_no_exception_of_the_library_passes_too(session: requests.Session) -> None:
    class Leaves(BaseAdapter):
        def send(self, *_args: Any, **_kwargs: Any) -> Any:
            raise KeyboardInterrupt

        def close(self) -> None:
            return

    session.mount("http://", Leaves())
    with Kit() as kit, pytest.raises(KeyboardInterrupt):
        session.get("http://a/")
    assert counts(kit) == outcomes(kit) == {("GET", None, "KeyboardInterrupt"): 1}


# -- redirects --------------------------------------------------------------------------------


def test_each_redirect_is_a_call_of_its_own(session: requests.Session, peer: Peer) -> None:
    """One after another below the same parent, and each with its own place in the row."""
    with Kit() as kit:
        server = inside(kit, lambda: session.get(f"{peer.url}/redirect/2"))
        calls = calls_of(kit)
        assert {span.parent for span in calls} == {server.id}
        assert [span.attributes["url.full"] for span in calls] == [
            f"{peer.url}/redirect/{left}" for left in (2, 1, 0)
        ]
        assert [span.attributes["http.response.status_code"] for span in calls] == [302, 302, 200]
        assert [span.attributes.get("http.request.resend_count") for span in calls] == [None, 1, 2]
        for one, next_one in pairwise(calls):
            assert one.wire.end_time_unix_nano <= next_one.wire.start_time_unix_nano
        assert [sent_by(got.headers) for got in peer.received] == [span.id.hex() for span in calls]


def sent_by(headers: dict[str, str]) -> str:
    """The id of the span that a service is called by."""
    return headers["traceparent"].split("-")[2]


def test_redirects_that_an_application_follows_itself_are_calls(
    session: requests.Session, peer: Peer
) -> None:
    with Kit() as kit:
        first = session.get(f"{peer.url}/redirect/1", allow_redirects=False)
        assert first.next is not None
        session.send(first.next)
        list(session.resolve_redirects(first, first.request))
        assert counts(kit) == {("GET", 302, None): 1, ("GET", 200, None): 2}
        assert not any("http.request.resend_count" in span.attributes for span in kit.spans)


def test_a_session_that_follows_its_own_way_loses_nothing(
    instrumentor: RequestsInstrumentor, peer: Peer
) -> None:
    class Own(requests.Session):
        def resolve_redirects(self, resp: Any, req: Any, *_args: Any, **kwargs: Any) -> Any:
            if resp.status_code == 302 and not kwargs.get("yield_requests"):
                yield self.get(f"{peer.url}/status/204")

    with Kit() as kit, Own() as session:
        assert session.get(f"{peer.url}/redirect/5").status_code == 204
        assert counts(kit) == outcomes(kit)
        assert sum(counts(kit).values()) == 2


# -- sessions and adapters --------------------------------------------------------------------


def test_an_adapter_of_the_application_is_covered(session: requests.Session) -> None:
    """It need not open any connection, nor answer in the usual way."""

    class Canned(BaseAdapter):
        def send(self, request: Any, *_args: Any, **_kwargs: Any) -> requests.Response:
            answer = requests.Response()
            answer.status_code = 299
            answer.request = request
            answer.url = request.url
            answer._content = b"canned"
            return answer

        def close(self) -> None:
            return

    session.mount("http://", Canned())
    session.mount("mem:", Canned())
    with Kit() as kit:
        assert session.get("http://shop/").content == b"canned"
        assert session.get("mem:thing").content == b"canned"
        one, other = kit.spans
        assert (one.attributes["server.port"], one.attributes["http.response.status_code"]) == (80, 299)
        assert "network.protocol.version" not in one.attributes
        assert not {"server.address", "url.full"} & other.attributes.keys()
        schemes = {dict(attributes)["url.scheme"] for attributes in kit.points(DURATION)}
        assert schemes == {"http", "_OTHER"}


def test_an_adapter_that_tries_again_makes_one_call(session: requests.Session, peer: Peer) -> None:
    """What an adapter does is the library's and the application's own affair: one call was asked for."""

    class Twice(HTTPAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
            super().send(request, *args, **kwargs).close()
            return super().send(request, *args, **kwargs)

    session.mount("http://", Twice())
    with Kit() as kit:
        session.get(f"{peer.url}/")
        assert len(peer.received) == 2
        assert counts(kit) == outcomes(kit) == {("GET", 200, None): 1}


def test_a_call_that_a_hook_makes_is_a_call_of_its_own(session: requests.Session, peer: Peer) -> None:
    """With the same session, before and after the redirect."""

    def hook(response: requests.Response, **_kwargs: Any) -> None:
        if "redirect" in response.request.path_url:
            session.post(f"{peer.url}/status/201", hooks={"response": []})

    session.hooks["response"] = [hook]
    with Kit() as kit:
        session.get(f"{peer.url}/redirect/1")
        expected = {("GET", 302, None): 1, ("GET", 200, None): 1, ("POST", 201, None): 2}
        assert counts(kit) == outcomes(kit) == expected


def test_what_a_hook_asks_of_another_answer_changes_nothing(session: requests.Session, peer: Peer) -> None:
    """Where that redirects to is no redirect of the call around it."""
    other = requests.Response()
    other.status_code, other.headers["Location"] = 301, "/elsewhere"

    def hook(_response: requests.Response, **_kwargs: Any) -> None:
        assert session.get_redirect_target(other) == "/elsewhere"
        session.get(f"{peer.url}/status/202", hooks={"response": []})

    with Kit() as kit:
        session.get(f"{peer.url}/", hooks={"response": hook})
        assert counts(kit) == outcomes(kit) == {("GET", 200, None): 1, ("GET", 202, None): 1}
        inner, outer = kit.spans
        assert outer.wire.start_time_unix_nano <= inner.wire.start_time_unix_nano
        assert inner.wire.end_time_unix_nano <= outer.wire.end_time_unix_nano


def test_a_streamed_call_ends_with_its_headers(session: requests.Session, peer: Peer) -> None:
    """Who reads the body, and when, is not the other service's time."""
    with Kit() as kit:
        with session.get(f"{peer.url}/stream", stream=True) as response:
            assert counts(kit) == outcomes(kit) == {("GET", 200, None): 1}
            peer.released.set()
            assert response.content == b"onetwo"
        assert counts(kit) == {("GET", 200, None): 1}


def test_a_body_that_is_read_at_once_belongs_to_the_call(session: requests.Session, peer: Peer) -> None:
    with Kit() as kit:
        threading.Timer(0.05, peer.released.set).start()
        session.get(f"{peer.url}/stream")
        wire = kit.span.wire
        assert wire.end_time_unix_nano - wire.start_time_unix_nano > 40_000_000


def test_a_trusted_certificate_is_no_failure(session: requests.Session) -> None:
    with Peer(tls=True) as peer, Kit() as kit:
        session.get(f"{peer.url}/", verify=str(CERTIFICATE))
        assert kit.point(DURATION)["url.scheme"] == "https"


# -- exact numbers ----------------------------------------------------------------------------


def test_threads_lose_nothing(instrumentor: RequestsInstrumentor, peer: Peer) -> None:
    """By method, status and error: numbers and spans."""
    paths = ["/", "/status/404", "/status/500", "/redirect/2", "/drop", "/cut"]

    def work() -> None:
        with requests.Session() as session:
            session.trust_env = False
            for path in paths * 5:
                try:
                    session.get(peer.url + path)
                    session.post(f"{peer.url}/status/201")
                except requests.RequestException:
                    pass

    with Kit() as kit:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = {
            ("GET", 200, None): 60,
            ("GET", 404, "404"): 30,
            ("GET", 500, "500"): 30,
            ("GET", 302, None): 60,
            ("GET", None, "ConnectionError"): 30,
            ("GET", 200, "ChunkedEncodingError"): 30,
            ("POST", 201, None): 120,
        }
        assert counts(kit) == outcomes(kit) == expected


# -- left out ---------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["OTEL_PYTHON_REQUESTS_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS"])
def test_excluded_urls_are_left_alone(session: requests.Session, peer: Peer, variable: str) -> None:
    with Kit({variable: "quiet"}) as kit:
        session.get(f"{peer.url}/quiet")
        session.get(f"{peer.url}/loud")
        assert sum(counts(kit).values()) == len(kit.spans) == 1
        assert ["traceparent" in got.headers for got in peer.received] == [False, True]


@pytest.mark.parametrize("silence", [suppress_instrumentation, suppress_http_instrumentation])
def test_silence_is_kept(session: requests.Session, peer: Peer, silence: Callable[[], Any]) -> None:
    """As other instrumentations ask for it."""
    with Kit() as kit:
        with silence():
            session.get(f"{peer.url}/")
        assert not kit.spans
        assert not counts(kit)
        assert "traceparent" not in peer.received[0].headers
        token = attach(set_value("something", "else"))
        session.get(f"{peer.url}/")
        detach(token)
        assert len(kit.spans) == 1


def test_calls_of_an_excluded_request_are_left_out(session: requests.Session, peer: Peer) -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        session.get(f"{peer.url}/")
        start_response("200 OK", [])
        return [b""]

    with Kit() as kit:
        observe(measured(application), make_environ({"PATH_INFO": "/healthz", "RAW_URI": "/healthz"}))
        assert len(peer.received) == 1
        assert not kit.spans
        assert not counts(kit)


def test_an_instrumentation_of_urllib3_below_makes_no_second_span(
    session: requests.Session, peer: Peer
) -> None:
    """Redirects, and calls of hooks with requests itself, are measured all the same."""
    below = URLLib3Instrumentor()
    hooked = []

    def hook(response: requests.Response, **_kwargs: Any) -> None:
        if response.request.method == "GET":
            hooked.append(session.post(f"{peer.url}/hook"))

    with Kit() as kit:
        below.instrument(skip_dep_check=True, tracer_provider=kit.provider)
        try:
            session.get(f"{peer.url}/redirect/1", hooks={"response": hook})
        finally:
            below.uninstrument()
        expected = {("GET", 302, None): 1, ("GET", 200, None): 1, ("POST", 200, None): 2}
        assert counts(kit) == outcomes(kit) == expected
        assert len(hooked) == 2


# -- nothing is changed -----------------------------------------------------------------------

CALLS: dict[str, Callable[[requests.Session, Peer], Any]] = {
    "get": lambda s, p: s.get(f"{p.url}/a?b=c"),
    "post": lambda s, p: s.post(f"{p.url}/a", data={"b": "c"}, headers={"X-Own": "1"}),
    "head": lambda s, p: s.head(f"{p.url}/redirect/1"),
    "redirects": lambda s, p: s.post(f"{p.url}/redirect/2", json={"a": 1}, cookies={"c": "d"}),
    "kept by the hand": lambda s, p: s.put(f"{p.url}/to?/status/204", data=b"x"),
    "not followed": lambda s, p: s.get(f"{p.url}/redirect/1", allow_redirects=False),
    "with a user": lambda s, p: s.get(p.url.replace("//", "//me:mine@"), auth=("a", "b")),
    "error": lambda s, p: s.get(f"{p.url}/status/503"),
}


def seen_of(response: requests.Response) -> Any:
    """What an application can see of an answer."""
    shown = [
        (
            one.status_code,
            one.content,
            one.url,
            one.request.method,
            one.request.body,
            sorted(name for name in one.request.headers if name != "traceparent"),
        )
        for one in [*response.history, response]
    ]
    return shown, response.next is None


@pytest.mark.parametrize("name", CALLS)
def test_an_application_sees_and_sends_what_it_would_without_us(
    session: requests.Session, instrumentor: RequestsInstrumentor, peer: Peer, name: str
) -> None:
    """The answer, its history, and what arrives at the other side, but for the trace context."""

    def run() -> Any:
        peer.clear()
        answer = seen_of(CALLS[name](session, peer))
        received = [
            (got.method, got.target, {k: v for k, v in got.headers.items() if k != "traceparent"})
            for got in peer.received
        ]
        session.cookies.clear()
        return answer, received

    with Kit():
        ours = run()
    instrumentor.uninstrument()
    theirs = run()
    instrumentor.instrument(skip_dep_check=True)
    assert ours == theirs


def test_headers_of_a_session_and_of_a_caller_stay_as_they_are(session: requests.Session, peer: Peer) -> None:
    """Only the prepared request gets one more."""
    own = {"X-Own": "1"}
    before = dict(session.headers)
    with Kit():
        response = session.get(f"{peer.url}/", headers=own)
    assert own == {"X-Own": "1"}
    assert dict(session.headers) == before
    assert response.request.headers["traceparent"] == peer.received[0].headers["traceparent"]
    unprepared = requests.Request("GET", peer.url, headers=own)
    with Kit(), pytest.raises(ValueError, match="PreparedRequests"):
        session.send(unprepared)  # type: ignore[arg-type]
    assert own == {"X-Own": "1"}


def test_a_request_without_headers_or_url_fails_as_without_us(
    session: requests.Session, instrumentor: RequestsInstrumentor
) -> None:
    bare = requests.PreparedRequest()
    bare.method = "GET"
    with Kit() as kit, pytest.raises(Exception) as ours:
        session.send(bare)
    assert sum(counts(kit).values()) == 1
    assert bare.headers is None
    instrumentor.uninstrument()
    with pytest.raises(type(ours.value)):
        session.send(bare)
    instrumentor.instrument(skip_dep_check=True)


SECRETS = ("S3CRETUSER", "S3CRETPASS", "S3CRETQUERY", "S3CRETHEADER", "S3CRETCOOKIE", "S3CRETHASH")


@pytest.mark.parametrize("names", ["", "http/dup"])
def test_secrets_are_in_no_span_and_no_number(session: requests.Session, peer: Peer, names: str) -> None:
    """User, password, query, fragment, headers and cookies; of calls that fail as well."""
    host = peer.url.removeprefix("http://")
    login = "S3CRETUSER:S3CRETPASS@"
    tail = "?token=S3CRETQUERY&S3CRETQUERY#S3CRETHASH"
    secret: dict[str, Any] = {
        "headers": {"Authorization": "Bearer S3CRETHEADER", "X-Key": "S3CRETHEADER"},
        "cookies": {"session": "S3CRETCOOKIE"},
    }
    with Kit({"OTEL_SEMCONV_STABILITY_OPT_IN": names}) as kit, refused() as nobody:
        for path in ("/a", "/status/500", "/redirect/2", "/drop", "/cut"):
            try:
                session.get(f"http://{login}{host}{path}{tail}", **secret)
            except requests.RequestException:
                pass
        session.get(f"{peer.url}/to?http://{login}{host}/b?token=S3CRETQUERY", **secret)
        for url in (
            nobody.replace("//", f"//{login}"),
            f"ftp://{login}a",
            f"http://{login}[x",
            "mailto:S3CRETUSER",
        ):
            with pytest.raises(ValueError if "[x" in url else requests.RequestException):
                session.get(f"{url}{tail}", **secret)
        assert len(kit.spans) >= 11
        everything = b"".join(kit.raw) + repr(kit._families()).encode()
        assert not [word for word in SECRETS if word.encode() in everything]


def test_a_call_that_ends_its_request_tells_no_secret_there_either(session: requests.Session) -> None:
    """The exception's text, which holds the URL, is told of the request that let it pass (T41)."""
    with Kit() as kit, refused() as nobody:
        url = nobody.replace("//", "//S3CRETUSER:S3CRETPASS@")
        with pytest.raises(requests.ConnectionError, match="S3CRETQUERY"):
            inside(kit, lambda: session.get(f"{url}/a?token=S3CRETQUERY"))
        ((name, event),) = kit.server().events
        assert (name, event["exception.type"]) == ("exception", "requests.exceptions.ConnectionError")
        assert "/a?REDACTED" in event["exception.message"]
        assert not [word for word in SECRETS if word.encode() in b"".join(kit.raw)]


# -- trouble of our own -----------------------------------------------------------------------


@pytest.mark.parametrize("part", ["begin", "end"])
def test_a_failure_of_ours_leaves_the_call_alone(
    session: requests.Session, peer: Peer, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made exactly once, and answered; what fails is counted."""

    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise LookupError("ours")

    guard.strict(False)
    monkeypatch.setattr(guard, "say", lambda _text: True)
    with Kit() as kit:
        monkeypatch.setattr(type(kit.measurer.http), part, broken)
        assert session.get(f"{peer.url}/redirect/1").status_code == 200
        assert len(peer.received) == 2
        assert guard.total() > 0


def test_an_answer_that_is_none_is_counted_and_handed_on(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an adapter of the application's gives need not tell what answers tell."""

    class Odd(requests.Response):
        @property
        def status_code(self) -> int:  # type: ignore[override]
            raise LookupError("none")

        @status_code.setter
        def status_code(self, _value: int) -> None:
            return

    class Adapter(BaseAdapter):
        def send(self, *_args: Any, **_kwargs: Any) -> requests.Response:
            odd = Odd()
            odd._content = b""
            return odd

        def close(self) -> None:
            return

    guard.strict(False)
    monkeypatch.setattr(guard, "say", lambda _text: True)
    session.mount("http://", Adapter())
    with Kit() as kit:
        assert isinstance(session.get("http://a/"), Odd)
        assert counts(kit) == outcomes(kit) == {("GET", None, None): 1}


def test_a_call_behind_a_request_that_nobody_records_is_told_in_full(
    session: requests.Session, peer: Peer
) -> None:
    """It is a trace of its own, which is sampled for itself."""
    contexts: list[Any] = []
    with Kit(sampler=Inline(1 << 64, parent_based=True)) as kit:
        environ = {"HTTP_TRACEPARENT": f"00-{'ab' * 16}-{'cd' * 8}-00"}
        serve(lambda: contexts.append(copy_context()), environ)
        contexts[0].run(session.get, f"{peer.url}/late")
        assert kit.span.attributes["url.full"] == f"{peer.url}/late"
        assert [link.trace_id.hex() for link in kit.span.wire.links] == ["ab" * 16]
        assert sent_by(peer.received[0].headers) == kit.span.id.hex()


def test_headers_that_cannot_be_set_are_left_and_the_call_is_counted(
    session: requests.Session, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.strict(False)
    monkeypatch.setattr(guard, "say", lambda _text: True)
    prepared = requests.Request("GET", f"{peer.url}/").prepare()
    prepared.headers = types.MappingProxyType({"X-Own": "1"})  # type: ignore[assignment]
    with Kit() as kit:
        assert session.send(prepared).status_code == 200
        assert counts(kit) == {("GET", 200, None): 1}
    assert guard.counts() == {"measure.requests": 1}


# -- switching on and off ---------------------------------------------------------------------


def test_uninstrument_puts_everything_back(instrumentor: RequestsInstrumentor) -> None:
    instrumentor.uninstrument()
    for name in ("send", "get_redirect_target"):
        assert not hasattr(getattr(requests.Session, name), "__wrapped__")
    instrumentor.instrument(skip_dep_check=True)
    assert hasattr(requests.Session.send, "__wrapped__")


def test_requests_is_not_imported_by_us(
    instrumentor: RequestsInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gevent replaces `ssl` later, and what had it by then would not see that."""
    instrumentor.uninstrument()
    kept = requests.sessions
    monkeypatch.delitem(sys.modules, "requests.sessions")
    monkeypatch.setattr(instrumentor, "_waiting", False)
    instrumentor.instrument(skip_dep_check=True)
    assert "requests.sessions" not in sys.modules
    module = importlib.import_module("requests.sessions")
    assert module is not kept
    assert hasattr(module.Session.send, "__wrapped__")
    requests.sessions = kept  # type: ignore[attr-defined]


def test_a_library_that_is_not_as_known_stays_as_it_is(instrumentor: RequestsInstrumentor) -> None:
    """Said through the guard, which raises in tests."""
    with pytest.raises(AttributeError):
        instrumentor._loaded(types.ModuleType("requests.sessions"))


def test_versions_are_named() -> None:
    assert RequestsInstrumentor().instrumentation_dependencies() == ("requests >= 2.20, < 3",)
