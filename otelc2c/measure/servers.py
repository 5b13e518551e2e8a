"""Servers: the application that they load gets our layer around it.

No server is imported here. Those that are loaded already are changed at once, the others when they are.
"""

from collections.abc import Callable
from typing import Any, Final

from otelc2c.measure.late import LateInstrumentor
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


class WsgiInstrumentor(LateInstrumentor):
    """Measures every WSGI application that gunicorn, waitress or wsgiref serves."""

    modules = _SERVERS
    where = "measure.servers"

    def change(self, module: Any) -> None:
        """Put our layer around what a server loads."""
        owner, name, make = _SERVERS[module.__name__]
        self._patches.replace(getattr(module, owner), name, make)
