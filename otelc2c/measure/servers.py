"""Servers: the application that they load gets our layer around it.

No server is imported here. Those that are loaded already are changed at once, the others when they are.
"""

import sys
from collections.abc import Callable, Collection
from typing import Any, ClassVar, Final

import wrapt
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from otelc2c.guard import swallowed
from otelc2c.measure.patches import Patches
from otelc2c.wsgi import measured

_WHERE: Final = "measure.servers"


def _load_wsgi(original: Callable[..., Any]) -> Callable[..., Any]:
    """gunicorn: the application of a worker, when it has been loaded."""

    def load_wsgi(self: Any, *args: Any, **named: Any) -> Any:
        result = original(self, *args, **named)
        self.wsgi = measured(self.wsgi)
        return result

    return load_wsgi


def _server_init(original: Callable[..., Any]) -> Callable[..., Any]:
    """waitress: every listening socket's server gets the application."""

    def init(self: Any, application: Any, *args: Any, **named: Any) -> None:
        original(self, measured(application), *args, **named)

    return init


def _set_app(original: Callable[..., Any]) -> Callable[..., Any]:
    """wsgiref: `make_server` and everything else comes by here."""

    def set_app(self: Any, application: Any) -> Any:
        return original(self, measured(application))

    return set_app


_SERVERS: Final[dict[str, tuple[str, str, Callable[[Callable[..., Any]], Callable[..., Any]]]]] = {
    "gunicorn.workers.base": ("Worker", "load_wsgi", _load_wsgi),
    "waitress.server": ("BaseWSGIServer", "__init__", _server_init),
    "wsgiref.simple_server": ("WSGIServer", "set_app", _set_app),
}


class WsgiInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Measures every WSGI application that gunicorn, waitress or wsgiref serves."""

    # The base class makes one instance, but calls `__init__` each time.
    _patches: ClassVar[Patches] = Patches()
    _on = False
    _hooked = False

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(self, **_kwargs: Any) -> None:
        self._on = True
        for name in _SERVERS:
            if name in sys.modules:
                self._change(sys.modules[name])
        if not self._hooked:
            self._hooked = True
            for name in _SERVERS:
                if name not in sys.modules:
                    wrapt.register_post_import_hook(self._change, name)

    def _change(self, module: Any) -> None:
        if not self._on:
            return
        try:
            owner, name, make = _SERVERS[module.__name__]
            self._patches.replace(getattr(module, owner), name, make)
        except Exception as error:
            swallowed(_WHERE, error)

    def _uninstrument(self, **_kwargs: Any) -> None:
        self._on = False
        self._patches.restore()
