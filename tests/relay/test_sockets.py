"""Sockets with one limit of time for everything."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from otelc2c.relay.sockets import Resolver, TimedSocket, connect, remaining


@pytest.fixture
def pair() -> Iterator[tuple[TimedSocket, socket.socket]]:
    """One of ours, and the other end."""
    ours, other = socket.socketpair()
    timed = TimedSocket(ours)
    timed.limit = time.monotonic() + 5
    with ours, other:
        yield timed, other


def soon() -> float:
    """A limit that is near."""
    return time.monotonic() + 0.05


def test_what_is_left_of_a_limit_is_never_nothing() -> None:
    assert 4 < remaining(time.monotonic() + 5) <= 5
    with pytest.raises(TimeoutError):
        remaining(time.monotonic())


def test_addresses_in_numbers_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: 1 / 0)
    assert Resolver()("127.0.0.1", 4318, soon()) == [(socket.AF_INET, ("127.0.0.1", 4318))]
    assert Resolver()("::1", 4318, soon()) == [(socket.AF_INET6, ("::1", 4318))]


@pytest.mark.parametrize("error", [socket.gaierror("unknown"), UnicodeError("label too long")])
def test_a_name_that_means_nothing_is_an_error_of_the_system(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> list[object]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(OSError, match=r"unknown|not the name"):
        Resolver()("collector.test", 4318, time.monotonic() + 5)


def test_a_resolver_that_hung_is_asked_again_when_it_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        answer.wait(5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolver = Resolver()
    with pytest.raises(TimeoutError):
        resolver("collector.test", 1, soon())
    answer.set()
    assert resolver("collector.test", 1, time.monotonic() + 5) == [(socket.AF_INET, ("127.0.0.1", 1))]


def test_without_an_address_there_is_no_connection() -> None:
    with pytest.raises(OSError, match="no address"):
        connect([], soon())


def test_writing_ends_at_the_limit(pair: tuple[TimedSocket, socket.socket]) -> None:
    timed, _ = pair
    timed.limit = soon()
    with pytest.raises(TimeoutError):
        timed.sendall(bytes(64 * 1024 * 1024))


def test_reading_ends_at_the_limit(pair: tuple[TimedSocket, socket.socket]) -> None:
    timed, other = pair
    other.sendall(b"half a line")
    timed.limit = soon()
    with timed.makefile("rb") as file, pytest.raises(TimeoutError):
        file.readline()


def test_a_socket_is_closed_with_the_last_that_was_made_from_it(
    pair: tuple[TimedSocket, socket.socket],
) -> None:
    timed, other = pair
    file = timed.makefile("rb")
    timed.close()
    other.sendall(b"still here")
    assert file.read(10) == b"still here"
    file.close()
    file.close()
    assert other.recv(1) == b""
