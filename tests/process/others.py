"""An application that uses libraries which other people's instrumentations measure."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import requests
import sqlalchemy
import urllib3
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from pyramid.config import Configurator
from pyramid.request import Request

_pool = ThreadPoolExecutor(2)
_engine = sqlalchemy.create_engine(os.environ["DATABASE_URL"].replace("://", "+psycopg://"))


def _in_thread(url: str) -> int:
    with trace.get_tracer("application").start_as_current_span("in a thread"):
        return requests.get(f"{url}?by=thread", timeout=10).status_code


def page(request: Request) -> dict[str, Any]:
    """One call by each library, one in a thread, and statements with and without SQLAlchemy."""
    url = f"http://127.0.0.1:{request.environ['SERVER_PORT']}/called"
    answers = [
        requests.get(f"{url}?by=requests&token=S3CRET", timeout=10).status_code,
        httpx.get(f"{url}?by=httpx").status_code,
        urllib3.request("GET", f"{url}?by=urllib3").status,
        _pool.submit(_in_thread, url).result(10),
    ]
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT 7").fetchall()
    with _engine.connect() as connection:
        rows += [tuple(row) for row in connection.execute(sqlalchemy.text("SELECT 8"))]
    return {"answers": answers, "rows": rows}


def called(request: Request) -> dict[str, str]:
    """Says who called."""
    return {"by": request.params["by"]}


def make_application() -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """The application, whose engine has asked what SQLAlchemy wants to know of a server."""
    with suppress_instrumentation(), _engine.connect():
        pass
    config = Configurator()
    for view in (page, called):
        config.add_route(view.__name__, f"/{view.__name__}")
        config.add_view(view, route_name=view.__name__, renderer="json")
    made: Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]] = config.make_wsgi_app()
    return made
