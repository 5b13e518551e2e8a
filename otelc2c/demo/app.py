"""The sample application: its routes, and what is included."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import redis
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy.orm import Session

from otelc2c.demo.database import engine_at
from otelc2c.demo.views import SupplierAway

Application: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

METRICS_URL = "http://localhost:9464/metrics"
"""Where the page of a service that sets nothing is found."""
CACHE_SECONDS = 1.0
"""Longest time for one answer of Redis."""


def make_application(metrics_url: str = METRICS_URL, redis_url: str = "", database: str = "") -> Application:
    """The application. `metrics_url` is the link to the numbers that the home page shows.

    `redis_url` is where it finds a Redis; without one it goes on without a cache. `database` is the
    path of its order book; without one it takes no orders.
    """
    settings = {
        "demo.metrics_url": metrics_url,
        "demo.cache": cache_at(redis_url),
        "demo.book": engine_at(database) if database else None,
    }
    with Configurator(settings=settings) as config:
        config.include("pyramid_mako")
        config.include(routes)
        config.add_request_method(book_of, "book", reify=True)
        config.scan("otelc2c.demo.views")
    application: Application = config.make_wsgi_app()
    return application


def cache_at(url: str) -> Any:
    """A client of the Redis at `url`, which is not asked anything yet; None without an address."""
    if not url:
        return None
    return redis.Redis.from_url(url, socket_timeout=CACHE_SECONDS, socket_connect_timeout=CACHE_SECONDS)


def book_of(request: Request) -> Session:
    """The order book, open until the request's response is made, its template included.

    Raises SupplierAway where there is none.
    """
    engine = request.registry.settings["demo.book"]
    if engine is None:
        raise SupplierAway("there is no order book")
    session = Session(engine)
    request.add_finished_callback(lambda request: session.close())
    return session


def routes(config: Configurator) -> None:
    """Every address of the application."""
    config.add_static_view("static", "otelc2c.demo:static", cache_max_age=3600)
    config.add_route("home", "/")
    config.add_route("hello", "/hello/{name}")
    config.add_route("shelf", "/shelf")
    config.add_route("slow", "/slow")
    config.add_route("fail", "/fail")
    config.add_route("crash", "/crash")
    config.add_route("stream", "/stream")
    config.add_route("prices", "/prices")
    config.add_route("orders", "/orders")
    config.add_route("orders_late", "/orders/late")
    config.add_route("orders_joined", "/orders/joined")
    config.add_route("supplier", "/supplier")
    config.add_route("stock", "/supplier/stock")
    config.add_route("cache", "/cache")
