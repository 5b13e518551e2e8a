"""The applications that are measured: they know nothing of telemetry. One answers a JSON hello."""

import atexit
import io
import os
import shutil
import sys
import tempfile
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


def mixed(request: Request) -> dict[str, Any]:
    """Three statements, two commands, and one call of another service."""
    import requests

    registry, name = request.registry, request.matchdict["name"]
    with registry.engine.connect() as connection:
        person = connection.execute(registry.person, {"name": name}).one()
        orders = connection.execute(registry.orders, {"person": person.id}).all()
        total = connection.execute(registry.total, {"person": person.id}).scalar_one()
    registry.cache.set("name", name)
    hello = registry.cache.get("name").decode()
    stock = requests.get(registry.stock_url, timeout=30).json()
    return {"hello": hello, "orders": len(orders), "total": total, "stock": stock}


def with_redis(config: Configurator) -> None:
    """What `cache` needs."""
    import redis

    config.registry.cache = redis.Redis.from_url(os.environ[REDIS_URL])
    config.add_route("cache", "/cache/{name}")
    config.add_view(cache, route_name="cache", renderer="json")


def with_everything(config: Configurator) -> None:
    """What `mixed` needs: tables in a file, Redis, and a service to call."""
    from sqlalchemy import create_engine, text

    with_redis(config)
    registry = config.registry
    folder = tempfile.mkdtemp(prefix="bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    registry.engine = create_engine(f"sqlite:///{folder}/shop")
    with registry.engine.begin() as connection:
        connection.execute(text("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT)"))
        connection.execute(text("CREATE TABLE purchase (id INTEGER PRIMARY KEY, person INT, cents INT)"))
        connection.execute(text("INSERT INTO person (name) VALUES ('world')"))
        connection.execute(
            text("INSERT INTO purchase (person, cents) VALUES (1, :cents)"),
            [{"cents": cents} for cents in range(5)],
        )
    registry.person = text("SELECT id, name FROM person WHERE name = :name")
    registry.orders = text("SELECT id, cents FROM purchase WHERE person = :person ORDER BY id")
    registry.total = text("SELECT sum(cents) FROM purchase WHERE person = :person")
    registry.stock_url = os.environ[STOCK_URL]
    config.add_route("mixed", "/mixed/{name}")
    config.add_view(mixed, route_name="mixed", renderer="json")


REDIS_URL: Final = "BENCH_REDIS_URL"
STOCK_URL: Final = "BENCH_STOCK_URL"
PATHS: Final = {"hello": "/hello/world", "redis": "/cache/world", "mixed": "/mixed/world"}
"""What is asked for, by the subject of a comparison."""


def make_application(subject: str = "hello") -> Application:
    """A Pyramid application with the route of the subject."""
    config = Configurator()
    if subject == "redis":
        with_redis(config)
    elif subject == "mixed":
        with_everything(config)
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
