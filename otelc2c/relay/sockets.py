"""Sockets with one limit of time for everything: asking for an address, connecting, reading, writing."""

import contextlib
import io
import ipaddress
import queue
import socket
import threading
import time
from functools import partial
from typing import Any, TypeAlias

from otelc2c.relay.threads import beside


def remaining(limit: float) -> float:
    """Seconds until `limit`. Raises TimeoutError when it has passed."""
    seconds = limit - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


Address: TypeAlias = tuple[int, Any]


class Resolver:
    """Asks for addresses in a thread, since the system's resolver cannot be told when to give up."""

    def __init__(self) -> None:
        self._asking: threading.Thread | None = None

    def __call__(self, host: str, port: int, limit: float) -> list[Address]:
        """Addresses of `host`. Raises OSError, TimeoutError."""
        with contextlib.suppress(ValueError):
            family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
            return [(family, (host, port))]
        if self._asking is not None and self._asking.is_alive():
            # One question at a time: a resolver that hangs must not collect threads.
            self._asking.join(remaining(limit))
            remaining(limit)
        answers: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()
        self._asking = beside(partial(_resolve, host, port, answers), "otelc2c-resolver")
        try:
            answer = answers.get(timeout=remaining(limit))
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(answer, OSError):
            raise answer
        return answer


def _resolve(host: str, port: int, answers: "queue.SimpleQueue[list[Address] | OSError]") -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        answers.put(error)
    except UnicodeError:
        answers.put(OSError("not the name of a host"))
    else:
        answers.put([(family, address) for family, _, _, _, address in found])


def connect(addresses: list[Address], limit: float) -> socket.socket:
    """A connection to the first address that answers. Raises OSError, TimeoutError."""
    failed: OSError = OSError("no address")
    for left, (family, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(remaining(limit) / left)
            made.connect(address)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            made.close()
            failed = error
        else:
            return made
    raise failed


class TimedSocket:
    """A socket of which all reading and writing together ends at `limit`, however slowly it drips."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self._users = 1
        self.limit = 0.0

    def fileno(self) -> int:
        return self._real.fileno()

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._real.settimeout(remaining(self.limit))
            view = view[self._real.send(view) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._users += 1
        return io.BufferedReader(_Reading(self))

    def read_into(self, buffer: memoryview) -> int:
        self._real.settimeout(remaining(self.limit))
        return self._real.recv_into(buffer)

    def close(self) -> None:
        """Close the socket when everything that was made from it is closed too, like a real one."""
        self._users -= 1
        if not self._users:
            self._real.close()


class _Reading(io.RawIOBase):
    def __init__(self, timed: TimedSocket) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.read_into(memoryview(buffer))

    def close(self) -> None:
        if not self.closed:
            self._timed.close()
        super().close()
