"""The views: one for each way in which a service answers."""

import time
from collections.abc import Iterator
from typing import Any, Final

import requests
from opentelemetry import metrics, trace
from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import exception_view_config, view_config
from redis.exceptions import RedisError

from otelc2c.demo import database
from otelc2c.demo.goods import SHELF, Tea

SLOWEST_MS: Final = 2_000
MOST_LINES: Final = 200
SUPPLIER_SECONDS: Final = 5.0
"""Longest time for the supplier's answer to begin, and for each pause in it."""

tracer = trace.get_tracer("demo")
orders = metrics.get_meter("demo").create_counter(
    "demo.orders", unit="{order}", description="Orders that were priced."
)

VISITS: Final = "tea-room:visits"
CHEAPEST: Final = "tea-room:cheapest"


class SupplierAway(Exception):
    """The supplier does not answer."""


@view_config(route_name="home", renderer="otelc2c.demo:templates/home.mako")
def home(request: Request) -> dict[str, Any]:
    """Links to everything."""
    return {"metrics_url": request.registry.settings["demo.metrics_url"], "teas": SHELF}


@view_config(route_name="hello", renderer="json")
def hello(request: Request) -> dict[str, str]:
    """Greet by name."""
    return {"hello": request.matchdict["name"]}


@view_config(route_name="shelf", renderer="otelc2c.demo:templates/shelf.mako")
def shelf(request: Request) -> dict[str, Any]:
    """A page made by a template."""
    return {"teas": SHELF}


@view_config(route_name="slow", renderer="json")
def slow(request: Request) -> dict[str, int]:
    """Take `ms` milliseconds, at most SLOWEST_MS."""
    waited = whole_number(request, "ms", default=120, most=SLOWEST_MS)
    time.sleep(waited / 1000)
    return {"waited_ms": waited}


@view_config(route_name="fail")
def fail(request: Request) -> Response:
    """Raise what `supplier_away` answers."""
    raise SupplierAway("the supplier does not answer")


@exception_view_config(SupplierAway, renderer="otelc2c.demo:templates/away.mako")
def supplier_away(error: SupplierAway, request: Request) -> dict[str, Any]:
    """Turn the failure into a page that says so, with status 503."""
    request.response.status_int = 503
    return {"reason": str(error)}


@view_config(route_name="crash")
def crash(request: Request) -> Response:
    """Raise what nobody answers: the server says 500."""
    raise RuntimeError("nobody catches this")


@view_config(route_name="stream")
def stream(request: Request) -> Response:
    """Send `lines` lines of text, one after the other, at most MOST_LINES."""
    count = whole_number(request, "lines", default=20, most=MOST_LINES)

    def lines() -> Iterator[bytes]:
        for number in range(1, count + 1):
            time.sleep(0.001)
            yield f"cup {number} of {count}\n".encode()

    return Response(app_iter=lines(), content_type="text/plain", charset="utf-8")


@view_config(route_name="cache", renderer="json")
def cache(request: Request) -> dict[str, Any] | Response:
    """Count visits in Redis, and keep what is cheapest there for a minute."""
    client = request.registry.settings["demo.cache"]
    if client is None:
        return Response("There is no Redis: REDIS_URL says where one is.\n", content_type="text/plain")
    try:
        with client.pipeline() as pipe:
            visits, _ = pipe.incr(VISITS).expire(VISITS, 3600).execute()
        cheapest = client.get(CHEAPEST)
        if cheapest is None:
            cheapest = min(SHELF, key=lambda tea: tea.cents).name.encode()
            client.set(CHEAPEST, cheapest, ex=60)
    except RedisError as error:
        raise SupplierAway("the cache does not answer") from error
    return {"visits": visits, "cheapest": cheapest.decode()}


@view_config(route_name="prices", renderer="json")
def prices(request: Request) -> dict[str, int]:
    """What can be ordered, in cents."""
    return {tea.name: tea.cents for tea in SHELF}


@view_config(route_name="orders", request_method="POST", renderer="json")
def order(request: Request) -> dict[str, Any]:
    """Price an order of `cups` cups of `tea`, in a span of its own, store and count it."""
    tea = wanted_tea(request)
    cups = whole_number(request, "cups", default=1, most=100)
    with tracer.start_as_current_span("price order", attributes={"demo.tea": tea.name}) as span:
        total = tea.cents * cups
        span.set_attribute("demo.total", total)
    database.store(request.book, tea.name, cups)
    orders.add(1, {"demo.tea": tea.name})
    request.response.status_int = 201
    return {"tea": tea.name, "cups": cups, "cents": total}


@view_config(route_name="orders_late", renderer="otelc2c.demo:templates/orders.mako")
def orders_late(request: Request) -> dict[str, Any]:
    """Orders whose teas and suppliers the template asks for, one after the other."""
    return {"orders": database.oldest(request.book), "joined": False}


@view_config(route_name="orders_joined", renderer="otelc2c.demo:templates/orders.mako")
def orders_joined(request: Request) -> dict[str, Any]:
    """The same page with one query."""
    return {"orders": database.oldest_joined(request.book), "joined": True}


@view_config(route_name="supplier", renderer="json")
def supplier(request: Request) -> dict[str, Any]:
    """Ask the supplier over HTTP what is left of `tea`."""
    tea = wanted_tea(request)
    # The address at which this service listens. What a caller says in `Host` may be anywhere.
    url = f"http://{request.server_name}:{request.server_port}{request.route_path('stock')}"
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(url, params={"tea": tea.name}, timeout=SUPPLIER_SECONDS)
            answer.raise_for_status()
            left = answer.json()["cups"]
    except requests.RequestException as error:
        raise SupplierAway("the supplier does not answer") from error
    return {"tea": tea.name, "supplier": tea.supplier.name, "cups": left}


@view_config(route_name="stock", renderer="json")
def stock(request: Request) -> dict[str, Any]:
    """What is left of `tea`: the supplier's side of it, which is this service too."""
    tea = wanted_tea(request)
    return {"tea": tea.name, "cups": database.cups_left(request.book, tea.name)}


def wanted_tea(request: Request) -> Tea:
    """The tea that the parameter `tea` names, or the first of the shelf. Raises HTTPBadRequest."""
    wanted = request.params.get("tea", SHELF[0].name)
    tea = next((tea for tea in SHELF if tea.name == wanted), None)
    if tea is None:
        raise HTTPBadRequest("there is no such tea")
    return tea


def whole_number(request: Request, name: str, *, default: int, most: int) -> int:
    """A parameter between 0 and `most`. Raises HTTPBadRequest when it is not a number."""
    try:
        return min(max(int(request.params.get(name, default)), 0), most)
    except ValueError:
        raise HTTPBadRequest(f"{name} must be a whole number") from None
