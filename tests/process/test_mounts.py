"""Places where little or nothing can be written: /dev/shm absent, small or full, a read-only root."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.process.ledger import Client
from tests.process.page import Page
from tests.process.receiver import Receiver
from tests.process.server import APPLICATION, BIN, Server, free_port, telemetry
from tests.process.waiting import until

READ_ONLY = """
while read -r _ place _; do mount -o remount,bind,ro "$place" 2>/dev/null; done < /proc/self/mounts
for place in /tmp /var/tmp /dev/shm .; do test -w "$place" && exit 1; done
"""
"""No file can be made any more, wherever it is."""
SHARED_MEMORY = "mount -t tmpfs -o size=64m none /dev/shm"
EXIT_LIMIT = 3.0


def in_namespace(mounting: str, command: Sequence[str]) -> list[str]:
    """`command` where `mounting`, shell commands, was done before, seen by nobody else."""
    return ["unshare", "--mount", "sh", "-c", f'{mounting}\nexec "$@"', "sh", *command]


def can_mount() -> bool:
    """Whether this user may make mounts of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    tried = in_namespace("mount -t tmpfs none /mnt || exit 1", ["true"])
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def server_in(
    mounting: str, folder: Path, variables: dict[str, str], *arguments: str, workers: int = 2
) -> Server:
    """A gunicorn under the launcher, in mounts of its own."""
    port = free_port()
    command = [
        *(str(BIN / "opentelemetry-instrument"), str(BIN / "gunicorn"), "--no-control-socket"),
        *("--bind", f"127.0.0.1:{port}", "--workers", str(workers), *arguments, APPLICATION),
    ]
    return Server(in_namespace(mounting, command), folder, variables, port=port, launcher=False)


@pytest.mark.skipif(not can_mount(), reason="needs mounts of its own")
@pytest.mark.parametrize(
    "mounting",
    [
        "umount /dev/shm; mount -o bind,ro /dev /dev",
        SHARED_MEMORY,
        "mount -t tmpfs -o size=64k none /dev/shm",
    ],
    ids=["absent", "64 MB", "full"],
)
def test_dev_shm_absent_small_or_full(
    tmp_path: Path, page_port: int, receiver: Receiver, mounting: str
) -> None:
    with server_in(mounting, tmp_path, telemetry(page_port, receiver.address)) as server:
        ledger = Client(server.port).send(60)
        assert len(ledger.answers) == 60
        assert server.page.requests() == ledger.counted()
        received = receiver.wait_numbers(ledger.numbers())
        assert set(received) == ledger.numbers()


@pytest.mark.skipif(not can_mount(), reason="needs mounts of its own")
def test_a_folder_that_fills_up_while_running_breaks_no_answer(tmp_path: Path, page_port: int) -> None:
    """Room for two workers, and then for no more: those that come later say so, and answer (T54)."""
    room = tmp_path / "room"
    room.mkdir()
    mounting = f"mount -t tmpfs -o size=4m none {room}"
    variables = telemetry(page_port, OTELC2C_FOLDER=str(room))
    with server_in(mounting, tmp_path, variables, workers=12) as server:
        server.wait_workers(12)
        ledger = Client(server.port).send(200)
        assert len(ledger.answers) == 200
        assert all(answer.status == int(answer.asked.counted.status) for answer in ledger.answers)
        assert server.page.ready()


@pytest.mark.skipif(not can_mount(), reason="needs mounts of its own")
def test_a_read_only_root_with_shared_memory(tmp_path: Path, page_port: int, receiver: Receiver) -> None:
    """There is no folder for temporary files; gunicorn is told another place for its own ones."""
    variables = telemetry(page_port, receiver.address)
    elsewhere = ("--worker-tmp-dir", "/dev/shm")
    with server_in(f"{READ_ONLY}\n{SHARED_MEMORY}", tmp_path, variables, *elsewhere) as server:
        ledger = Client(server.port).send(60)
        assert len(ledger.answers) == 60
        assert server.page.requests() == ledger.counted()
        assert server.end() < EXIT_LIMIT
        until(lambda: server.processes() == [], EXIT_LIMIT, "the relay ends too")
        assert set(receiver.numbers()) == ledger.numbers()
        assert "no telemetry" not in server.printed()


@pytest.mark.skipif(not can_mount(), reason="needs mounts of its own")
def test_where_nothing_can_be_written_the_application_answers(tmp_path: Path, page_port: int) -> None:
    """gunicorn itself needs a file for each worker; a server that needs none goes on without telemetry."""
    port = free_port()
    launched = [str(BIN / "opentelemetry-instrument"), str(BIN / "python"), "-m", "tests.process.application"]
    command = in_namespace(READ_ONLY, [*launched, str(port), "waitress"])
    with Server(command, tmp_path, telemetry(page_port), port=port, launcher=False) as server:
        ledger = Client(server.port).send(20)
        assert len(ledger.answers) == 20
        assert not any(one.is_relay for one in server.processes())
        assert not Page(page_port).ready()
        said = [line for line in server.printed().splitlines() if "no telemetry" in line]
        assert len(said) == 1, server.printed()
        assert "swallowed" not in server.printed()
