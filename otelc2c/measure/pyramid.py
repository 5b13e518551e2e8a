"""Pyramid, without a subscriber and without a tween: its router, its views and its renderers are wrapped.

The router is where a request of Pyramid's begins when nothing stands around it; the request object
that it makes says at the end which route matched and which exception was answered.
"""

from collections.abc import Callable, Collection
from types import MethodType
from typing import Any, Final

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from otelc2c.guard import swallowed
from otelc2c.measure.http import METHODS, OTHER, Bounded
from otelc2c.measure.measurer import Measurer, installed
from otelc2c.measure.operation import Begun
from otelc2c.measure.patches import Patches
from otelc2c.measure.request import KEY, Request
from otelc2c.wsgi import serve

_WHERE: Final = "measure.pyramid"
_DERIVER: Final = "otelc2c_view"


# -- what became of a request -----------------------------------------------------------------


def _join(key: tuple[str, str]) -> str:
    root, pattern = key
    if pattern.startswith("/"):
        return root + pattern
    return f"{root}/{pattern}"


_routes: Final[Bounded[tuple[str, str], str]] = Bounded(_join, 2000)


def route_of(request: Any) -> str | None:
    """The pattern of the matched route with the application's root; what a view was found for otherwise."""
    values: dict[str, Any] = request.__dict__
    matched = values.get("matched_route")
    if matched is None:
        return values.get("otelc2c_place")
    return _routes[request.environ.get("SCRIPT_NAME") or "", matched.pattern]


def place_of(context: Any, request: Any, view_name: str) -> str:
    """A bounded name for what traversal found: the context's class, and the view's registered name."""
    root = request.environ.get("SCRIPT_NAME") or ""
    place = f"{root}/{{{type(context).__name__}}}"
    return f"{place}/{view_name}" if view_name else place


def is_answer(error: BaseException) -> bool:
    """Whether an exception is a way to answer (a redirect, "not found"), and no failure of the server."""
    code = getattr(error, "status_int", None)
    return isinstance(code, int) and code < 500


def look(request: Request) -> tuple[str | None, BaseException | None]:
    """Route and exception of the last attempt to answer (`pyramid_retry` makes several)."""
    found = request.found
    error = found.__dict__.get("exception") or request.raised
    return route_of(found), None if error is None or is_answer(error) else error


# -- router -----------------------------------------------------------------------------------


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, environ: Any, start_response: Any) -> Any:
        measurer = installed.measurer
        if measurer is None:
            return original(self, environ, start_response)
        return serve(measurer, MethodType(original, self), environ, start_response)

    return call


def _invoke_request(original: Callable[..., Any]) -> Callable[..., Any]:
    def invoke_request(self: Any, request: Any, *args: Any, **named: Any) -> Any:
        try:
            running = request.environ.get(KEY)
            if running is None or running.quiet or running.running:
                running = None
        except Exception as error:
            swallowed(_WHERE, error)
            running = None
        # A subrequest that was made of a copy of its request comes by here while that runs.
        if running is None:
            return original(self, request, *args, **named)
        running.look = look
        running.found = request
        running.raised = None
        running.running = True
        try:
            return original(self, request, *args, **named)
        except Exception as error:
            running.raised = error
            raise
        finally:
            running.running = False

    return invoke_request


# -- views ------------------------------------------------------------------------------------


def dotted_name(view: Any, attr: str | None) -> str:
    """Where a view is defined: its function, or its class and method."""
    target = getattr(view, "__func__", view)
    if not hasattr(target, "__qualname__"):
        target = type(target)
    name = f"{getattr(target, '__module__', None) or '?'}.{target.__qualname__}"
    return f"{name}.{attr}" if attr else name


def _begin(request: Any, name: str, kind: str) -> tuple[Measurer, Begun] | None:
    """Begin a view or a rendering; None where nobody measures."""
    measurer = installed.measurer
    if measurer is None or not _active.on:
        return None
    environ = getattr(request, "environ", None)
    if environ is not None:
        running = environ.get(KEY)
        if running is not None and running.quiet:
            return None
    operation = measurer.views if kind == "view" else measurer.renders
    begun = operation.begin(name)
    return None if begun is None else (measurer, begun)


def timed_view(view: Callable[..., Any], info: Any) -> Callable[..., Any]:
    """View deriver: the view callable, without its rendering."""
    name = dotted_name(info.original_view, info.options.get("attr"))
    view_name = info.options.get("name") or ""
    of_exceptions = bool(info.exception_only)

    def timed(context: Any, request: Any) -> Any:
        try:
            begun = _begin(request, name, "view")
            values = request.__dict__
            if values.get("matched_route") is None and not (of_exceptions or isinstance(context, Exception)):
                values["otelc2c_place"] = place_of(context, request, view_name)
        except Exception as error:
            swallowed(_WHERE, error)
            begun = None
        if begun is None:
            return view(context, request)
        try:
            result = view(context, request)
        except BaseException as error:
            _end_view(begun, name, request, error)
            raise
        _end_view(begun, name, request, None)
        return result

    return timed


def _end_view(running: tuple[Measurer, Begun], name: str, request: Any, error: BaseException | None) -> None:
    measurer, begun = running
    try:
        method = request.environ.get("REQUEST_METHOD")
        if error is not None and is_answer(error):
            error = None
        route = route_of(request)
        measurer.views.end(begun, name, method if method in METHODS else OTHER, route, error)
    except Exception as failure:
        swallowed(_WHERE, failure)


def _add_default_view_derivers(original: Callable[..., Any]) -> Callable[..., Any]:
    def add_default_view_derivers(self: Any) -> None:
        original(self)
        self.add_view_deriver(timed_view, name=_DERIVER, under="rendered_view", over="mapped_view")

    return add_default_view_derivers


# -- renderers --------------------------------------------------------------------------------


def _render(original: Callable[..., Any]) -> Callable[..., Any]:
    def render(self: Any, value: Any, system_values: Any, request: Any = None) -> Any:
        try:
            name = self.name or self.type or "default"
            begun = _begin(request, name, "render")
        except Exception as error:
            swallowed(_WHERE, error)
            begun = None
        if begun is None:
            return original(self, value, system_values, request)
        try:
            result = original(self, value, system_values, request)
        except BaseException as error:
            _end_render(begun, name, request, error)
            raise
        _end_render(begun, name, request, None)
        return result

    return render


def _end_render(
    running: tuple[Measurer, Begun], name: str, request: Any, error: BaseException | None
) -> None:
    measurer, begun = running
    try:
        route = None if request is None else route_of(request)
        measurer.renders.end(begun, name, name, route, error)
    except Exception as failure:
        swallowed(_WHERE, failure)


# -- instrumentation --------------------------------------------------------------------------


class _Active:
    """Whether the instrumentation is on: views that were derived while it was stay wrapped."""

    on = False


_active: Final = _Active()


class PyramidInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Measures Pyramid applications whose `Configurator` is made from now on."""

    def __init__(self) -> None:
        super().__init__()
        self._patches = Patches()

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("pyramid >= 1.10, < 3",)

    def _instrument(self, **_kwargs: Any) -> None:
        from pyramid.config.views import ViewsConfiguratorMixin
        from pyramid.renderers import RendererHelper
        from pyramid.router import Router

        replace = self._patches.replace
        replace(Router, "__call__", _call)
        replace(Router, "invoke_request", _invoke_request)
        replace(ViewsConfiguratorMixin, "add_default_view_derivers", _add_default_view_derivers)
        replace(RendererHelper, "render", _render)
        _active.on = True

    def _uninstrument(self, **_kwargs: Any) -> None:
        _active.on = False
        self._patches.restore()
