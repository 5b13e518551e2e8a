"""Outgoing calls in the words of OpenTelemetry's HTTP conventions for clients, stable and older."""

from typing import Any, Final, TypeAlias

from otelc2c import catalog
from otelc2c.measure.conventions import Conventions
from otelc2c.measure.http import OTHER
from otelc2c.measure.leaves import Described

Key: TypeAlias = tuple[str, str, str | None, int | None, int | None, str | None, str | None]
"""Method, scheme, host, port, status, version of the protocol, and the type of the exception.

Method and scheme are of closed sets. The host is `OTHER`, without a port, where there are too many.
"""


class Names:
    """Says how calls are shown: `Leaves` asks once for each key."""

    __slots__ = ("_conventions",)

    def __init__(self, conventions: Conventions) -> None:
        """`conventions` are those asked for the attributes of spans; the metric has the stable ones."""
        self._conventions: Final = conventions

    def describe(self, key: Key) -> Described:
        """Name, attributes and status of the span, and the values of `http.client.request.duration`.

        An answer from 400 on is an error for who asked; its status has no description, and neither has
        that of an exception, whose text would hold the whole URL (T41).
        """
        method, scheme, host, port, status, version, error = key
        if error is None and status is not None and status >= 400:
            error = str(status)
        return Described(
            "HTTP" if method == OTHER else method,
            self._attributes(key, error),
            (method, host, port, status, version, scheme, error),
            None if error is None else "",
        )

    def _attributes(self, key: Key, error: str | None) -> dict[str, Any]:
        method, _, host, port, status, version, _ = key
        if host == OTHER:
            # The span has its own, beside what it shares with others.
            host = port = None
        found: dict[str, Any] = {}
        if self._conventions.new:
            found = {
                catalog.HTTP_REQUEST_METHOD: method,
                catalog.SERVER_ADDRESS: host,
                catalog.SERVER_PORT: port,
                catalog.HTTP_RESPONSE_STATUS_CODE: status,
                catalog.NETWORK_PROTOCOL_VERSION: version,
                catalog.ERROR_TYPE: error,
            }
        if self._conventions.old:
            found |= {"http.method": method, "http.status_code": status}
        if self._conventions.old and self._conventions.new:
            # Other instrumentations have these where both are asked for, and only there.
            found |= {"http.host": host, "net.peer.port": port, "http.flavor": version}
        return {name: value for name, value in found.items() if value is not None}
