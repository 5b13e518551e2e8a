"""The relay's socket: a process that ends asks for everything to be sent, and waits."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

from otelc2c.guard import guard
from otelc2c.relay.threads import beside

LONGEST = 60.0
"""Seconds that anybody may ask to wait at most."""


class Control:
    """Listens on a unix socket for `flush SECONDS`, and answers `done` or `late`."""

    def __init__(self, path: str, flush: Callable[[float], bool]) -> None:
        """Serve `path`. `flush(deadline)`, on the monotonic clock, says whether all was sent."""
        self._path = path
        self._flush = flush
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def start(self) -> None:
        """Listen, in a thread. Raises OSError where the socket cannot be made."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        self._listener.bind(self._path)
        self._listener.listen(16)
        threading.Thread(target=self._serve, name="otelc2c-control", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            beside(partial(self._answer, connection), "otelc2c-answer")

    def _answer(self, connection: socket.socket) -> None:
        with guard("relay.control"), connection:
            connection.settimeout(1.0)
            words = connection.recv(64).split()
            if len(words) != 2 or words[0] != b"flush":
                connection.sendall(b"what?\n")
                return
            seconds = min(max(float(words[1]), 0.0), LONGEST)
            done = self._flush(time.monotonic() + seconds)
            # Whoever asked may have stopped waiting.
            with contextlib.suppress(OSError):
                connection.sendall(b"done\n" if done else b"late\n")

    def stop(self) -> None:
        """Stop listening."""
        self._listener.close()
