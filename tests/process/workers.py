"""Workers of gunicorn as its page tells of them, and requests that keep them busy."""

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.process.server import Server
from tests.process.waiting import until

EXITED = "otelc2c_gunicorn_worker_exited_total"
LEVEL = "otelc2c_gunicorn_"


def exits(server: Server) -> dict[tuple[str, str], int]:
    """How many workers ended, by reason and signal."""
    found = {}
    for (name, labels), value in server.page.samples().items():
        if name == EXITED:
            known = dict(labels)
            found[known["otelc2c_reason"], known.get("otelc2c_signal", "")] = int(value)
    return found


def level(server: Server, name: str) -> float:
    """One value of gunicorn's."""
    return server.page.total(f"{LEVEL}{name}")


def shown(server: Server, wanted: Mapping[tuple[str, str], int], seconds: float = 15.0) -> None:
    """Wait until exactly these ends are shown."""
    until(lambda: exits(server) == dict(wanted), seconds, f"{wanted}, not {exits(server)}")


def get(port: int, path: str = "/", **headers: str) -> int:
    """The status of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    return answer.status


@contextmanager
def hanging(port: int, requests: int, seconds: float) -> Iterator[None]:
    """So many requests that take so long, each on a connection of its own; nobody waits for answers."""
    sockets = []
    try:
        for _ in range(requests):
            one = socket.create_connection(("127.0.0.1", port), 10)
            one.sendall(f"GET /slow?seconds={seconds} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            sockets.append(one)
        yield
    finally:
        for one in sockets:
            one.close()
