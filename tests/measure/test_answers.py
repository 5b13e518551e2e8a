"""What servers answer to what an application lets pass; the table was seen with real ones."""

import ssl
import urllib.error
import urllib.request
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from gunicorn.http.errors import InvalidChunkSize

from otelc2c import guard
from otelc2c.measure.answers import answered
from otelc2c.wsgi import Measured
from tests.measure.corpus import APPLICATIONS, make_environ
from tests.measure.kit import Kit


def socket_of(module: str) -> Any:
    """A connection whose type is of this module."""
    return type("socket", (), {"__module__": module})()


PLAIN = socket_of("socket")
SERVERS: dict[str, dict[str, Any]] = {
    "sync": {"gunicorn.socket": PLAIN, "wsgi.multithread": False},
    "gthread": {"gunicorn.socket": PLAIN, "wsgi.multithread": True},
    "gevent": {"gunicorn.socket": socket_of("gevent._socket3"), "wsgi.multithread": True},
    "http2": {"gunicorn.socket": PLAIN, "wsgi.multithread": True, "SERVER_PROTOCOL": "HTTP/2"},
    "waitress": {"SERVER_SOFTWARE": "waitress"},
    "wsgiref": {"SERVER_SOFTWARE": "WSGIServer/0.2 CPython/3.11.7"},
    "unknown": {},
}
GREENLET_EXIT: type[BaseException] = type("GreenletExit", (BaseException,), {})

ANSWERED: dict[str, tuple[BaseException, dict[str, str | None]]] = {
    # What is named answers so; everybody else answers 500.
    "error": (ValueError("no"), {}),
    "file": (FileNotFoundError(2, "no"), {"sync": None, "gthread": None, "gevent": None}),
    "client": (BrokenPipeError(32, "no"), {"sync": None, "gthread": None, "gevent": None, "wsgiref": None}),
    "tls": (ssl.SSLError(1, "no"), {"sync": "403", "gthread": "403", "gevent": "403"}),
    "tls end": (ssl.SSLEOFError(8, "no"), {"sync": None, "gthread": None, "gevent": None}),
    "stop": (StopIteration(), {"sync": None, "gthread": None, "gevent": None}),
    "chunk": (InvalidChunkSize(b"x"), {"sync": None, "gthread": None, "gevent": None}),
    "exit": (
        SystemExit(1),
        {"gthread": None, "gevent": None, "http2": None, "waitress": None, "unknown": None},
    ),
    "interrupt": (KeyboardInterrupt(), {"gthread": None, "http2": None, "waitress": None, "unknown": None}),
    "greenlet": (
        GREENLET_EXIT(),
        {"gthread": None, "gevent": None, "http2": None, "waitress": None, "unknown": None},
    ),
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("raised", ANSWERED)
def test_the_status_is_that_of_the_server(server: str, raised: str) -> None:
    """gunicorn 23 and 27 answer alike, wherever nothing has been sent yet."""
    error, otherwise = ANSWERED[raised]
    assert answered(error, SERVERS[server]) == otherwise.get(server, "500")


def test_an_environ_that_cannot_be_read_has_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application may have put anything there."""

    class Broken:
        def __str__(self) -> str:
            raise ValueError("no")

    guard.strict(False)
    monkeypatch.setattr(guard, "say", lambda _text: True)
    assert answered(ValueError(), {"SERVER_SOFTWARE": Broken()}) is None
    assert guard.counts() == {"measure.answers": 1}


class Quiet(WSGIRequestHandler):
    """Writes nothing."""

    def log_message(self, *_args: Any) -> None:
        return

    def get_stderr(self) -> Any:
        return self

    def write(self, _text: str) -> None:
        return

    def flush(self) -> None:
        return


def test_wsgiref_sends_the_status_that_is_recorded() -> None:
    """A real request: the end of a program is a 500 to the client."""
    with (
        Kit() as kit,
        make_server("127.0.0.1", 0, Measured(APPLICATIONS["raises exit"]), handler_class=Quiet) as server,
    ):
        thread = Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/")
        thread.join()
        attributes = kit.server().attributes
        refused.value.close()
    assert attributes["http.response.status_code"] == refused.value.code == 500
    assert attributes["error.type"] == "SystemExit"


def test_what_gunicorn_does_not_answer_has_no_status() -> None:
    """An error of a file is one of the connection to gunicorn: the client gets nothing."""

    def missing(_environ: Any, _start_response: Any) -> Any:
        raise FileNotFoundError(2, "no such file")

    with Kit() as kit:
        with pytest.raises(FileNotFoundError):
            Measured(missing)(make_environ(SERVERS["sync"]), lambda *_: None)
        attributes = kit.server().attributes
        point = kit.point("http.server.request.duration")
    for found in (attributes, point):
        assert "http.response.status_code" not in found
        assert found["error.type"] == "FileNotFoundError"
