"""What waits at a listening socket, from this machine's kernel."""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from otelc2c.measure.backlog import Backlog, backlog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@contextmanager
def listening(family: int, address: Any, most: int, waiting: int) -> Iterator[socket.socket]:
    """A socket at which connections wait that nobody accepts."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind(address)
        listener.listen(most)
        for _ in range(waiting):
            stack.enter_context(socket.socket(family)).connect(listener.getsockname())
        yield listener


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, ("127.0.0.1", 0)),
        (socket.AF_INET6, ("::1", 0)),
        (socket.AF_UNIX, ""),
        (socket.AF_UNIX, "\0otelc2c-test-backlog"),
    ],
)
@pytest.mark.parametrize("waiting", [0, 3])
def test_what_waits_and_what_may_wait(tmp_path: Path, family: int, address: Any, waiting: int) -> None:
    with listening(family, address or str(tmp_path / "s"), 9, waiting) as listener:
        assert backlog(listener) == Backlog(waiting, 9)


def test_one_that_was_accepted_waits_no_more() -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0), 9, 2) as listener:
        listener.accept()[0].close()
        assert backlog(listener) == Backlog(1, 9)


def test_a_socket_that_does_not_listen_or_is_closed_tells_nothing(tmp_path: Path) -> None:
    with socket.socket() as idle:
        assert backlog(idle) is None
    assert backlog(idle) is None
    with socket.socket(socket.AF_UNIX) as other:
        assert backlog(other) is None
    assert backlog(other) is None


def test_a_kernel_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused:
        def __init__(self, *_: Any) -> None:
            raise PermissionError(1, "not permitted")

    with listening(socket.AF_UNIX, "\0otelc2c-test-refused", 3, 1) as listener:
        monkeypatch.setattr("otelc2c.measure.backlog.socket.socket", Refused)
        assert backlog(listener) is None
