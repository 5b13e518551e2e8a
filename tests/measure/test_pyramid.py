"""Pyramid: routes, views, renderings, and exceptions that somebody answers."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadGateway, HTTPFound, HTTPNotFound
from pyramid.interfaces import IExecutionPolicy
from pyramid.renderers import RendererHelper, render
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router
from pyramid.testing import DummyRequest

from otelc2c import guard
from otelc2c.measure.measurer import Measurer, install
from otelc2c.measure.operation import Operation
from otelc2c.measure.pyramid import PyramidInstrumentor
from otelc2c.record.api_spans import ApiTracer
from otelc2c.record.provider import TracerProvider
from otelc2c.wsgi import measured
from tests.measure.corpus import make_environ, observe
from tests.measure.kit import Kit, sampled_out

DURATION = "http.server.request.duration"
VIEW = "otelc2c.view.duration"
RENDER = "otelc2c.render.duration"
HERE = __name__


class Failure(Exception):
    """What views of this module raise."""


class Document:
    """A resource that traversal finds."""

    def __getitem__(self, name: str) -> "Document":
        if name == "edit":
            raise KeyError(name)
        return Document()


def hello(request: Any) -> dict[str, Any]:
    return {"name": request.matchdict.get("name")}


def responds(_request: Any) -> Response:
    return Response("own", status=299)


def fails(_request: Any) -> Any:
    raise Failure("no")


def redirects(_request: Any) -> Any:
    raise HTTPFound("/elsewhere")


def missing(_request: Any) -> Any:
    raise HTTPNotFound


def bad_gateway(_request: Any) -> Any:
    raise HTTPBadGateway("behind")


def answers_failure(_error: Any, request: Any) -> dict[str, Any]:
    request.response.status_int = 500 if "hard" in request.path else 422
    return {"error": "told"}


def unrenderable(_request: Any) -> Any:
    return {"x": object()}


def streams(_request: Any) -> Any:
    return Response(app_iter=iter([b"a", b"b"]))


def subrequests(request: Any) -> Any:
    return request.invoke_subrequest(Request.blank("/hello/inner"))


def copies(request: Any) -> Any:
    inner = request.copy()
    inner.path_info = "/hello/inner"
    return request.invoke_subrequest(inner)


def renders_itself(request: Any) -> Any:
    return Response(render("json", {"a": 1}, request=request))


def edits(context: Any, request: Any) -> Any:
    return Response("edited")


class Pages:
    """Views as methods."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def page(self) -> dict[str, str]:
        return {"page": "one"}


def outer_tween(handler: Callable[..., Any], _registry: Any) -> Callable[..., Any]:
    """Outside of all tweens of Pyramid's: notes the trace it runs in."""

    def tween(request: Any) -> Any:
        request.registry.settings["seen"].append(trace.get_current_span().get_span_context().trace_id)
        return handler(request)

    return tween


def application(configure: Callable[[Configurator], None] = lambda _config: None, **settings: Any) -> Router:
    """An application with a view of every kind."""
    config = Configurator(settings={"seen": [], **settings}, root_factory=lambda _request: Document())
    config.add_tween(f"{HERE}.outer_tween")
    for name, view in {
        "responds": responds,
        "fails": fails,
        "redirects": redirects,
        "missing": missing,
        "gateway": bad_gateway,
        "unrenderable": unrenderable,
        "streams": streams,
        "subrequests": subrequests,
        "copies": copies,
        "renders": renders_itself,
    }.items():
        config.add_route(name, f"/{name}")
        config.add_view(view, route_name=name, renderer="json")
    config.add_route("hello", "hello/{name}")
    config.add_view(hello, route_name="hello", renderer="json")
    config.add_route("page", "/page")
    config.add_view(Pages, attr="page", route_name="page", renderer="string")
    config.add_view(edits, context=Document, name="edit")
    configure(config)
    made: Router = config.make_wsgi_app()
    return made


def with_exception_view(config: Configurator) -> None:
    """Failures get an answer; one of them is status 500."""
    config.add_exception_view(answers_failure, context=Failure, renderer="json")
    config.add_route("hard", "/hard")
    config.add_view(fails, route_name="hard")


def ask(app: Any, path: str, **more: Any) -> list[Any]:
    """One request, as a server makes it."""
    return observe(app, make_environ({"PATH_INFO": path, "RAW_URI": path, **more}))


@pytest.fixture
def kit() -> Iterator[Kit]:
    """Instrumented, with everything sampled."""
    instrumentor = PyramidInstrumentor()
    instrumentor.instrument(skip_dep_check=True)
    with Kit() as made:
        yield made
        assert not trace.get_current_span().get_span_context().is_valid
        assert made.active == 0
    instrumentor.uninstrument()


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/hello/x", "/hello/{name}", 200),
        ("/responds", "/responds", 299),
        ("/page", "/page", 200),
        ("/redirects", "/redirects", 302),
        ("/missing", "/missing", 404),
        ("/streams", "/streams", 200),
        ("/gateway", "/gateway", 502),
    ],
)
def test_span_and_metric_have_the_route_and_the_status(kit: Kit, path: str, route: str, status: int) -> None:
    """`METHOD /route/pattern`, with a leading slash however the route was written."""
    ask(application(), path)
    span = kit.server()
    assert span.name == f"GET {route}"
    for attributes in (span.attributes, kit.point(DURATION)):
        assert attributes["http.route"] == route
        assert attributes["http.response.status_code"] == status


def test_the_route_has_the_root_of_the_application(kit: Kit) -> None:
    """The conventions want the pattern below the root, by which it is mounted."""
    ask(application(), "/hello/x", SCRIPT_NAME="/api", RAW_URI="/api/hello/x")
    assert kit.server().name == "GET /api/hello/{name}"
    assert kit.server().attributes["url.path"] == "/api/hello/x"


def test_a_route_prefix_is_part_of_the_pattern(kit: Kit) -> None:
    """As Pyramid joins it."""

    def more(config: Configurator) -> None:
        with config.route_prefix_context("v1"):
            config.add_route("inner", "inner")
        config.add_view(responds, route_name="inner")

    ask(application(more), "/v1/inner")
    assert kit.server().attributes["http.route"] == "/v1/inner"


def test_an_unmatched_path_is_no_name(kit: Kit) -> None:
    """F-70: 404 without a route, under the method alone."""
    app = application()
    for number in range(50):
        ask(app, f"/nope{number}/x/y")
    assert {span.name for span in kit.spans} == {"GET"}
    assert all("http.route" not in span.attributes for span in kit.spans)
    assert len(kit.points(DURATION)) == 1


def test_traversal_is_named_by_context_and_view(kit: Kit) -> None:
    """Never by the path."""
    app = application()
    for number in range(3):
        ask(app, f"/a/b{number}/edit")
    assert {span.name for span in kit.spans if span.parent == b""} == {"GET /{Document}/edit"}
    ((attributes, count),) = kit.points(DURATION).items()
    assert (dict(attributes)["http.route"], count) == ("/{Document}/edit", 3)


def test_view_and_rendering_are_children_in_their_order(kit: Kit) -> None:
    """The view ends before its rendering begins."""
    ask(application(), "/hello/x")
    server, view, rendering = kit.server(), kit.named("view"), kit.named("render")
    assert view.name == f"view {HERE}.hello"
    assert view.attributes == {"code.function.name": f"{HERE}.hello"}
    assert rendering.name == "render json"
    assert {view.parent, rendering.parent} == {server.id}
    assert view.wire.end_time_unix_nano <= rendering.wire.start_time_unix_nano
    assert server.wire.start_time_unix_nano <= view.wire.start_time_unix_nano
    assert rendering.wire.end_time_unix_nano <= server.wire.end_time_unix_nano
    assert kit.point(VIEW) == {"http.request.method": "GET", "http.route": "/hello/{name}"}
    assert kit.point(RENDER) == {"otelc2c.renderer": "json", "http.route": "/hello/{name}"}
    assert {exemplar.span_id for exemplar in kit.exemplars(VIEW)} == {view.id}


def test_methods_of_classes_have_their_own_name(kit: Kit) -> None:
    """Class and attribute."""
    ask(application(), "/page")
    assert kit.named("view").name == f"view {HERE}.Pages.page"


def test_view_and_rendering_are_current_while_they_run(kit: Kit) -> None:
    """So that queries in a template hang below the rendering."""
    tracer = kit.provider.get_tracer("app")

    def factory(_info: Any) -> Callable[..., str]:
        def renderer(_value: Any, _system: Any) -> str:
            tracer.start_span("in template").end()
            return "text"

        return renderer

    def view(_request: Any) -> dict[str, Any]:
        tracer.start_span("in view").end()
        return {}

    def more(config: Configurator) -> None:
        config.add_renderer(".tpl", factory)
        config.add_route("tpl", "/tpl")
        config.add_view(view, route_name="tpl", renderer="a/b.tpl")

    ask(application(more), "/tpl")
    assert kit.named("in template").parent == kit.named("render a/b.tpl").id
    assert kit.named("in view").parent == kit.named("view").id


def test_the_trace_is_there_in_outer_tweens(kit: Kit) -> None:
    """Context begins at the WSGI entry."""
    app = application()
    ask(app, "/hello/x")
    assert app.registry.settings["seen"] == [int.from_bytes(kit.server().wire.trace_id, "big")]


def test_an_unhandled_exception_is_recorded(kit: Kit) -> None:
    """It passes, and is on the server span and in the metric."""
    log = ask(application(), "/fails")
    assert log[-1][:2] == ("raised", Failure)
    server = kit.server()
    assert server.events[0][1]["exception.type"] == f"{HERE}.Failure"
    assert server.attributes["error.type"] == kit.point(DURATION)["error.type"] == "Failure"
    assert server.attributes["http.response.status_code"] == 500
    assert kit.named("view").attributes["error.type"] == kit.point(VIEW)["error.type"] == "Failure"
    assert kit.named("view").wire.status.code == 2


@pytest.mark.parametrize(("path", "status", "error"), [("/fails", 422, None), ("/hard", 500, "Failure")])
def test_an_exception_that_a_view_answers_is_recorded(
    kit: Kit, path: str, status: int, error: str | None
) -> None:
    """With type, message and stack; it is an error of the server only where the answer says so."""
    ask(application(with_exception_view), path)
    server = kit.server()
    ((name, values),) = server.events
    assert (name, values["exception.message"], values["exception.escaped"]) == ("exception", "no", "False")
    assert "in fails" in values["exception.stacktrace"]
    assert server.attributes["http.response.status_code"] == status
    assert server.attributes.get("error.type") == kit.point(DURATION).get("error.type") == error
    assert server.wire.status.code == (2 if error else 0)
    assert server.name == f"GET {path}"


@pytest.mark.parametrize("path", ["/redirects", "/missing", "/nope"])
def test_a_raised_answer_is_no_error(kit: Kit, path: str) -> None:
    """Redirects and "not found" are ways to answer."""
    ask(application(), path)
    assert kit.server().events == []
    assert all("error.type" not in span.attributes for span in kit.spans)


def test_a_raised_server_error_is_one(kit: Kit) -> None:
    """A 502 that a view raises."""
    ask(application(), "/gateway")
    assert kit.server().attributes["error.type"] == "502"
    assert kit.named("view").attributes["error.type"] == "HTTPBadGateway"
    assert kit.server().events[0][1]["exception.type"] == "pyramid.httpexceptions.HTTPBadGateway"


def test_an_error_of_the_renderer_belongs_to_the_rendering(kit: Kit) -> None:
    """The view was fine."""
    ask(application(), "/unrenderable")
    assert kit.named("render").attributes["error.type"] == kit.point(RENDER)["error.type"] == "TypeError"
    assert "error.type" not in kit.named("view").attributes


def test_an_error_after_the_view_is_the_status_that_was_sent(kit: Kit) -> None:
    """A tween that fails when it commits."""

    def commits(handler: Callable[..., Any], _registry: Any) -> Callable[..., Any]:
        def tween(request: Any) -> Any:
            handler(request)
            raise Failure("commit")

        return tween

    globals()["commits"] = commits

    def more(config: Configurator) -> None:
        config.add_tween(f"{HERE}.commits", under="pyramid.tweens.excview_tween_factory")
        with_exception_view(config)

    ask(application(more), "/responds")
    assert kit.server().attributes["http.response.status_code"] == 422
    assert kit.server().events[0][1]["exception.message"] == "commit"


def test_an_exception_that_the_execution_policy_answers_is_recorded(kit: Kit) -> None:
    """Outside of all tweens, without Pyramid's exception views."""

    def policy(environ: Any, router: Any) -> Any:
        with router.request_context(environ) as request:
            try:
                return router.invoke_request(request)
            except Failure:
                return Response("policy", status=503)

    ask(application(lambda config: config.registry.registerUtility(policy, IExecutionPolicy)), "/fails")
    server = kit.server()
    assert server.attributes["http.response.status_code"] == 503
    assert server.attributes["error.type"] == "Failure"
    assert server.events[0][1]["exception.message"] == "no"


def test_of_several_attempts_the_last_counts(kit: Kit) -> None:
    """As `pyramid_retry` makes them: a failure that was tried again is none."""
    attempts = []

    def flaky(_request: Any) -> Response:
        attempts.append(1)
        if len(attempts) < 3:
            raise Failure("again")
        return Response("third")

    def policy(environ: Any, router: Any) -> Any:
        for _ in range(3):
            with router.request_context(environ) as request:
                try:
                    return router.invoke_request(request)
                except Failure:
                    continue
        raise AssertionError

    def more(config: Configurator) -> None:
        config.add_route("flaky", "/flaky")
        config.add_view(flaky, route_name="flaky")
        config.registry.registerUtility(policy, IExecutionPolicy)

    ask(application(more), "/flaky")
    assert kit.server().name == "GET /flaky"
    assert kit.server().events == []
    assert sum(kit.points(VIEW).values()) == 3
    assert sum(kit.points(DURATION).values()) == 1


@pytest.mark.parametrize("path", ["/subrequests", "/copies"])
def test_a_subrequest_is_inside_its_request(kit: Kit, path: str) -> None:
    """Its view is below the outer view, and the request stays one, with its own route."""
    ask(application(), path)
    assert kit.server().name == f"GET {path}"
    assert sum(kit.points(DURATION).values()) == 1
    views = {span.name: span for span in kit.spans if span.name.startswith("view")}
    assert views[f"view {HERE}.hello"].parent == views[f"view {HERE}.{path[1:]}"].id


def test_rendering_in_code_is_timed_too(kit: Kit) -> None:
    """Below the view that renders."""
    ask(application(), "/renders")
    assert kit.named("render").parent == kit.named("view").id


def test_rendering_outside_of_a_request_makes_no_trace(kit: Kit) -> None:
    """A script or a test that renders: a measurement, no root span."""
    config = Configurator()
    helper = RendererHelper("json", registry=config.registry)
    config.commit()
    for request in (None, DummyRequest()):
        assert helper.render({"a": 1}, None, request=request) == '{"a": 1}'
    assert kit.spans == []
    assert sum(kit.points(RENDER).values()) == 2


def test_excluded_requests_have_no_views_and_no_renderings(kit: Kit) -> None:
    """Health checks leave nothing at all."""

    def more(config: Configurator) -> None:
        config.add_route("health", "/health")
        config.add_view(lambda _request: {"status": "ok"}, route_name="health", renderer="json")

    ask(application(more), "/health")
    assert kit.spans == []
    assert kit.points(VIEW) == kit.points(RENDER) == kit.points(DURATION) == {}


def test_without_samples_the_metrics_are_the_same() -> None:
    """And no span is made."""
    instrumentor = PyramidInstrumentor()
    instrumentor.instrument(skip_dep_check=True)
    try:
        with sampled_out() as kit:
            app = application(with_exception_view)
            for path in ("/hello/x", "/hard", "/nope"):
                ask(app, path)
            assert kit.spans == []
            assert sum(kit.points(DURATION).values()) == 3
            assert sum(kit.points(VIEW).values()) == 3
            assert sum(kit.points(RENDER).values()) == 2
    finally:
        instrumentor.uninstrument()


PATHS = ["/hello/x", "/responds", "/fails", "/redirects", "/missing", "/gateway", "/unrenderable"]
PATHS += ["/streams", "/copies", "/renders", "/page", "/a/edit", "/nope", "/%ff", "/\xff", "/hard"]


class Broken:
    """Fails whatever is done with it."""

    def __getattr__(self, _name: str) -> Any:
        raise RuntimeError("a failure of ours")

    __getitem__ = __call__ = __getattr__


@pytest.mark.parametrize("part", [None, "begin", "_cells", "_shapes", "_tracer"])
def test_answers_are_those_without_us(kit: Kit, part: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-74, D12: also where each of our hooks fails."""
    if part is not None:
        guard.strict(False)
        monkeypatch.setattr(guard, "say", lambda _text: True)
        monkeypatch.setattr("otelc2c.measure.pyramid.place_of", Broken())
        if part == "begin":
            monkeypatch.setattr(Operation, part, Broken())
        else:
            monkeypatch.setattr(kit.measurer.views, part, Broken())
            monkeypatch.setattr(kit.measurer.renders, part, Broken())
    ours = application(with_exception_view)
    measured = [ask(ours, path) for path in PATHS]
    PyramidInstrumentor().uninstrument()
    plain = application(with_exception_view)
    expected = [ask(plain, path) for path in PATHS]
    PyramidInstrumentor().instrument(skip_dep_check=True)
    assert measured == expected
    assert bool(guard.total()) is (part is not None)


def test_a_broken_look_costs_no_answer(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the request object says is not trusted."""
    monkeypatch.setattr(guard, "say", lambda _text: True)
    guard.strict(False)

    def breaks(request: Any) -> Response:
        request.__dict__["matched_route"] = "no route"
        request.__dict__["exception"] = 7
        return Response("ok")

    def more(config: Configurator) -> None:
        config.add_route("breaks", "/breaks")
        config.add_view(breaks, route_name="breaks")

    log = ask(application(more), "/breaks")
    assert ("chunk", b"ok") in log
    assert sum(kit.points(DURATION).values()) == 1


def test_every_configurator_has_the_deriver(kit: Kit) -> None:
    """Without a setting, between rendering and mapping, so that the view span has no rendering in it."""
    logging.getLogger(__name__).debug("made here")
    config = Configurator()
    config.commit()
    from pyramid.interfaces import IViewDerivers

    order = [name for name, _ in config.registry.getUtility(IViewDerivers).sorted()]
    assert order.index("rendered_view") < order.index("otelc2c_view") < order.index("mapped_view")


def test_uninstrument_puts_everything_back() -> None:
    """And views that were derived before are no longer timed."""
    before = (Router.__call__, Router.invoke_request, RendererHelper.render)
    instrumentor = PyramidInstrumentor()
    instrumentor.instrument(skip_dep_check=True)
    app = application()
    instrumentor.uninstrument()
    assert (Router.__call__, Router.invoke_request, RendererHelper.render) == before
    with Kit() as kit:
        ask(app, "/hello/x")
        assert kit.raw == []
        assert kit.points(VIEW) == {}


def test_a_server_does_not_wrap_a_router_again(kit: Kit) -> None:
    """It is the layer itself, unless something stands around it."""
    app = application()
    assert measured(app) is app

    def around(environ: Any, start_response: Any) -> Any:
        environ["PATH_INFO"] = "/hello/x"
        return app(environ, start_response)

    ask(measured(around), "/other")
    assert kit.server().name == "GET /hello/{name}"


def test_the_instrumentation_says_what_it_needs() -> None:
    """For OpenTelemetry's loader."""
    assert PyramidInstrumentor().instrumentation_dependencies() == ("pyramid >= 1.10, < 3",)


def test_the_sdks_processors_see_the_finished_span(kit: Kit) -> None:
    """A provider with a processor goes the long way and says the same."""
    exporter = InMemorySpanExporter()
    assert isinstance(kit.provider, TracerProvider)
    kit.provider.add_span_processor(SimpleSpanProcessor(exporter))
    ask(application(with_exception_view), "/hard")
    finished = {span.name: span for span in exporter.get_finished_spans()}
    assert set(finished) == {f"view {HERE}.fails", f"view {HERE}.answers_failure", "render json", "GET /hard"}
    server = finished["GET /hard"]
    assert dict(server.attributes or {}) == kit.server().attributes
    assert server.events[0].name == "exception"


def test_the_sdks_provider_gets_the_same_spans(kit: Kit) -> None:
    """`OTELC2C_TRACER_PROVIDER=sdk`: names, attributes, parents, status and events are the same."""
    exporter = InMemorySpanExporter()
    provider = SdkTracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = application(with_exception_view)
    for path in ("/hello/x", "/hard", "/fails", "/streams", "/nope"):
        kit.raw.clear()
        exporter.clear()
        install(kit.measurer)
        ask(app, path)
        install(Measurer(kit.settings, ApiTracer(provider.get_tracer("otelc2c")), kit.instruments))
        ask(app, path)
        theirs = {span.name: span for span in exporter.get_finished_spans()}
        ours = {span.name: span for span in kit.spans}
        assert theirs.keys() == ours.keys()
        names = {span.id: span.name for span in kit.spans}
        other_names = {span.context.span_id: span.name for span in theirs.values()}
        for name, span in ours.items():
            other = theirs[name]
            assert span.attributes == dict(other.attributes or {})
            assert span.wire.status.code == other.status.status_code.value
            assert [event for event, _ in span.events] == [event.name for event in other.events]
            assert names.get(span.parent) == (other.parent and other_names[other.parent.span_id])
    assert kit.active == 0
