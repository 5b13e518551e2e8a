"""An application of a few lines that knows nothing of us.

Served by gunicorn, or as a program on the port it is told: `python -m tests.process.application PORT
SERVER`, where SERVER is `waitress` or `wsgiref`.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from opentelemetry import metrics, trace
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
CHILD = """
from opentelemetry import metrics, trace
metrics.get_meter("child").create_counter("child.work").add(1)
with trace.get_tracer("child").start_as_current_span("work of a child"):
    pass
"""


def hello(request: Request) -> dict[str, str]:
    """A JSON hello."""
    return {"hello": request.matchdict["name"]}


def make_item(request: Request) -> Response:
    """Something is made: 201."""
    return Response(status=201, json_body={"id": request.matchdict["id"]})


def missing(request: Request) -> Response:
    """An exception that is an answer: 404."""
    raise HTTPNotFound(request.matchdict["id"])


def fail(request: Request) -> Response:
    """An exception that a view of its own answers: 500."""
    raise LookupError("no such luck")


def failed(error: LookupError, request: Request) -> Response:
    """The exception view."""
    return Response(status=500, json_body={"error": str(error)})


def slow(request: Request) -> dict[str, float]:
    """Takes its time."""
    seconds = float(request.params.get("seconds", "0.2"))
    time.sleep(seconds)
    return {"slept": seconds}


def own(request: Request) -> dict[str, bool]:
    """A counter and a span of the application's own, by OpenTelemetry's API."""
    metrics.get_meter("shop").create_counter("shop.orders").add(1, {"kind": "book"})
    with trace.get_tracer("shop").start_as_current_span("order"):
        return {"ordered": True}


def child(request: Request) -> dict[str, int]:
    """A Python process of its own, which counts and traces too."""
    return {"ended": subprocess.run([sys.executable, "-c", CHILD], check=False, timeout=30).returncode}


def make_application() -> Application:
    """The application, made once a worker (or before the fork)."""
    config = Configurator()
    for name, pattern, view, methods in (
        ("hello", "/hello/{name}", hello, "GET"),
        ("items", "/items/{id}", make_item, "POST"),
        ("missing", "/missing/{id}", missing, "GET"),
        ("fail", "/fail", fail, "GET"),
        ("slow", "/slow", slow, "GET"),
        ("own", "/own", own, "GET"),
        ("child", "/child", child, "GET"),
    ):
        config.add_route(name, pattern)
        config.add_view(view, route_name=name, request_method=methods, renderer="json")
    config.add_exception_view(failed, context=LookupError)
    application: Application = config.make_wsgi_app()
    return application


class Quiet(WSGIRequestHandler):
    """wsgiref's handler without its access log."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
        """Nothing."""


def main() -> None:
    """Serve by a server that is one process."""
    port, server = int(sys.argv[1]), sys.argv[2]
    if server == "waitress":
        import waitress  # type: ignore[import-untyped]

        waitress.serve(make_application(), host="127.0.0.1", port=port, threads=4)
    else:
        make_server("127.0.0.1", port, make_application(), handler_class=Quiet).serve_forever()


if __name__ == "__main__":
    main()
