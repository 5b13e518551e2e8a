"""HTTP in the words of OpenTelemetry's conventions: closed sets, names, and a span's attributes.

Whatever a caller can choose (method, path, host, user agent, query) is either mapped to a closed
set or kept in a cache with a bound (hot-path 4, T34).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias, TypeVar
from urllib.parse import quote, unquote_plus, urlsplit

from otelc2c.record import wire
from otelc2c.settings import QueryPolicy

METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
OTHER: Final = "_OTHER"
SCHEMES: Final = frozenset({"http", "https"})
PROTOCOLS: Final[Mapping[str, str]] = {
    "HTTP/0.9": "0.9",
    "HTTP/1.0": "1.0",
    "HTTP/1.1": "1.1",
    "HTTP/2": "2",
    "HTTP/2.0": "2",
    "HTTP/3": "3",
    "HTTP/3.0": "3",
}
MOST_TEXT: Final = 4096
"""Characters of a header, a path or a query that are recorded (F-73)."""
_MOST_KEPT: Final = 512
_LONGEST_KEPT: Final = 512

_VALUE: Final = re.compile("=[^&]*")
_REDACTED: Final = "=REDACTED"

_ADDRESS = wire.Key("server.address")
_PORT = wire.Key("server.port")
_AGENT = wire.Key("user_agent.original")
_PATH = wire.Key("url.path")
_QUERY = wire.Key("url.query")
_CLIENT = wire.Key("client.address")
_PEER = wire.Key("network.peer.address")
_PEER_PORT = wire.Key("network.peer.port")
_ORIGINAL = wire.Key("http.request.method_original")


class HasPattern(Protocol):
    """A route as Pyramid has it."""

    pattern: str


Where: TypeAlias = "HasPattern | str | None"
"""What a request was routed to: a route, the name of a place that has no route, or nothing."""


def route_text(where: Where, root: str | None) -> str | None:
    """`http.route`: the pattern below the root of the application, as the conventions want it."""
    if where is None:
        return None
    pattern = where if isinstance(where, str) else where.pattern
    return f"{root or ''}{pattern}" if pattern.startswith("/") else f"{root or ''}/{pattern}"


_KeyT = TypeVar("_KeyT")
_ValueT = TypeVar("_ValueT")


class Bounded(dict[_KeyT, _ValueT]):
    """A cache that makes what is missing, and begins anew when it is full."""

    __slots__ = ("make", "most")

    def __init__(self, make: Callable[[_KeyT], _ValueT], most: int = _MOST_KEPT) -> None:
        super().__init__()
        self.make = make
        self.most = most

    def __missing__(self, key: _KeyT) -> _ValueT:
        value = self.make(key)
        # A caller must not be able to fill memory with a few very long keys either.
        if _short(key):
            if len(self) >= self.most:
                self.clear()
            self[key] = value
        return value


def _short(key: object) -> bool:
    if isinstance(key, tuple):
        return all(_short(part) for part in key)
    return not isinstance(key, str) or len(key) <= _LONGEST_KEPT


def status_code(status: str | None) -> int | None:
    """The code of a status line, with or without a reason; None for what is no code."""
    if status is None:
        return None
    digits = status[:3]
    if len(digits) != 3 or not (digits.isascii() and digits.isdigit()) or status[3:4].isdigit():
        return None
    return int(digits) if digits >= "100" else None


def host_and_port(host: str, scheme: str) -> tuple[str, int | None]:
    """The parts of a `Host` header; the port is the scheme's own where none is given."""
    name, colon, digits = host.rpartition(":")
    if colon and digits.isascii() and digits.isdigit() and len(digits) <= 5 and not name.endswith(":"):
        port: int | None = int(digits)
    elif host.endswith("]") or not colon:
        name, port = host, {"http": 80, "https": 443}.get(scheme)
    else:
        name, port = host, None
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return name, port


def _server(key: tuple[str, str, str | None]) -> bytes:
    """Encoded attributes about who was called and by what: `key` is host, scheme and user agent."""
    host, scheme, agent = key
    name, port = host_and_port(host, scheme)
    parts = []
    if name:
        parts.append(_ADDRESS.string(name[:MOST_TEXT]))
        if port:
            parts.append(_PORT.integer(port))
    if agent:
        parts.append(_AGENT.string(agent[:MOST_TEXT]))
    return b"".join(parts)


def _client(key: tuple[str, str | None]) -> bytes:
    """Encoded attributes about who called: `key` is address and port, as servers give them."""
    address, port = key
    if not address:
        return b""
    found = _CLIENT.string(address[:MOST_TEXT]) + _PEER.string(address[:MOST_TEXT])
    try:
        return found + _PEER_PORT.integer(int(port)) if port else found
    except ValueError:
        return found


def redacted(query: str, policy: QueryPolicy) -> str:
    """A query string as it may be recorded (T41)."""
    if not policy.names:
        return _VALUE.sub(_REDACTED, query) if policy.everything else query
    parts = []
    for part in query.split("&"):
        name, equals, _ = part.partition("=")
        parts.append(name + _REDACTED if equals and policy.redacts(unquote_plus(name)) else part)
    return "&".join(parts)


def target(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Path and query as the caller sent them, or put together where the server does not tell."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw and raw[0] == "/":
        path, _, query = raw.partition("?")
        return path, query
    if raw and "://" in raw:
        try:
            parts = urlsplit(raw)
        except ValueError:
            pass
        else:
            return parts.path or "/", parts.query
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    safe = "/~!$&'()*+,;=:@"
    return quote(path, safe=safe, encoding="latin-1", errors="replace"), environ.get("QUERY_STRING") or ""


class SpanAttributes:
    """Encodes what differs from request to request. Frequent values are encoded once."""

    __slots__ = ("_clients", "_policy", "_servers", "_targets")

    def __init__(self, policy: QueryPolicy) -> None:
        """`policy` says which values of a query string are recorded."""
        self._policy = policy
        self._targets: Bounded[str, bytes] = Bounded(self._raw_target)
        self._servers: Bounded[tuple[str, str, str | None], bytes] = Bounded(_server)
        self._clients: Bounded[tuple[str, str | None], bytes] = Bounded(_client, 2048)

    def encode(self, environ: Mapping[str, Any]) -> bytes:
        """The attributes of one request. May raise where the environ is none."""
        get = environ.get
        raw = get("RAW_URI")
        try:
            # What gunicorn gives, by the shorter way to ask a dictionary.
            if raw and raw[0] == "/" and (host := environ["HTTP_HOST"]):
                return (
                    self._targets[raw]
                    + self._servers[host, environ["wsgi.url_scheme"], get("HTTP_USER_AGENT")]
                    + self._clients[environ["REMOTE_ADDR"], environ["REMOTE_PORT"]]
                )
        except KeyError:
            pass  # another server, or a socket without addresses
        found = self._targets[raw] if raw and raw[0] == "/" else self._target(*target(environ))
        host = get("HTTP_HOST") or f"{get('SERVER_NAME', '')}:{get('SERVER_PORT', '')}"
        return (
            found
            + self._servers[host, get("wsgi.url_scheme", "http"), get("HTTP_USER_AGENT")]
            + self._clients[get("REMOTE_ADDR") or "", get("REMOTE_PORT")]
        )

    def _raw_target(self, raw: str) -> bytes:
        path, _, query = raw.partition("?")
        return self._target(path, query)

    def _target(self, path: str, query: str) -> bytes:
        found = _PATH.string(path[:MOST_TEXT])
        return found + _QUERY.string(redacted(query[:MOST_TEXT], self._policy)) if query else found


def original_method(method: str) -> bytes:
    """The attribute for a method that is not in the closed set."""
    return _ORIGINAL.string(method[:MOST_TEXT])
