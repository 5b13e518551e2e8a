"""The Prometheus page of the pod: `/metrics` on a port of its own."""

import zlib
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from otelc2c import guard
from otelc2c.relay.accept import accepts_gzip, chosen_format
from otelc2c.relay.http_messages import Answer, Request, text_answer
from otelc2c.relay.http_server import USUAL, Limits, Server
from otelc2c.relay.prometheus import Renderer
from otelc2c.relay.shared import Collect, SharedCollection

_WHERE: Final = "relay.page"
_NAMES_ASKED: Final = 1000
"""So many `name[]=` one request may hold."""
_INDEX: Final = (
    b'<!doctype html><html lang="en"><title>Metrics</title>'
    b'<p>The metrics are at <a href="/metrics">/metrics</a>.</p></html>\n'
)
_ALWAYS: Final = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


class Page:
    """Serves what `collect()` gives, as text 0.0.4 or OpenMetrics, on every address of `host`.

    `collect` returns families and the resource's attributes. It runs in the page's threads, but
    never twice at once, and requests that arrive while it runs share the next run. What it
    raises is answered with status 500 and counted by `otelc2c.guard`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        collect: Collect,
        *,
        renderer: Renderer | None = None,
        limits: Limits = USUAL,
    ) -> None:
        self._shared = SharedCollection(collect)
        self._renderer = renderer or Renderer()
        self._server = Server(host, port, self._answer, limits)

    @property
    def port(self) -> int:
        """The port in use; 0 while there is none."""
        return self._server.port

    @property
    def problem(self) -> str:
        """Why the port could not be had, as a sentence; empty when it was."""
        return self._server.problem

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return self._server.connections

    def start(self) -> bool:
        """Bind and serve. False when the port is taken: then call `try_bind()` from time to time."""
        return self.try_bind()

    def try_bind(self) -> bool:
        """Bind and serve unless that is done already; whether the page is served now."""
        return self._server.try_bind()

    def stop(self, timeout: float = 1.0) -> None:
        """Free the port; answers under way get `timeout` seconds to finish."""
        self._server.stop(timeout)

    def _answer(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return text_answer(
                HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.", ("Allow", "GET, HEAD")
            )
        if request.path == "/metrics":
            return self._metrics(request)
        if request.path == "/":
            return Answer(HTTPStatus.OK, (("Content-Type", "text/html; charset=utf-8"), *_ALWAYS), _INDEX)
        return text_answer(HTTPStatus.NOT_FOUND, "The metrics are at /metrics.")

    def _metrics(self, request: Request) -> Answer:
        try:
            only = parse_qs(request.query, max_num_fields=_NAMES_ASKED).get("name[]", [])
        except ValueError:
            return text_answer(HTTPStatus.BAD_REQUEST, "Too many names are asked for.")
        chosen = chosen_format(request.headers.get("accept", ""))
        gzip = accepts_gzip(request.headers.get("accept-encoding", ""))
        headers = [("Content-Type", chosen.content_type), ("Vary", "Accept, Accept-Encoding"), *_ALWAYS]
        if gzip:
            headers.append(("Content-Encoding", "gzip"))
        if request.method == "HEAD":
            return Answer(HTTPStatus.OK, tuple(headers), iter(()))
        try:
            collected = self._shared.get()
        except Exception as error:
            guard.swallowed(_WHERE, error)
            return text_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The metrics could not be collected.")
        page = self._renderer.render(
            collected.families, collected.resource, openmetrics=chosen.openmetrics, only=only
        )
        body = (chunk.encode("utf-8", "replace") for chunk in page)
        return Answer(HTTPStatus.OK, tuple(headers), _gzipped(body) if gzip else body)


def _gzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # Pages repeat themselves at short distance: the lowest level and a small window give the same
    # size as usual settings, at 64 kB of memory for each scrape instead of 256.
    compressor = zlib.compressobj(1, zlib.DEFLATED, wbits=16 + 13, memLevel=6)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()
