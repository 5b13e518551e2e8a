"""A worker that the kernel kills for its memory is told from one that was killed by hand.

Needs the right to make a control group, as in a container with privileges; skipped elsewhere.
"""

import contextlib
import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from otelc2c.measure.memory_kills import counting_file
from tests.process.server import BIN, Server, free_port, kill, telemetry
from tests.process.waiting import until
from tests.process.workers import get, shown

LIMIT = 250 << 20
LIMITS = ("memory.max", "memory.limit_in_bytes")
"""The file of either version of control groups."""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of 250 MiB."""
    parent = Path(counting_file()).parent
    made = parent / f"otelc2c-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        limit = next((made / name for name in LIMITS if (made / name).exists()), None)
        if limit is None:
            pytest.skip("control groups here have no limit of memory")
        limit.write_text(str(LIMIT))
        yield made
    finally:
        until(lambda: not (made / "cgroup.procs").read_text(), 10, "nobody is left in the group")
        made.rmdir()


def test_the_kernels_kill_is_told_from_another(tmp_path: Path, page_port: int, group: Path) -> None:
    port = free_port()
    serve = [
        *(str(BIN / "opentelemetry-instrument"), str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}"),
        *("--workers", "1", "--no-control-socket", "tests.process.hungry:application"),
    ]
    command = ["/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *serve]
    with Server(command, tmp_path, telemetry(page_port), port=port, launcher=False) as server:
        assert get(port) == 200
        with contextlib.suppress(OSError, http.client.HTTPException):
            get(port, "/eat")
        shown(server, {("memory", ""): 1})
        # What the kernel has killed is believed for two looks of the master, once for each kill.
        assert get(port) == 200
        kill(server.wait_workers(1)[0])
        shown(server, {("memory", ""): 1, ("signal", "SIGKILL"): 1})
