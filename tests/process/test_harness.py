"""The harness itself, with a plain server: it must be able to see what the other tests look for."""

from pathlib import Path

import pytest

from tests.process.ledger import Client
from tests.process.server import gunicorn, kill
from tests.process.waiting import until


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_a_plain_server_is_started_asked_and_ended(tmp_path: Path, worker: str) -> None:
    with gunicorn(tmp_path, workers=2, worker=worker, launcher=False) as server:
        assert len(server.wait_workers(2)) == 2
        assert server.relays() == []
        ledger = Client(server.port).send(50)
        assert len(ledger.answers) == 50
        assert not ledger.lost
        assert all(answer.status == int(answer.asked.counted.status) for answer in ledger.answers)
        assert server.end() < 5
    assert server.processes() == []


def test_a_killed_worker_is_seen_and_replaced(tmp_path: Path) -> None:
    with gunicorn(tmp_path, workers=1, launcher=False) as server:
        (before,) = server.wait_workers(1)
        kill(before)
        until(lambda: server.workers() not in ([], [before]), 5, "another worker")
