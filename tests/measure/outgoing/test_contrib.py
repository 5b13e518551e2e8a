"""Our calls beside those of OpenTelemetry's own instrumentation of requests, attribute by attribute.

Both make the same calls under the same conventions. Every difference is listed with its reason; one that
is not listed fails, and so does one that is listed and is none any more.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
import requests
from opentelemetry.instrumentation import _semconv
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability
from opentelemetry.instrumentation.requests import RequestsInstrumentor as ContribRequests
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otelc2c.measure.outgoing.requests import RequestsInstrumentor
from tests.measure.kit import Kit, Seen
from tests.measure.outgoing.peer import Peer, refused

Mode = _semconv._StabilityMode
MODES = {"": Mode.HTTP, "http/dup": Mode.HTTP_DUP, "http/old": Mode.DEFAULT}
"""What OTEL_SEMCONV_STABILITY_OPT_IN says to us, and contrib's mode of the same attributes."""

PEER: Mapping[str, str] = {
    "network.peer.address": "contrib has the name of the host here; requests does not tell the address",
    "network.peer.port": "contrib has the port of the URL here; requests does not tell the connection's",
}
"""Of spans, where the stable conventions are asked for, alone or beside the others."""
SCHEME: Mapping[str, str] = {"url.scheme": "recommended by the conventions; contrib leaves it out"}
"""Of the metric."""
NO_PORT = "contrib leaves out a port that the URL does not name; the conventions require it"
TEXT: Mapping[str, str] = dict.fromkeys(
    ("events", "description"), "an exception's text holds the URL with its query (T41)"
)
QUERY = "contrib tells the query but for the values of four names; we tell none unless told to (T41)"
USER = "contrib puts REDACTED:REDACTED where user and password were; we leave out both"
ONE_METRIC = "http.client.duration in milliseconds is not kept: ours always has the stable name, in seconds"


class Case(NamedTuple):
    """A call of one exchange, and what is different beyond the lists above, with the reason.

    `url` stands for the URL under either name, `server.port` for the name that is asked for.
    """

    call: Callable[[requests.Session, Peer, str], object]
    span: Mapping[str, str] = {}
    series: Mapping[str, str] = {}


def call_default_port(session: requests.Session, _peer: Peer, nobody: str) -> None:
    session.get("http://127.0.0.1/a", proxies={"http": nobody})


CASES = {
    "get": Case(lambda s, p, _: s.get(f"{p.url}/a")),
    "post": Case(lambda s, p, _: s.post(f"{p.url}/status/201", data="a")),
    "agent": Case(lambda s, p, _: s.get(f"{p.url}/a", headers={"User-Agent": "own/1"})),
    "old protocol": Case(lambda s, p, _: s.get(f"{p.url}/old")),
    "own method": Case(lambda s, p, _: s.request("BREW", f"{p.url}/a")),
    "query": Case(lambda s, p, _: s.get(f"{p.url}/a?b=c"), {"url": QUERY}),
    "user": Case(lambda s, p, _: s.get(f"{p.url}/a".replace("//", "//me:mine@")), {"url": USER}),
    "not found": Case(lambda s, p, _: s.get(f"{p.url}/status/404")),
    "server error": Case(lambda s, p, _: s.get(f"{p.url}/status/503")),
    "streamed": Case(lambda s, p, _: s.get(f"{p.url}/a", stream=True)),
    "not followed": Case(lambda s, p, _: s.get(f"{p.url}/redirect/1", allow_redirects=False)),
    "refused": Case(lambda s, _, nobody: s.get(f"{nobody}/a"), TEXT),
    "no answer": Case(lambda s, p, _: s.get(f"{p.url}/drop"), TEXT),
    "default port": Case(call_default_port, {**TEXT, "server.port": NO_PORT}, {"server.port": NO_PORT}),
}


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """Where nobody listens."""
    with refused() as url:
        yield url


@pytest.fixture(params=MODES)
def names(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to ask for conventions, for both."""
    asked: str = request.param
    monkeypatch.setattr(Stability, "_initialized", True)
    modes = dict.fromkeys(_semconv._OpenTelemetryStabilitySignalType, MODES[asked])
    monkeypatch.setattr(Stability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", modes)
    return asked


class Theirs(NamedTuple):
    """What contrib made."""

    spans: tuple[ReadableSpan, ...]
    series: dict[str, list[dict[str, Any]]]
    """Attribute sets of each metric."""


def by_contrib(call: Callable[[], object]) -> Theirs:
    """Make a call, measured by contrib."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    instrumentor = ContribRequests()
    instrumentor.instrument(skip_dep_check=True, tracer_provider=provider, meter_provider=meters)
    try:
        _ignoring(call)
    finally:
        instrumentor.uninstrument()
    data = reader.get_metrics_data()
    series = {
        metric.name: [dict(point.attributes or {}) for point in metric.data.data_points]
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    meters.shutdown()
    return Theirs(exporter.get_finished_spans(), series)


def _ignoring(call: Callable[[], object]) -> None:
    try:
        call()
    except requests.RequestException:
        pass


def differences(ours: Seen, theirs: ReadableSpan) -> dict[str, tuple[Any, Any]]:
    """Name, kind, status and attributes that are not the same."""
    mine = {
        **ours.attributes,
        "name": ours.name,
        "kind": ours.wire.kind - 1,
        "status": ours.wire.status.code,
        "description": ours.wire.status.message,
        "events": [name for name, _ in ours.events],
    }
    other = {
        **(theirs.attributes or {}),
        "name": theirs.name,
        "kind": theirs.kind.value,
        "status": theirs.status.status_code.value,
        "description": theirs.status.description or "",
        "events": [event.name for event in theirs.events],
    }
    keys = mine.keys() | other.keys()
    return {key: (mine.get(key), other.get(key)) for key in keys if mine.get(key) != other.get(key)}


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


def by_us(call: Callable[[], object], names: str) -> Kit:
    """Make a call, measured by us."""
    ours = RequestsInstrumentor()
    ours.instrument(skip_dep_check=True)
    try:
        with Kit({"OTEL_SEMCONV_STABILITY_OPT_IN": names}) as kit:
            _ignoring(call)
    finally:
        ours.uninstrument()
    return kit


def expected_of(case: Case, mode: Mode) -> set[str]:
    """The names that differ between the spans of a case."""
    stable, older = mode is not Mode.DEFAULT, mode is not Mode.HTTP
    expected = set(case.span) - {"url", "server.port"} | (set(PEER) if stable else set())
    if "url" in case.span:
        expected |= {name for name, given in (("url.full", stable), ("http.url", older)) if given}
    if "server.port" in case.span and stable:
        # Where contrib has no port, it has none of the peer either.
        expected = expected - {"network.peer.port"} | {"server.port"}
        expected |= {"net.peer.port"} if older else set()
    return expected


@pytest.mark.parametrize("name", CASES)
def test_a_call_is_as_by_contrib(
    session: requests.Session, peer: Peer, nobody: str, names: str, name: str
) -> None:
    """Its span, whatever the conventions, and its metric in the stable ones."""
    case, mode = CASES[name], MODES[names]
    theirs = by_contrib(lambda: case.call(session, peer, nobody))
    kit = by_us(lambda: case.call(session, peer, nobody), names)
    (span,) = theirs.spans
    found = differences(kit.span, span)
    assert set(found) == expected_of(case, mode), found

    assert ("http.client.duration" in theirs.series) == (mode is not Mode.HTTP), ONE_METRIC
    if mode is not Mode.DEFAULT:
        ours = kit.point("http.client.request.duration")
        (other,) = theirs.series["http.client.request.duration"]
        keys = ours.keys() | other.keys()
        assert {key for key in keys if ours.get(key) != other.get(key)} == {*SCHEME, *case.series}


def test_redirects_are_one_call_to_contrib_and_calls_of_their_own_to_us(
    session: requests.Session, peer: Peer, names: str
) -> None:
    """The conventions want a span for each resend. Contrib's has the first URL and the last status."""
    theirs = by_contrib(lambda: session.get(f"{peer.url}/redirect/2"))
    kit = by_us(lambda: session.get(f"{peer.url}/redirect/2"), names)
    (span,) = theirs.spans
    first, _, last = kit.spans
    url = "http.url" if names == "http/old" else "url.full"
    status = "http.status_code" if names == "http/old" else "http.response.status_code"
    assert first.attributes[url] == (span.attributes or {})[url]
    assert last.attributes[status] == (span.attributes or {})[status] == 200
    assert [len(series) for series in theirs.series.values()] == [1] * len(theirs.series)
    assert sum(kit.points("http.client.request.duration").values()) == 3


def test_a_body_that_breaks_off_has_its_status_with_us_alone(session: requests.Session, peer: Peer) -> None:
    """It had arrived, and contrib does not see it."""
    theirs = by_contrib(lambda: session.get(f"{peer.url}/cut"))
    kit = by_us(lambda: session.get(f"{peer.url}/cut"), "")
    assert kit.span.attributes["http.response.status_code"] == 200
    assert kit.span.attributes["error.type"] == "ChunkedEncodingError"
    assert not {"http.response.status_code", "http.status_code"} & (theirs.spans[0].attributes or {}).keys()
