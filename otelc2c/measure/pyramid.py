"""Pyramid, without a subscriber and without a tween: its router, its views and its renderers are wrapped.

The router is where a request of Pyramid's begins when nothing stands around it; the request object
that it makes says at the end which route matched and which exception was answered.
"""

from collections.abc import Callable, Collection
from types import MethodType
from typing import Any, ClassVar, Final

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from otelc2c.guard import swallowed
from otelc2c.measure.http import Where
from otelc2c.measure.measurer import installed
from otelc2c.measure.operation import Begun, Operation
from otelc2c.measure.patches import Patches
from otelc2c.measure.request import KEY, Answered, Request
from otelc2c.wsgi import MEASURES, serve

_WHERE: Final = "measure.pyramid"
_NO_VIEWS: Final = frozenset({"pyramid.httpexceptions.default_exceptionresponse_view"})
"""What only hands a raised answer on."""
_DERIVER: Final = "otelc2c_view"
_PLACE: Final = "otelc2c_place"
"""Where a request keeps the name of what traversal found."""
_NOTHING: Final[dict[str, Any]] = {}


# -- what became of a request -----------------------------------------------------------------


def where_of(request: Any) -> Where:
    """The matched route, or the place that traversal found."""
    values: dict[str, Any] = request.__dict__
    return values.get("matched_route") or values.get(_PLACE)


def place_of(context: Any, view_name: str) -> str:
    """A bounded name for what traversal found: the context's class, and the view's registered name."""
    place = f"/{{{type(context).__name__}}}"
    return f"{place}/{view_name}" if view_name else place


def is_answer(error: BaseException) -> bool:
    """Whether an exception is a way to answer (a redirect, "not found"), and no failure of the server."""
    code = getattr(error, "status_int", None)
    return isinstance(code, int) and code < 500


def look(request: Request) -> Answered:
    """Route and exception of the last attempt to answer (`pyramid_retry` makes several)."""
    found = request.found
    values = found.__dict__
    error = values.get("exception") or request.raised
    if error is not None and is_answer(error):
        error = None
    # WebOb keeps the environ there; as an attribute it is found after a search in all its classes.
    environ = values.get("environ") or found.environ
    return values.get("matched_route") or values.get(_PLACE), environ.get("SCRIPT_NAME"), error


# -- router -----------------------------------------------------------------------------------


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, environ: Any, start_response: Any) -> Any:
        measurer = installed.measurer
        if measurer is None:
            return original(self, environ, start_response)
        return serve(measurer, MethodType(original, self), environ, start_response)

    setattr(call, MEASURES, True)
    return call


def _invoke_request(original: Callable[..., Any]) -> Callable[..., Any]:
    def invoke_request(self: Any, request: Any, _use_tweens: bool = True) -> Any:
        try:
            running = request.environ.get(KEY)
            if running is not None:
                if running.quiet or running.inside:
                    # A subrequest made of a copy of its request comes by here while that runs.
                    running = None
                else:
                    running.look = look
                    running.found = request
                    running.raised = None
                    running.inside = True
        except Exception as error:
            swallowed(_WHERE, error)
            running = None
        if running is None:
            return original(self, request, _use_tweens)
        try:
            return original(self, request, _use_tweens)
        except Exception as error:
            running.raised = error
            raise
        finally:
            running.inside = False

    return invoke_request


# -- views ------------------------------------------------------------------------------------


def dotted_name(view: Any, attr: str | None) -> str:
    """Where a view is defined: its function, or its class and method."""
    target = getattr(view, "__func__", view)
    if not hasattr(target, "__qualname__"):
        target = type(target)
    name = f"{getattr(target, '__module__', None) or '?'}.{target.__qualname__}"
    return f"{name}.{attr}" if attr else name


def timed_view(view: Callable[..., Any], info: Any) -> Callable[..., Any]:
    """View deriver: the view callable, without its rendering."""
    name = dotted_name(info.original_view, info.options.get("attr"))
    if name in _NO_VIEWS:
        return view
    view_name = info.options.get("name") or ""
    of_exceptions = bool(info.exception_only)

    def timed(context: Any, request: Any) -> Any:
        measurer = installed.measurer
        if measurer is None or not _active.on:
            return view(context, request)
        try:
            values = request.__dict__
            environ = values.get("environ") or request.environ
            if values.get("matched_route") is None and not (of_exceptions or isinstance(context, Exception)):
                values[_PLACE] = place_of(context, view_name)
            begun = measurer.views.begin(name, environ.get(KEY))
        except Exception as error:
            swallowed(_WHERE, error)
            begun = None
        if begun is None:
            return view(context, request)
        try:
            result = view(context, request)
        except BaseException as error:
            _ended(measurer.views, begun, name, environ.get("REQUEST_METHOD"), request, error)
            raise
        where = values.get("matched_route") or values.get(_PLACE)
        measurer.views.end(
            begun, name, environ.get("REQUEST_METHOD"), where, environ.get("SCRIPT_NAME"), None
        )
        return result

    return timed


def _ended(
    operation: Operation, begun: Begun, name: str, first: str, request: Any, error: BaseException | None
) -> None:
    """End a part whose request may be anything, and that may have raised."""
    try:
        where = root = None
        if request is not None:
            where = where_of(request)
            root = (getattr(request, "environ", None) or _NOTHING).get("SCRIPT_NAME")
        if error is not None and is_answer(error):
            error = None
        operation.end(begun, name, first, where, root, error)
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
        measurer = installed.measurer
        if measurer is None or not _active.on:
            return original(self, value, system_values, request)
        try:
            name = self.name or self.type or "default"
            # A template may be rendered outside of a request, and with anything for a request.
            environ = getattr(request, "environ", None) or _NOTHING
            begun = measurer.renders.begin(name, environ.get(KEY))
        except Exception as error:
            swallowed(_WHERE, error)
            begun = None
        if begun is None:
            return original(self, value, system_values, request)
        try:
            result = original(self, value, system_values, request)
        except BaseException as error:
            _ended(measurer.renders, begun, name, name, request, error)
            raise
        if request is None or environ is _NOTHING:
            _ended(measurer.renders, begun, name, name, request, None)
        else:
            values = request.__dict__
            where = values.get("matched_route") or values.get(_PLACE)
            measurer.renders.end(begun, name, name, where, environ.get("SCRIPT_NAME"), None)
        return result

    return render


# -- instrumentation --------------------------------------------------------------------------


class _Active:
    """Whether the instrumentation is on: views that were derived while it was stay wrapped."""

    on = False


_active: Final = _Active()


class PyramidInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Measures Pyramid applications whose `Configurator` is made from now on."""

    # The base class makes one instance, but calls `__init__` each time.
    _patches: ClassVar[Patches] = Patches()

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
