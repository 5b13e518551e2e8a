"""Servers: what they load gets our layer, whether they are imported before or after."""

import importlib
import sys
import threading
import types
import urllib.request
from collections.abc import Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import gunicorn.workers.base
import pytest
import waitress.server
from waitress import create_server

from otelc2c.measure.servers import WsgiInstrumentor
from otelc2c.wsgi import Measured
from tests.measure.corpus import APPLICATIONS, application
from tests.measure.kit import Kit


@pytest.fixture
def instrumentor() -> Iterator[WsgiInstrumentor]:
    """Switched on for one test."""
    made = WsgiInstrumentor()
    made.instrument(skip_dep_check=True)
    yield made
    made.uninstrument()


class Quiet(WSGIRequestHandler):
    """Writes no access log."""

    def log_message(self, *_args: Any) -> None:
        return


def test_wsgiref_serves_a_measured_application(instrumentor: WsgiInstrumentor) -> None:
    """A request over a real socket."""
    with Kit() as kit, make_server("127.0.0.1", 0, APPLICATIONS["list"], handler_class=Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/a?b=c") as answer:
            assert answer.read() == b"ok"
            request_id = answer.headers["X-Request-ID"]
        thread.join()
        span = kit.server()
        assert span.wire.trace_id.hex() == request_id
        assert (span.attributes["url.path"], span.attributes["url.query"]) == ("/a", "b=REDACTED")
        assert span.attributes["server.port"] == server.server_port


def waitress_of(app: Any, **more: Any) -> Any:
    """A waitress on a free port."""
    return create_server(app, host="127.0.0.1", port=0, threads=1, **more)


def test_waitress_gets_a_measured_application(instrumentor: WsgiInstrumentor) -> None:
    """Every listening socket's server; waitress' own filter of proxy headers stands around it."""
    server = waitress_of(APPLICATIONS["list"], clear_untrusted_proxy_headers=False)
    try:
        assert isinstance(server.application, Measured)
    finally:
        server.task_dispatcher.shutdown()
        server.close()


def _ask_waitress() -> list[Any]:
    """Four answers over sockets, without the headers that always differ."""
    server = waitress_of(application)
    found: list[Any] = []

    def ask() -> None:
        for name in ("list", "sized", "generator", "file"):
            url = f"http://127.0.0.1:{server.effective_port}/corpus/{name}"
            with urllib.request.urlopen(url) as got:
                kept = [item for item in got.headers.items() if item[0] not in ("X-Request-Id", "Date")]
                found.append((got.status, kept, got.read()))

    client = threading.Thread(target=ask)
    client.start()
    try:
        while client.is_alive():
            server.asyncore.loop(timeout=0.02, map=server._map, count=1)
    finally:
        client.join()
        server.task_dispatcher.shutdown()
        server.asyncore.close_all(server._map)
    return found


def test_waitress_answers_as_it_does_without_us(instrumentor: WsgiInstrumentor) -> None:
    """Lists, bodies of known length, streams and files."""
    with Kit() as kit:
        ours = _ask_waitress()
        assert len(ours) == len(kit.spans) == 4
        assert kit.active == 0
    instrumentor.uninstrument()
    assert ours == _ask_waitress()
    instrumentor.instrument(skip_dep_check=True)


class App:
    """gunicorn's view of an application."""

    def wsgi(self) -> Any:
        return APPLICATIONS["list"]


def _worker() -> Any:
    worker = gunicorn.workers.base.Worker.__new__(gunicorn.workers.base.Worker)
    worker.app = App()
    worker.load_wsgi()
    return worker.wsgi


def test_a_worker_of_gunicorn_loads_a_measured_application(instrumentor: WsgiInstrumentor) -> None:
    """All of gunicorn's workers load it there."""
    assert isinstance(_worker(), Measured)


def test_uninstrument_puts_everything_back(instrumentor: WsgiInstrumentor) -> None:
    """Servers then get the application itself."""
    instrumentor.uninstrument()
    assert _worker() is APPLICATIONS["list"]
    assert not hasattr(WSGIServer.set_app, "__wrapped__")
    assert not hasattr(waitress.server.BaseWSGIServer.__init__, "__wrapped__")
    instrumentor.instrument(skip_dep_check=True)
    assert isinstance(_worker(), Measured)


def test_a_server_that_is_imported_later_is_changed_then(
    instrumentor: WsgiInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none is imported by us."""
    name = "wsgiref.simple_server"
    instrumentor.uninstrument()
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(instrumentor, "_waiting", False)
    instrumentor.instrument(skip_dep_check=True)
    assert name not in sys.modules
    module = importlib.import_module(name)
    assert hasattr(module.WSGIServer.set_app, "__wrapped__")


def test_a_server_that_is_not_as_known_stays_as_it_is(instrumentor: WsgiInstrumentor) -> None:
    """Another version without the method: said through the guard, which raises in tests."""
    with pytest.raises(AttributeError):
        instrumentor._loaded(types.ModuleType("waitress.server"))


def test_no_dependency_is_asked_for() -> None:
    """It is loaded with every server."""
    assert WsgiInstrumentor().instrumentation_dependencies() == ()
