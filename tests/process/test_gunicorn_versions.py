"""Each older series of gunicorn with each kind of worker: numbers, spans, a new generation, the end.

The pinned release is what all other tests here run.
"""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.parts.install import NotHad
from tests.process.gunicorns import RELEASES, release_folder
from tests.process.ledger import Client
from tests.process.receiver import Receiver
from tests.process.server import APPLICATION, BIN, ROOT, Server, free_port, kill, telemetry
from tests.process.waiting import until

EXIT_LIMIT = 3.0


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A release and its folder. Without it the test is skipped, or fails where services are required."""
    version: str = request.param
    try:
        return version, release_folder(version, os.environ)
    except NotHad as why:
        strict = os.environ.get("REQUIRE_SERVICES") == "1"
        (pytest.fail if strict else pytest.skip)(f"gunicorn {version} could not be had: {why}")


def replaced(server: Server, before: list[int]) -> bool:
    """Whether two other workers have taken the place of these."""
    now = server.workers()
    return len(now) == 2 and not set(before) & set(now)


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_numbers_and_spans_are_right_over_a_new_generation_of_workers(
    tmp_path: Path, page_port: int, receiver: Receiver, release: tuple[str, Path], worker: str
) -> None:
    version, folder = release
    port = free_port()
    command = [
        *(str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", "2", "--worker-class", worker),
        *(("--threads", "4") if worker == "gthread" else ()),
        APPLICATION,
    ]
    # Releases since 25.1 make a control socket in the home folder, unless they are told not to.
    places = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "HOME": str(tmp_path)}
    variables = telemetry(page_port, receiver.address, **places)
    with Server(command, tmp_path, variables, port=port) as server:
        before = server.wait_workers(2)
        assert f"Starting gunicorn {version}" in server.printed()
        client = Client(server.port)
        ledger = client.send(60)
        assert server.page.requests() == ledger.counted()
        (relay,) = server.relays()
        kill(server.main.pid, signal.SIGHUP)
        until(partial(replaced, server, before), 30, "new workers")
        client.send(40)
        assert len(ledger.answers) == 100
        assert server.page.requests() == ledger.counted()
        assert server.relays() == [relay]
        assert server.end() < EXIT_LIMIT
        received = receiver.numbers()
        until(lambda: server.processes() == [], EXIT_LIMIT, "the relay ends too")
    assert set(received) == ledger.numbers()
    assert max(received.values()) == 1
    assert len({one.span.trace_id for one in receiver.spans()}) == 100
