"""Odd requests and odd answers (faults 2.1, F-74, F-78, F-79).

`APPLICATIONS` are WSGI applications by name, `ENVIRONS` what requests differ in, `RAW_REQUESTS` the same
for a real server, byte by byte, and `application` serves all of `APPLICATIONS` at `/corpus/<name>`.
`observe` is a server that writes down all it can see; what it saw must be the same with our layer.
"""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Any]

PLAIN = [("Content-Type", "text/plain"), ("Content-Length", "2")]


class RaisesInStr(Exception):
    """An exception that has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class Base(BaseException):
    """No `Exception`, like gevent's timeouts."""


class Chunks:
    """A body with its own iterator and `close`, which says what is done with it."""

    def __init__(self, environ: Environ, *chunks: bytes) -> None:
        self.log = environ["test.log"]
        self.chunks = iter(chunks)

    def __iter__(self) -> "Chunks":
        self.log.append("iter")
        return self

    def __next__(self) -> bytes:
        return next(self.chunks)

    def close(self) -> None:
        self.log.append("close")


class Sized(Chunks):
    """A body that knows its length, from which servers make a header."""

    def __len__(self) -> int:
        return 1


class GetItem:
    """The old way to be iterable."""

    def __getitem__(self, index: int) -> bytes:
        if index > 1:
            raise IndexError(index)
        return b"x"


class CloseRaises(Chunks):
    def close(self) -> None:
        super().close()
        raise KeyError("close")


class Headers(list):  # type: ignore[type-arg]
    """A subclass of list."""


def answer(status: Any, headers: Any, body: Any) -> Application:
    """An application that always answers the same."""

    def app(environ: Environ, start_response: Callable[..., Any]) -> Any:
        start_response(status, headers)
        return body(environ) if callable(body) else body

    return app


def raising(error: Callable[[], BaseException]) -> Application:
    """An application that raises before it answers."""

    def app(environ: Environ, start_response: Callable[..., Any]) -> Any:
        raise error()

    return app


def deep(environ: Environ, start_response: Callable[..., Any]) -> Any:
    """Recursion without an end."""
    return deep(environ, start_response)


def generator(environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Everything happens in the first iteration."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        yield b"a"
        yield b""
        yield b"b"
    finally:
        environ["test.log"].append("generator ended")


def raises_midway(environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"a"
    raise LookupError("midway")


def raises_first(environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    raise LookupError("first")
    yield b"never"


def raises_base_midway(environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"a"
    raise Base("midway")


def never_started(environ: Environ, start_response: Callable[..., Any]) -> Any:
    return [b"no status"]


def started_twice(environ: Environ, start_response: Callable[..., Any]) -> Any:
    start_response("200 OK", list(PLAIN))
    try:
        raise ValueError("late")
    except ValueError:
        start_response("503 Later", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"no"]


def started_twice_wrongly(environ: Environ, start_response: Callable[..., Any]) -> Any:
    start_response("200 OK", list(PLAIN))
    start_response("200 OK", list(PLAIN))
    return [b"ok"]


def late_error(environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"a"
    try:
        raise ValueError("late")
    except ValueError:
        start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
    yield b"b"


def writes(environ: Environ, start_response: Callable[..., Any]) -> Any:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"first")
    write(b"second")
    return [b"third"]


def writes_then_raises(environ: Environ, start_response: Callable[..., Any]) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])(b"first")
    raise LookupError("after write")


def keeps_headers(environ: Environ, start_response: Callable[..., Any]) -> Any:
    """The application looks at its own list afterwards."""
    headers = [("Content-Type", "text/plain")]
    start_response("200 OK", headers)
    return [repr(headers).encode()]


def file_of(environ: Environ, start_response: Callable[..., Any]) -> Any:
    """A file, sent in the server's own way."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    log = environ.get("test.log", [])

    class File(io.BytesIO):
        def close(self) -> None:
            log.append("file closed")
            super().close()

    return environ["wsgi.file_wrapper"](File(b"content of a file"))


def real_file(environ: Environ, start_response: Callable[..., Any]) -> Any:
    """A file with a descriptor, for `sendfile`."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](open(os.devnull, "rb"))


def echo(environ: Environ, start_response: Callable[..., Any]) -> Any:
    """What of the request an application sees."""
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_X", "HTTP_COOKIE")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr({name: environ.get(name) for name in names}).encode()]


APPLICATIONS: Mapping[str, Application] = {
    "list": answer("200 OK", PLAIN, [b"ok"]),
    "tuple": answer("200 OK", PLAIN, (b"o", b"k")),
    "empty list": answer("204 No Content", [], []),
    "not modified": answer("304 Not Modified", [], lambda environ: Chunks(environ, b"x")),
    "no reason": answer("200", PLAIN, [b"ok"]),
    "no reason, blank": answer("200 ", PLAIN, [b"ok"]),
    "unknown status": answer("299 Hm", PLAIN, [b"ok"]),
    "informational": answer("103 Early Hints", [], []),
    "server error": answer("500 Oops", PLAIN, [b"no"]),
    "large status": answer("1000 Big", PLAIN, [b"ok"]),
    "word for status": answer("OK", PLAIN, [b"ok"]),
    "empty status": answer("", PLAIN, [b"ok"]),
    "bytes for status": answer(b"200 OK", PLAIN, [b"ok"]),
    "number for status": answer(200, PLAIN, [b"ok"]),
    "list for status": answer(["200 OK"], PLAIN, [b"ok"]),
    "tuple of headers": answer("200 OK", tuple(PLAIN), [b"ok"]),
    "headers of another class": answer("200 OK", Headers(PLAIN), [b"ok"]),
    "no headers": answer("200 OK", None, [b"ok"]),
    "broken header": answer("200 OK", [("Content-Type",)], [b"ok"]),
    "number in a header": answer("200 OK", [("Content-Length", 2)], [b"ok"]),
    "number for a header": answer("200 OK", [(1, "2")], [b"ok"]),
    "own request id": answer("200 OK", [("x-request-id", "mine")], [b"ok"]),
    "body of text": answer("200 OK", PLAIN, ["text"]),
    "bytes for a body": answer("200 OK", PLAIN, b"ok"),
    "no body": answer("200 OK", PLAIN, None),
    "number for a body": answer("200 OK", PLAIN, 7),
    "dict for a body": answer("200 OK", PLAIN, {b"ok": 1}),
    "chunks": answer("200 OK", PLAIN, lambda environ: Chunks(environ, b"o", b"k")),
    "sized": answer("200 OK", PLAIN, lambda environ: Sized(environ, b"ok")),
    "old iteration": answer("200 OK", PLAIN, lambda environ: GetItem()),
    "close raises": answer("200 OK", PLAIN, lambda environ: CloseRaises(environ, b"ok")),
    "generator": generator,
    "raises midway": raises_midway,
    "raises first": raises_first,
    "raises base midway": raises_base_midway,
    "never started": never_started,
    "started twice": started_twice,
    "started twice wrongly": started_twice_wrongly,
    "late error": late_error,
    "writes": writes,
    "writes then raises": writes_then_raises,
    "keeps headers": keeps_headers,
    "file": file_of,
    "real file": real_file,
    "echo": echo,
    "raises": raising(lambda: ValueError("no")),
    "raises without text": raising(RaisesInStr),
    "raises large text": raising(lambda: ValueError("x" * 10_000_000)),
    "raises surrogates": raising(lambda: ValueError("\udcff")),
    "raises base": raising(lambda: Base("no")),
    "raises exit": raising(lambda: SystemExit(3)),
    "raises interrupt": raising(KeyboardInterrupt),
    "raises generator exit": raising(GeneratorExit),
    "raises stop": raising(StopIteration),
    "recursion": deep,
}

FATAL = frozenset({"raises base", "raises exit", "raises interrupt", "raises generator exit"})
"""What ends a worker process, and `"raises base midway"` too: not for a server that is to go on."""

ENVIRONS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "head": {"REQUEST_METHOD": "HEAD"},
    "odd method": {"REQUEST_METHOD": "BREW \x00"},
    "small method": {"REQUEST_METHOD": "get"},
    "long method": {"REQUEST_METHOD": "M" * 5000},
    "empty method": {"REQUEST_METHOD": ""},
    "not utf-8": {"PATH_INFO": "/\xff", "RAW_URI": "/%ff"},
    "raw bytes": {"PATH_INFO": "/\xc3\x28\x00\x1b", "RAW_URI": "/\xc3(\x00\x1b"},
    "surrogate": {"PATH_INFO": "/\udcff", "RAW_URI": "/\udcff", "HTTP_X": "\udcff"},
    "snowman": {"PATH_INFO": "/\u2603", "RAW_URI": "/\u2603"},
    "no path": {"PATH_INFO": "", "RAW_URI": ""},
    "absolute target": {"RAW_URI": "http://user:secret@other.example.com/a?b=c"},
    "bad absolute target": {"RAW_URI": "http://[::1/a"},
    "star": {"REQUEST_METHOD": "OPTIONS", "PATH_INFO": "*", "RAW_URI": "*"},
    "long path": {"PATH_INFO": "/" + "a" * 100_000, "RAW_URI": "/" + "a" * 100_000},
    "query": {"QUERY_STRING": "a=%ff&b&=&;&a=b=c", "RAW_URI": "/?a=%ff&b&=&;&a=b=c"},
    "odd headers": {"HTTP_X": "\xff\xfe", "HTTP_COOKIE": "a=\xff", "HTTP_USER_AGENT": "\xff" * 9000},
    "odd host": {"HTTP_HOST": "[::1]:99999999:\xff"},
    "no host": {"HTTP_HOST": ""},
    "odd protocol": {"SERVER_PROTOCOL": "GOPHER"},
    "odd scheme": {"wsgi.url_scheme": "gopher"},
    "odd port": {"SERVER_PORT": "\xff", "REMOTE_PORT": "x", "REMOTE_ADDR": ""},
    "odd trace": {"HTTP_TRACEPARENT": "00-zz-\xff-01", "HTTP_TRACESTATE": "\xff=\xfe,,"},
    "unsampled trace": {"HTTP_TRACEPARENT": f"00-{'ab' * 16}-{'cd' * 8}-00"},
    "baggage": {"HTTP_BAGGAGE": ",,=,;a=b;\xff=\xfe,%ff=%fe" + ",a=b" * 1000},
    "large baggage": {"HTTP_BAGGAGE": "a=" + "b" * 20_000},
    "excluded": {"PATH_INFO": "/healthz", "RAW_URI": "/healthz"},
    "small": {"SERVER_PROTOCOL": None, "SERVER_PORT": None, "QUERY_STRING": None, "HTTP_HOST": None},
}
"""What differs from `make_environ()`; None takes a key away."""

_HEAD = b"Host: a.example.com\r\nConnection: close\r\n\r\n"
RAW_REQUESTS: Mapping[str, bytes] = {
    "not utf-8": b"GET /corpus/echo?%ff HTTP/1.1\r\n" + _HEAD,
    "path not utf-8": b"GET /%ff HTTP/1.1\r\n" + _HEAD,
    "raw bytes in path": b"GET /\xff\xfe HTTP/1.1\r\n" + _HEAD,
    "raw bytes in query": b"GET /corpus/echo?a=\xff HTTP/1.1\r\n" + _HEAD,
    "raw bytes in header": b"GET /corpus/echo HTTP/1.1\r\nX: \xff\xfe\r\nUser-Agent: \xff\r\n" + _HEAD,
    "odd cookie": b'GET /corpus/echo HTTP/1.1\r\nCookie: a="\xff; b\r\n' + _HEAD,
    "escape in header": b"GET /corpus/echo HTTP/1.1\r\nX: \x1b[31m\r\n" + _HEAD,
    "unknown method": b"BREW /corpus/echo HTTP/1.1\r\n" + _HEAD,
    "head": b"HEAD /corpus/list HTTP/1.1\r\n" + _HEAD,
    "head of generator": b"HEAD /corpus/generator HTTP/1.1\r\n" + _HEAD,
    "old protocol": b"GET /corpus/list HTTP/1.0\r\n\r\n",
    "absolute target": b"GET http://other.example.com/corpus/echo HTTP/1.1\r\n" + _HEAD,
    "long path": b"GET /" + b"a" * 4000 + b" HTTP/1.1\r\n" + _HEAD,
    "bad trace": b"GET /corpus/echo HTTP/1.1\r\ntraceparent: 00-zz-\xff-01\r\n" + _HEAD,
    "many baggage entries": b"GET /corpus/echo HTTP/1.1\r\nbaggage: " + b"a=b," * 1000 + b"\r\n" + _HEAD,
    **{
        name: b"GET /corpus/" + name.replace(" ", "%20").encode() + b" HTTP/1.1\r\n" + _HEAD
        for name in APPLICATIONS
        if name not in FATAL and name != "raises base midway"
    },
}
"""Requests for a server that runs `application`, by name."""


def application(environ: Environ, start_response: Callable[..., Any]) -> Any:
    """All of `APPLICATIONS`, for a real server."""
    environ.setdefault("test.log", [])
    name = environ["PATH_INFO"].removeprefix("/corpus/")
    return APPLICATIONS.get(name, echo)(environ, start_response)


def make_environ(changes: Mapping[str, Any] | None = None) -> Environ:
    """What gunicorn hands over, with `changes`."""
    log: list[Any] = []

    class FileWrapper:
        def __init__(self, file: Any, size: int = 8192) -> None:
            self.file = file
            self.size = size
            if hasattr(file, "close"):
                self.close = file.close

        def __iter__(self) -> Iterator[bytes]:
            return iter(lambda: self.file.read(self.size), b"")

    environ: Environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a",
        "QUERY_STRING": "",
        "RAW_URI": "/a",
        "SERVER_NAME": "0.0.0.0",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "shop.example.com",
        "HTTP_USER_AGENT": "test/1",
        "REMOTE_ADDR": "10.0.0.12",
        "REMOTE_PORT": "51234",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "test.log": log,
    }
    environ.update(changes or {})
    return {key: value for key, value in environ.items() if value is not None}


def observe(app: Application, environ: Environ, most: int = 1000) -> list[Any]:
    """Call `app` as gunicorn does, reading at most `most` chunks, and say all that could be seen.

    The header `X-Request-ID` that our layer adds is left out.
    """
    log: list[Any] = environ["test.log"]
    started: list[Any] = []

    def start_response(status: Any, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info is not None and "sent" in log:
            raise exc_info[1]
        if started and exc_info is None:
            raise AssertionError("Response headers already set!")
        started.append(status)
        log.append(("start", status, _without_ours(headers), type(headers).__name__, exc_info is not None))
        return lambda data: log.extend([("write", data), "sent"])

    try:
        body: Iterable[bytes] = app(environ, start_response)
        try:
            if isinstance(body, environ["wsgi.file_wrapper"]):
                log.append("server's file")
            log.append(("length", len(body) if hasattr(body, "__len__") else None))
            for number, chunk in enumerate(body):
                log.extend([("chunk", chunk), "sent"])
                if number + 1 >= most:
                    break
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
    except BaseException as error:
        context = error.__context__
        log.append(("raised", type(error), len(error.args), None if context is None else type(context)))
    return log


def _without_ours(headers: Any) -> Any:
    try:
        return [header for header in headers if header[0] != "X-Request-ID"]
    except Exception:
        return repr(headers)
