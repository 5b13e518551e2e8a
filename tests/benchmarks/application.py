"""The applications that are measured: they know nothing of telemetry. One answers a JSON hello."""

import io
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from pyramid.config import Configurator
from pyramid.request import Request

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


def hello(request: Request) -> dict[str, str]:
    """Greet by name."""
    return {"hello": request.matchdict["name"]}


def cache(request: Request) -> dict[str, str]:
    """Keep a name in Redis, and read it again."""
    client, name = request.registry.cache, request.matchdict["name"]
    client.set("name", name)
    return {"hello": client.get("name").decode()}


def with_redis(config: Configurator) -> None:
    """What `cache` needs."""
    import redis

    config.registry.cache = redis.Redis.from_url(os.environ[REDIS_URL])


REDIS_URL: Final = "BENCH_REDIS_URL"
PATHS: Final = {"hello": "/hello/world", "redis": "/cache/world"}
"""What is asked for, by the subject of a comparison."""


def make_application(subject: str = "hello") -> Application:
    """A Pyramid application with one route, that of the subject."""
    config = Configurator()
    if subject == "redis":
        with_redis(config)
        config.add_route("cache", "/cache/{name}")
        config.add_view(cache, route_name="cache", renderer="json")
    else:
        config.add_route("hello", "/hello/{name}")
        config.add_view(hello, route_name="hello", renderer="json")
    application: Application = config.make_wsgi_app()
    return application


def make_environ(path: str = PATHS["hello"]) -> Environ:
    """What gunicorn hands over for a browser's request that came through a proxy."""
    return {
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "SERVER_SOFTWARE": "gunicorn/27.0.1",
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "lang=en&page=2",
        "RAW_URI": f"{path}?lang=en&page=2",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "shop.example.com",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
        "HTTP_ACCEPT": "application/json",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
        "HTTP_ACCEPT_LANGUAGE": "en,fr;q=0.7",
        "HTTP_X_FORWARDED_FOR": "203.0.113.7",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "shop.example.com",
        "REMOTE_ADDR": "10.0.0.12",
        "REMOTE_PORT": "51234",
        "SERVER_NAME": "0.0.0.0",
        "SERVER_PORT": "8000",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
    }


def call(application: Application, path: str = PATHS["hello"]) -> bytes:
    """One request as a server makes it: the body is read to its end and closed."""
    answered: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None) -> Callable[[bytes], None]:
        answered.append(status)
        return answered.clear  # type: ignore[return-value]  # no application here uses `write`

    body = application(make_environ(path), start_response)
    try:
        content = b"".join(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    if answered != ["200 OK"]:
        raise AssertionError(f"{path} answered {answered}")
    return content
