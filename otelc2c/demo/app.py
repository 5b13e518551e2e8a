"""The sample application: its routes, and what is included."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from pyramid.config import Configurator

Application: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

METRICS_URL = "http://localhost:9464/metrics"
"""Where the page of a service that sets nothing is found."""


def make_application(metrics_url: str = METRICS_URL) -> Application:
    """The application. `metrics_url` is the link to the numbers that the home page shows."""
    with Configurator(settings={"demo.metrics_url": metrics_url}) as config:
        config.include("pyramid_mako")
        config.include(routes)
        config.scan("otelc2c.demo.views")
    application: Application = config.make_wsgi_app()
    return application


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
    config.add_route("orders", "/orders")
