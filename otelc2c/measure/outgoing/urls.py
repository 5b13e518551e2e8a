"""What may be told of the URL of an outgoing call.

Never user and password. The query only as `OTELC2C_REDACTED_QUERY` has it, and by default not at all:
what is asked of another service is told by its path, while tokens travel in names and values (T41).
"""

import re
from typing import Any, Final, NamedTuple

from otelc2c.measure.conventions import Conventions
from otelc2c.measure.http import METHODS, MOST_TEXT, OTHER, SCHEMES, Bounded, host_and_port, redacted
from otelc2c.record import wire
from otelc2c.settings import QueryPolicy

MOST_SERVERS: Final = 200
"""Servers, by address and port, that have numbers of their own; calls of all others share theirs (T34)."""
_MOST_URLS: Final = 1024
_LONGEST: Final = 8192
"""Characters in which an excluded URL is searched."""

_FULL: Final = wire.Key("url.full")
_OLD_URL: Final = wire.Key("http.url")
_AGENT: Final = wire.Key("user_agent.original")
_ADDRESS: Final = wire.Key("server.address")
_PORT: Final = wire.Key("server.port")
_ORIGINAL: Final = wire.Key("http.request.method_original")


class Place(NamedTuple):
    """Where a call goes."""

    scheme: str
    host: str | None
    port: int | None
    origin: str
    """The beginning of the URL as it may be told; empty where nothing of it may."""
    own: bytes
    """Encoded attributes of a server that has no numbers of its own."""


NOWHERE: Final = Place(OTHER, None, None, "", b"")


class Told(NamedTuple):
    """What a URL says of a call."""

    scheme: str
    host: str | None
    port: int | None
    attributes: bytes
    """Encoded attributes of the span."""


class Urls:
    """Reads URLs of calls; what recurs is read once."""

    __slots__ = ("_conventions", "_policy", "_servers", "agents", "excluded", "methods", "places", "told")

    def __init__(self, policy: QueryPolicy, conventions: Conventions, excluded: tuple[str, ...] = ()) -> None:
        """`excluded` are regular expressions; raises `re.error` for what is none."""
        self._policy = policy
        self._conventions = conventions
        self.excluded: Final = re.compile("|".join(excluded)) if excluded else None
        self._servers: set[tuple[str | None, int | None]] = set()
        self.agents: Final[Bounded[str, bytes]] = Bounded(_agent, 64)
        """The encoded attribute for a `User-Agent`."""
        self.places: Final[Bounded[str, Place]] = Bounded(self._place, _MOST_URLS)
        """By the beginning of a URL, as `parts` finds it."""
        self.told: Final[Bounded[str, Told]] = Bounded(self._tell, _MOST_URLS)
        """By the whole URL."""
        self.methods: Final[Bounded[str, tuple[str, bytes]]] = Bounded(self._method, 64)
        """The method of the closed set for one that is sent, and encoded attributes where they differ."""

    def excludes(self, url: Any) -> bool:
        """Whether calls of `url` are neither measured nor given a trace context."""
        if self.excluded is None or type(url) is not str:
            return False
        return self.excluded.search(url[:_LONGEST]) is not None

    def _tell(self, url: str) -> Told:
        start, path = parts(url)
        place = self.places[start]
        found = place.own
        if place.origin:
            text = place.origin + path
            if not self._policy.everything or self._policy.names:
                query = url.partition("#")[0].partition("?")[2]
                text += f"?{redacted(query[:MOST_TEXT], self._policy)}" if query else ""
            text = text[:MOST_TEXT]
            if self._conventions.new:
                found += _FULL.string(text)
            if self._conventions.old:
                found += _OLD_URL.string(text)
        return Told(place.scheme, place.host, place.port, found)

    def _place(self, origin: str) -> Place:
        scheme, found, authority = origin.partition("://")
        scheme = scheme.lower()
        if not found:
            return NOWHERE
        authority = authority.rpartition("@")[2].lower()
        host, port = host_and_port(authority, scheme)
        if not host or (port is None and scheme in SCHEMES):
            # No address that could be called.
            return NOWHERE._replace(scheme=scheme if scheme in SCHEMES else OTHER)
        told = f"{scheme}://{authority}"
        scheme = scheme if scheme in SCHEMES else OTHER
        if (host, port) not in self._servers:
            if len(self._servers) >= MOST_SERVERS:
                return Place(scheme, OTHER, None, told, self._own(host, port))
            self._servers.add((host, port))
        return Place(scheme, host, port, told, b"")

    def _own(self, host: str, port: int | None) -> bytes:
        if not self._conventions.new:
            return b""
        return _ADDRESS.string(host[:MOST_TEXT]) + (_PORT.integer(port) if port else b"")

    def _method(self, sent: str) -> tuple[str, bytes]:
        if sent in METHODS:
            return sent, b""
        known = sent.strip().upper()
        original = _ORIGINAL.string(sent[:MOST_TEXT]) if self._conventions.new else b""
        return known if known in METHODS else OTHER, original


def parts(url: str) -> tuple[str, str]:
    """The beginning of a URL up to its path, and the path. Query and fragment are left out."""
    at = url.find("?")
    if at >= 0:
        url = url[:at]
    at = url.find("#")
    if at >= 0:
        url = url[:at]
    at = url.find("/", url.find("://") + 3)
    return (url, "") if at < 0 else (url[:at], url[at:])


def _agent(text: str) -> bytes:
    return _AGENT.string(text[:MOST_TEXT])
