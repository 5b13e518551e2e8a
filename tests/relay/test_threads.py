"""Threads that may not be had any more."""

import socket
import threading
import time
from pathlib import Path

import pytest

from otelc2c.relay.control import Control
from otelc2c.relay.sockets import Resolver
from otelc2c.relay.threads import beside


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.12 at its end, or a user who may start no more."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_work_goes_on_beside() -> None:
    here = threading.get_ident()
    there: list[int] = []
    thread = beside(lambda: there.append(threading.get_ident()), "otelc2c-test")
    assert thread is not None
    thread.join(5)
    assert (thread.daemon, thread.name) == (True, "otelc2c-test")
    assert there not in ([], [here])


@pytest.mark.usefixtures("no_threads")
def test_without_threads_work_is_done_here() -> None:
    done: list[int] = []
    assert beside(lambda: done.append(threading.get_ident()), "otelc2c-test") is None
    assert done == [threading.get_ident()]


@pytest.mark.usefixtures("no_threads")
def test_without_threads_a_name_is_still_found() -> None:
    assert Resolver()("localhost", 4318, time.monotonic() + 5)


def test_whoever_asks_for_a_flush_is_answered_without_threads(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """relay 4, D4: a relay in a thread sends the rest, though the interpreter starts no thread any more."""
    control = Control(str(tmp_path / "ctl"), lambda deadline: deadline > time.monotonic())
    control.start()
    request.getfixturevalue("no_threads")
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(5)
        asking.connect(str(tmp_path / "ctl"))
        asking.sendall(b"flush 2\n")
        assert asking.recv(64) == b"done\n"
    control.stop()
