"""Our spans beside those of OpenTelemetry's own instrumentations, on the same calls, attribute by attribute.

Contrib runs with `OTEL_SEMCONV_STABILITY_OPT_IN=http`. Every difference is listed with its reason;
one that is not listed fails, and so does one that is listed and is none any more.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation import _semconv
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability
from opentelemetry.instrumentation.pyramid import PyramidInstrumentor as ContribPyramid
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otelc2c.measure.pyramid import PyramidInstrumentor
from otelc2c.wsgi import Measured
from tests.measure.corpus import APPLICATIONS, make_environ, observe
from tests.measure.kit import Kit, Seen
from tests.measure.test_pyramid import application, with_exception_view

ALWAYS: Mapping[str, str] = {
    "client.port": "we say network.peer.port: behind a proxy the port is not the client's",
    "network.peer.address": "recommended by the conventions, left out by contrib",
    "network.peer.port": "as above",
    "server.address": "contrib has host:port here; the conventions want the name alone",
    "server.port": "contrib has the port of the listening socket; the conventions that of the Host header",
}
WSGI: Mapping[str, str] = {
    **ALWAYS,
    "url.query": "values are redacted by default (T41)",
    "name": "contrib's name holds the path, which is not bounded (F-70)",
}
PYRAMID: Mapping[str, str] = {
    **ALWAYS,
    "name": "contrib's name lacks the method, and is the path where no route matched",
    "url.full": "conventions have it for clients only; path and query say the same",
}


@pytest.fixture
def contrib(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The SDK's provider as the global one, and the stable conventions."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(Stability, "_initialized", True)
    modes = dict.fromkeys(_semconv._OpenTelemetryStabilitySignalType, _semconv._StabilityMode.HTTP)
    monkeypatch.setattr(Stability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", modes)
    yield exporter
    exporter.clear()


def differences(ours: Seen, theirs: ReadableSpan) -> dict[str, tuple[Any, Any]]:
    """Name, kind, status and attributes that are not the same."""
    mine = {
        **ours.attributes,
        "name": ours.name,
        "kind": ours.wire.kind - 1,
        "status": ours.wire.status.code,
        "parent": ours.wire.parent_span_id.hex(),
        "events": [name for name, _ in ours.events],
    }
    other = {
        **(theirs.attributes or {}),
        "name": theirs.name,
        "kind": theirs.kind.value,
        "status": theirs.status.status_code.value,
        "parent": "" if theirs.parent is None else trace.format_span_id(theirs.parent.span_id),
        "events": [event.name for event in theirs.events],
    }
    keys = mine.keys() | other.keys()
    return {key: (mine.get(key), other.get(key)) for key in keys if mine.get(key) != other.get(key)}


HOST = {"HTTP_HOST": "shop.example.com:8443", "QUERY_STRING": "a=1", "RAW_URI": "/a?a=1"}
TRACED = {"HTTP_TRACEPARENT": f"00-{'ab' * 16}-{'cd' * 8}-01"}


@pytest.mark.parametrize(
    ("name", "changes", "more"),
    [
        ("list", {}, set()),
        ("list", TRACED, set()),
        (
            "list",
            {"REQUEST_METHOD": "POST", "wsgi.url_scheme": "https", "SERVER_PROTOCOL": "HTTP/1.0"},
            set(),
        ),
        # contrib's `_OTHER` is called HTTP there too.
        ("list", {"REQUEST_METHOD": "BREW"}, {"-name"}),
        ("generator", {}, set()),
        ("server error", {}, set()),
        ("raises", {}, {"http.response.status_code"}),
        ("raises midway", {}, {"error.type"}),
    ],
)
def test_wsgi_spans_are_those_of_contrib(
    contrib: InMemorySpanExporter, name: str, changes: dict[str, Any], more: set[str]
) -> None:
    """The WSGI middleware. Beyond the list, by case:

    Without an answer the status that servers send for an exception is ours alone, and so is the
    `error.type` of one that comes late.
    """
    environ = {**HOST, **changes}
    observe(OpenTelemetryMiddleware(APPLICATIONS[name]), make_environ(environ))
    with Kit() as kit:
        observe(Measured(APPLICATIONS[name]), make_environ(environ))
        (theirs,) = contrib.get_finished_spans()
        expected = (set(WSGI) | more) - {key[1:] for key in more if key[0] == "-"}
        found = differences(kit.server(), theirs)
        assert {key for key in expected if key[0] != "-"} == set(found), found


@pytest.mark.parametrize(
    ("path", "configure", "more"),
    [
        ("/page", None, set()),
        ("/responds", None, set()),
        ("/redirects", None, set()),
        ("/gateway", None, set()),
        ("/nope", None, set()),
        # A leading slash, which Pyramid adds as well when it matches.
        ("/hello/x", None, {"http.route"}),
        ("/fails", None, set()),
        ("/fails", with_exception_view, {"events"}),
        ("/hard", with_exception_view, {"events", "error.type"}),
    ],
)
def test_pyramid_spans_are_those_of_contrib(
    contrib: InMemorySpanExporter, path: str, configure: Callable[..., None] | None, more: set[str]
) -> None:
    """The tween. Beyond the list, by case: exceptions that a view answers are recorded by us alone, and
    an exception of the application is the type of the error rather than the status.
    """
    arguments = [configure] if configure else []
    environ = {**HOST, "PATH_INFO": path, "RAW_URI": path, "QUERY_STRING": ""}
    instrumentor = ContribPyramid()
    instrumentor.instrument(skip_dep_check=True)
    try:
        observe(application(*arguments), make_environ(environ))
    finally:
        instrumentor.uninstrument()
    (theirs,) = contrib.get_finished_spans()
    ours = PyramidInstrumentor()
    ours.instrument(skip_dep_check=True)
    try:
        with Kit() as kit:
            observe(application(*arguments), make_environ(environ))
            found = differences(kit.server(), theirs)
            assert set(PYRAMID) | more == set(found), found
    finally:
        ours.uninstrument()
