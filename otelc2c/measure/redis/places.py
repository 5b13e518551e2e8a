"""Which server a command goes to.

A client of one server knows it; one of a sentinel or of a cluster learns it while it works, so the
servers that it turns to are collected in OpenTelemetry's context while an operation runs. There
they also say that what redis-py asks for itself meanwhile is a part of that operation.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from otelc2c.context import current_context
from otelc2c.guard import swallowed
from otelc2c.measure.http import Bounded
from otelc2c.measure.redis.names import Place

INSIDE: Final = "otelc2c-redis"
"""Key of the context under which an operation that runs has its `Visited`."""
_FIRST: Final = "0"
_PORT: Final = 6379
_DIGITS: Final = 6
_MOST: Final = 2000
_WHERE: Final = "measure.redis"


def _place(key: tuple[str | None, int | None, bool, str]) -> Place:
    return Place(*key)


_places: Final[Bounded[tuple[str | None, int | None, bool, str], Place]] = Bounded(_place, _MOST)


class Visited:
    """The servers that one operation turned to, in their order.

    False once the operation is over: what redis-py began meanwhile may keep its context for ever.
    """

    __slots__ = ("database", "runs", "servers")

    def __init__(self, database: str) -> None:
        self.database = database
        self.runs = True
        self.servers: list[tuple[str, int]] = []

    def __bool__(self) -> bool:
        return self.runs

    def last(self) -> Place:
        """Where the answer came from: redirections and changes of the master are behind it."""
        return self._at(self.servers[-1]) if self.servers else _places[None, None, False, self.database]

    def only(self) -> Place:
        """The server, if it was one; a pipeline in a cluster may have several."""
        several = any(server != self.servers[0] for server in self.servers)
        return _places[None, None, False, self.database] if several else self.last()

    def _at(self, server: tuple[str, int]) -> Place:
        address, port = server
        return _places[str(address), int(port), False, self.database]


def database_of(known: Mapping[str, Any]) -> str:
    """The number of the database, of the arguments that a connection is made with."""
    number = str(known.get("db") or _FIRST)
    return number if number.isdecimal() and len(number) <= _DIGITS else _FIRST


def place_of(client: Any) -> Place | None:
    """Where the connections of a client lead; None where they lead to changing servers. Kept in its pool."""
    pool = client.connection_pool
    known = pool.connection_kwargs
    database = database_of(known)
    place: Place | None = None
    if "path" in known:
        place = _places[str(known["path"]), None, True, database]
    elif not hasattr(pool, "sentinel_manager"):
        place = _places[
            str(known.get("host") or "localhost"), int(known.get("port") or _PORT), False, database
        ]
    pool._otelc2c_place = place
    return place


def known_place(client: Any) -> Place | None:
    """The same, as it is kept."""
    try:
        place: Place | None = client.connection_pool._otelc2c_place
    except AttributeError:
        return place_of(client)
    return place


def enter(visited: Visited) -> Any:
    """Collect the servers from here on. Returns what `otelc2c.context.deactivate` takes."""
    return otel_context.attach(Context({**current_context(), INSIDE: visited}))


def note(address: Any, port: Any) -> None:
    """The operation that runs, if there is one, has turned to this server."""
    visited = current_context().get(INSIDE)
    if visited:
        visited.servers.append((address, port))


# -- what is replaced in redis-py ---------------------------------------------------------------


def notes_itself(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a connection or a node, before which its address is noted."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        try:
            note(self.host, self.port)
        except Exception as error:
            swallowed(_WHERE, error)
        return original(self, *args, **options)

    return method


def notes_node(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a cluster's client that takes the node to turn to."""

    def method(self: Any, node: Any, *args: Any, **options: Any) -> Any:
        try:
            note(node.host, node.port)
        except Exception as error:
            swallowed(_WHERE, error)
        return original(self, node, *args, **options)

    return method


def notes_address(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a connection that takes the address to connect to."""

    def method(self: Any, address: Any, *args: Any, **options: Any) -> Any:
        try:
            note(*address)
        except Exception as error:
            swallowed(_WHERE, error)
        return original(self, address, *args, **options)

    return method


def forgets(original: Callable[..., Any]) -> Callable[..., Any]:
    """The method with which a cluster's client learns who the nodes are: who said that does not count."""

    async def method(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return await original(self, *args, **options)
        finally:
            visited = current_context().get(INSIDE)
            if visited:
                visited.servers.clear()

    return method
