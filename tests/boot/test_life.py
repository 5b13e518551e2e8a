"""A recording process in its pod: made, joined, left."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from otelc2c.boot.life import POD, Life, ring_bytes
from otelc2c.record import folder as folders
from otelc2c.record.folder import Folder
from otelc2c.record.layout import CHUNK_BYTES, HEADER_BYTES
from otelc2c.record.points import Instrument, Scope
from otelc2c.relay.pod import Pod
from otelc2c.settings import Settings

COUNTER = Instrument(Scope("tests"), "counter", "counter")
RESOURCE = {"service.name": "tests", "service.instance.id": "one"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"OTELC2C_FOLDER": str(tmp_path), "OTELC2C_RELAY": "off"}


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """What would be called at the end of the process; forks of the tests are left alone."""
    ends: list[object] = []
    monkeypatch.setattr("os.register_at_fork", lambda **_: None)
    monkeypatch.setattr("otelc2c.boot.arbiter.watch", lambda ensure: None)
    monkeypatch.setattr("atexit.register", ends.append)
    yield ends
    for end in ends:
        end()  # type: ignore[operator]


def begun(
    environ: dict[str, str], resource: dict[str, str] = RESOURCE, *, records_spans: bool = True
) -> Life:
    life = Life(Settings.from_environ(environ), environ, records_spans=records_spans)
    life.begin(resource)
    return life


def test_the_first_process_makes_the_pod_and_tells_those_it_starts(
    environ: dict[str, str], hooks: list[object]
) -> None:
    life = begun(environ)
    assert life.created
    assert life.folder is not None
    assert environ[POD] == life.folder.path
    assert json.loads(Path(life.folder.resource).read_text())["attributes"] == RESOURCE
    assert life.folder.names() == [life.recorder.name]


def test_a_process_started_by_another_joins_its_pod_and_identity(
    environ: dict[str, str], hooks: list[object]
) -> None:
    first = begun(environ)
    second = begun(environ, {"service.name": "tests", "service.instance.id": "two"})
    assert not second.created
    assert second.folder is not None
    assert first.folder is not None
    assert second.folder.path == first.folder.path
    assert second.resource == RESOURCE
    assert len(first.folder.names()) == 2


def test_another_service_gets_a_pod_of_its_own(environ: dict[str, str], hooks: list[object]) -> None:
    begun(environ)
    assert begun(environ, {"service.name": "other"}).created


def test_a_pod_that_is_gone_is_made_anew(environ: dict[str, str], hooks: list[object]) -> None:
    environ[POD] = "/nowhere/otelc2c"
    assert begun(environ).created


def test_without_a_folder_the_process_runs_and_says_why(
    environ: dict[str, str], hooks: list[object], capfd: pytest.CaptureFixture[str]
) -> None:
    """F-60, F-62: no room is one line, and the application runs."""
    environ["OTELC2C_FOLDER"] = "/nowhere"
    life = begun(environ)
    assert life.folder is None
    assert POD not in environ
    life.recorder.store.counter_cell(COUNTER, {}).add(1)
    assert capfd.readouterr().err.count("/nowhere: No such file or directory") == 1


def test_the_ring_has_room_for_the_queue() -> None:
    assert [ring_bytes(size) for size in (1, 512, 513, 2048, 2049)] == [
        256 * 1024,
        256 * 1024,
        512 * 1024,
        1024 * 1024,
        2048 * 1024,
    ]


@pytest.mark.parametrize("records_spans", [False, True])
def test_room_for_a_ring_is_taken_only_where_spans_are_recorded(
    environ: dict[str, str], hooks: list[object], monkeypatch: pytest.MonkeyPatch, records_spans: bool
) -> None:
    """Neither asked for when the pod is made, nor made."""
    asked: list[int] = []
    create = folders.create

    def noted(parents: Sequence[str], needed: int) -> Folder:
        asked.append(needed)
        return create(parents, needed)

    monkeypatch.setattr(folders, "create", noted)
    life = begun(environ, records_spans=records_spans)
    assert life.folder is not None
    ring = Path(life.folder.ring_of(life.recorder.name))
    assert ring.exists() is records_spans
    assert asked == [CHUNK_BYTES + HEADER_BYTES + ring_bytes(2048) * records_spans]


FORKS = """
import os, sys
from otelc2c.boot.life import Life
from otelc2c.record.points import Instrument, Scope
from otelc2c.settings import Settings
life = Life(Settings.from_environ(os.environ), os.environ, records_spans=False)
life.begin({"service.name": "tests"})
cell = life.recorder.store.counter_cell(Instrument(Scope("tests"), "counter", "counter"), {})
cell.add(1)
for _ in range(3):
    if not os.fork():
        cell.add(10)
        os._exit(0)
    os.wait()
print(life.folder.path, flush=True)
sys.stdin.read()
"""


def test_forks_count_for_themselves(environ: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS],
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        pod = Pod(Folder(process.stdout.readline().strip()), 2000, 1 << 20)
        pod.look()
        assert [point.value for family in pod.families() for point in family.points] == [31]
        assert pod.living == 1
    finally:
        process.communicate()
    assert process.returncode == 0
