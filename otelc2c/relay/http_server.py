"""A small HTTP/1.1 server for GET and HEAD that slow, greedy or broken clients cannot hurt.

The relay has no site packages and little memory, and the standard library's `http.server`
costs six megabytes and lets a client that sends a byte now and then hold a thread for ever.
Here everything has an end: the number of connections, the bytes of a request's head, the
seconds it may take to arrive, and the seconds an answer may take to leave.
"""

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple, TypeAlias

from otelc2c import guard
from otelc2c.relay.http_messages import Answer, BadRequest, Request, framed, parsed, text_answer
from otelc2c.relay.listening import listen

_WHERE: Final = "relay.http_server"
_RECEIVE: Final = 8192
_LINGER_SECONDS: Final = 1.0
_LINGER_RECEIVES: Final = 32


Handler: TypeAlias = Callable[[Request], Answer]


class Limits(NamedTuple):
    """What one client may use."""

    connections: int = 128
    """Above it, the connection that has been idle for longest makes room for a new one."""
    head_bytes: int = 16 * 1024
    head_seconds: float = 5.0
    """From the first byte of a request to the end of its head; also from connecting to the first byte."""
    idle_seconds: float = 75.0
    """Between two requests: more than a minute, the longest usual time between two scrapes."""
    send_seconds: float = 30.0


USUAL: Final = Limits()
"""The limits of a page that one or two Prometheus servers read."""


class Server:
    """Serves `handler` on every address of `host`, with a daemon thread a connection.

    An empty host means all addresses. Nothing is bound before `try_bind()`.
    """

    def __init__(self, host: str, port: int, handler: Handler, limits: Limits = USUAL) -> None:
        self._host = host
        self._port = port
        self._handler = handler
        self._limits = limits
        self._listeners: list[socket.socket] = []
        self._accepting: threading.Thread | None = None
        self._wake: socket.socket | None = None
        self._idle: dict[socket.socket, bool] = {}
        """Open connections, those idle for longest first, and whether each is idle now."""
        self._changed = threading.Condition()
        self.problem = ""
        """Why the last `try_bind()` failed, as a short sentence."""

    @property
    def port(self) -> int:
        """The port in use, which the system chose if 0 was asked for; 0 while there is none."""
        return int(self._listeners[0].getsockname()[1]) if self._listeners else 0

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._idle)

    def try_bind(self) -> bool:
        """Bind and begin to serve. False, with `problem` set, when the port cannot be had now."""
        if self._listeners:
            return True
        try:
            self._listeners = listen(self._host, self._port)
            self.problem = ""
        except OSError as error:
            self.problem = f"cannot listen on {self._host or '*'}:{self._port}: {error.strerror or error}"
            return False
        self._wake, woken = socket.socketpair()
        self._accepting = threading.Thread(
            target=self._accept, args=(tuple(self._listeners), woken), name="otelc2c-page", daemon=True
        )
        self._accepting.start()
        return True

    def stop(self, timeout: float = 1.0) -> None:
        """Free the port, let answers under way finish for `timeout` seconds, then close all connections."""
        if self._wake is None or self._accepting is None:
            return
        self._wake.close()
        self._accepting.join()
        self._listeners, self._accepting, self._wake = [], None, None
        with self._changed:
            for connection, idle in self._idle.items():
                if idle:
                    _shut(connection)
            self._changed.wait_for(lambda: not self._idle, timeout)
            for connection in self._idle:
                _shut(connection)

    def _accept(self, listeners: tuple[socket.socket, ...], woken: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            for ready in (*listeners, woken):
                selector.register(ready, selectors.EVENT_READ)
            while True:
                events = selector.select()
                if any(key.fileobj is woken for key, _ in events):
                    break
                for key, _ in events:
                    with guard.guard(_WHERE):
                        self._accept_one(key.fileobj)  # type: ignore[arg-type]
        for closing in (*listeners, woken):
            closing.close()

    def _accept_one(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # The listener stays readable: without a pause this would turn in circles.
                time.sleep(0.05)
            return
        if not self._admit(connection):
            busy = text_answer(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections.")
            _finish(connection, b"".join(framed(busy, close=True)))
            return
        try:
            threading.Thread(target=self._serve, args=(connection,), name="otelc2c-page", daemon=True).start()
        except RuntimeError:
            # No thread is to be had; the client tries again at its next scrape.
            self._forget(connection)

    def _admit(self, connection: socket.socket) -> bool:
        """Count a new connection in, at the cost of the longest idle one if there are too many."""
        with self._changed:
            if len(self._idle) >= self._limits.connections:
                longest = next((other for other, idle in self._idle.items() if idle), None)
                if longest is None:
                    return False
                del self._idle[longest]
                _shut(longest)
            self._idle[connection] = True
        return True

    def _mark(self, connection: socket.socket, *, idle: bool) -> bool:
        """False when the connection had to make room for another."""
        with self._changed:
            if self._idle.pop(connection, None) is None:
                return False
            self._idle[connection] = idle
        return True

    def _forget(self, connection: socket.socket) -> None:
        with self._changed:
            self._idle.pop(connection, None)
            self._changed.notify_all()
        connection.close()

    def _serve(self, connection: socket.socket) -> None:
        buffer = bytearray()
        patience = self._limits.head_seconds
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._serve_one(connection, buffer, patience) and self._mark(connection, idle=True):
                patience = self._limits.idle_seconds
            _linger(connection)
        except OSError:
            # The client went away, or was too slow: nobody is left to tell.
            pass
        except Exception as error:
            guard.swallowed(_WHERE, error)
        finally:
            self._forget(connection)

    def _serve_one(self, connection: socket.socket, buffer: bytearray, patience: float) -> bool:
        """Answer one request; whether another may follow."""
        try:
            head = _receive_head(connection, buffer, patience, self._limits)
            if head is None or not self._mark(connection, idle=False):
                return False
            request = parsed(head)
        except BadRequest as bad:
            connection.settimeout(self._limits.send_seconds)
            answer = text_answer(bad.status, bad.status.phrase + ".")
            connection.sendall(b"".join(framed(answer, close=True)))
            return False
        try:
            answer = self._handler(request)
        except Exception as error:
            guard.swallowed(_WHERE, error)
            answer = text_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The answer could not be made.")
        return self._send(connection, request, answer)

    def _send(self, connection: socket.socket, request: Request, answer: Answer) -> bool:
        deadline = time.monotonic() + self._limits.send_seconds
        streamed = not isinstance(answer.body, bytes)
        keep = request.keep_alive and (request.chunked or not streamed)
        parts = framed(
            answer, close=not keep, chunked=streamed and request.chunked, body=request.method != "HEAD"
        )
        while True:
            try:
                part = next(parts, None)
            except Exception as error:
                # The rest cannot be made; a body that ends too early tells the client.
                guard.swallowed(_WHERE, error)
                return False
            if part is None:
                return keep
            connection.settimeout(_remaining(deadline))
            connection.sendall(part)


def _remaining(deadline: float) -> float:
    """Seconds until the deadline. Raises TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _receive_head(
    connection: socket.socket, buffer: bytearray, patience: float, limits: Limits
) -> bytes | None:
    """The next head, without its empty line; None when the client has closed. Takes it off `buffer`.

    Raises TimeoutError when the client is too slow, and BadRequest when the head is too large.
    """
    deadline = time.monotonic() + (limits.head_seconds if buffer else patience)
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        if len(buffer) > limits.head_bytes:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        connection.settimeout(_remaining(deadline))
        received = connection.recv(_RECEIVE)
        if not received:
            return None
        if not buffer:
            deadline = time.monotonic() + limits.head_seconds
        buffer += received
    head = bytes(buffer[:end])
    del buffer[: end + 4]
    return head


def _finish(connection: socket.socket, last_words: bytes) -> None:
    """Say something if it can be said without waiting, and close."""
    try:
        connection.settimeout(0)
        connection.send(last_words)
    except OSError:
        pass
    connection.close()


def _shut(connection: socket.socket) -> None:
    """Wake the thread that waits for this connection: it reads the end and closes."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _linger(connection: socket.socket) -> None:
    """Say that we are done, and take what the client still sends, a second long at most.

    Closing with bytes unread, such as the body of a POST, would reset the connection, and the
    client might never see the answer.
    """
    connection.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + _LINGER_SECONDS
    for _ in range(_LINGER_RECEIVES):
        connection.settimeout(_remaining(deadline))
        if not connection.recv(_RECEIVE):
            break
