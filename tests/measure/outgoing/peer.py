"""A service to call, which behaves as its path says."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

CERTIFICATE = Path(__file__).with_name("certificate.pem")
"""Key and certificate of "localhost", which nobody but these tests trusts."""


class Received(NamedTuple):
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    """With names in lower case."""


class Peer:
    """The service, in a thread. Use as a context manager.

    `/status/418` answers so; `/redirect/3` leads to `/redirect/2` and at last to an answer; `/to?there`
    leads to `there`; `/slow` answers when `released` is set; `/drop` closes without an answer and `/cut`
    in the middle of one; `/stream` sends two chunks, the second when `released` is set; `/old` answers in
    HTTP/1.0; anything else says its own target.
    """

    def __init__(self, tls: bool = False) -> None:
        self.received: list[Received] = []
        self.released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.peer = self
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_port
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def clear(self) -> None:
        """Forget what was received, and hold what is to be held."""
        self.received.clear()
        self.released.clear()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    peer: Peer

    def handle_error(self, *_where: Any) -> None:
        """Clients go away, which is what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def __getattr__(self, name: str) -> Any:
        # Asked for `do_GET`, and so on.
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        peer = self.server.peer
        size = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(size)
        names = {name.lower(): value for name, value in self.headers.items()}
        peer.received.append(Received(self.command, self.path, names))
        path, _, query = self.path.partition("?")
        _, kind, *rest = path.split("/")
        find = getattr(self, f"_{kind}", None)
        if find is None:
            self._send(200, self.path.encode())
        else:
            find(query, *rest)

    def _send(self, status: int, body: bytes = b"ok", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _status(self, _query: str, status: str) -> None:
        self._send(int(status), b"" if status == "204" else b"ok")

    def _redirect(self, query: str, left: str) -> None:
        if left == "0":
            self._send(200)
        else:
            self._send(302, Location=f"/redirect/{int(left) - 1}?{query}")

    def _to(self, query: str) -> None:
        self._send(307, Location=unquote(query))

    def _slow(self, _query: str) -> None:
        self.server.peer.released.wait(20)
        self._send(200)

    def _drop(self, _query: str) -> None:
        self.close_connection = True

    def _cut(self, _query: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"only this")
        self.close_connection = True

    def _stream(self, _query: str) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3\r\none\r\n")
        self.server.peer.released.wait(20)
        self.wfile.write(b"3\r\ntwo\r\n0\r\n\r\n")

    def _old(self, _query: str) -> None:
        self.protocol_version = "HTTP/1.0"
        self._send(200)

    def log_message(self, *_args: Any) -> None:
        """Says nothing."""


@contextmanager
def refused() -> Iterator[str]:
    """The address of a port at which nobody listens, and nobody else will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
