"""The pod's folder: private, locked by the living, swept when they are gone (relay 1)."""

import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from otelc2c.record import files, folder
from otelc2c.record.folder import Folder


def test_a_folder_is_private_and_alive_from_the_start(tmp_path: Path) -> None:
    made = folder.create([str(tmp_path)], 1024)
    assert stat.S_IMODE(os.stat(made.path).st_mode) == 0o700
    assert not made.abandoned
    assert made.names() == []
    made.leave()
    assert made.abandoned


def test_the_next_parent_is_tried_where_one_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """relay 6: fall back to another folder."""
    real = files.reserve

    def reserve(fd: int, offset: int, size: int) -> None:
        if "small" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(28, "No space left on device")
        real(fd, offset, size)

    monkeypatch.setattr(files, "reserve", reserve)
    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    made = folder.create([str(tmp_path / "small"), str(tmp_path / "large")], 1024)
    assert made.path.startswith(str(tmp_path / "large"))
    assert os.listdir(tmp_path / "small") == []
    made.leave()


def test_where_nothing_temporary_can_be_written_shared_memory_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """relay 6: a read-only root file system has no folder for temporary files."""

    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    assert folder.default_parents() == ("/dev/shm", tempfile.gettempdir())
    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    assert folder.default_parents() == ("/dev/shm",)


def test_without_any_parent_each_reason_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"/nowhere: No such file.*; .*/missing: No such file"):
        folder.create(["/nowhere", str(tmp_path / "missing")], 1024)


def test_forks_keep_the_pod_alive(tmp_path: Path) -> None:
    made = folder.create([str(tmp_path)], 0)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    made.leave()
    assert not made.abandoned
    os.close(write)
    os.waitpid(child, 0)
    assert made.abandoned


def test_a_started_process_does_not_inherit_the_lock(tmp_path: Path) -> None:
    made = folder.create([str(tmp_path)], 0)
    started = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        close_fds=False,
    )
    try:
        # The kernel lets the parent go on before it has closed the child's descriptors.
        assert started.stdout is not None
        assert started.stdout.readline()
        made.leave()
        assert made.abandoned
    finally:
        started.communicate()


def test_folders_left_behind_are_removed_and_others_kept(tmp_path: Path) -> None:
    parents = [str(tmp_path)]
    living = folder.create(parents, 0)
    left = folder.create(parents, 0)
    left.leave()
    other = tmp_path / f"otelc2c-{os.getuid() + 1}-00000000"
    other.mkdir()
    young = tmp_path / f".otelc2c-{os.getuid()}-11111111"
    young.mkdir()
    assert folder.sweep_left_behind(parents) == 1
    assert sorted(os.listdir(tmp_path)) == sorted([os.path.basename(living.path), other.name, young.name])
    living.leave()


def test_a_folder_whose_relay_still_drains_is_kept(tmp_path: Path) -> None:
    made = folder.create([str(tmp_path)], 0)
    made.leave()
    relay = os.open(made.relay_lock, os.O_RDWR)
    assert files.lock(relay)
    assert folder.sweep_left_behind([str(tmp_path)]) == 0
    os.close(relay)
    assert folder.sweep_left_behind([str(tmp_path)]) == 1


def test_unpublished_files_are_swept_when_they_are_old_and_unlocked(tmp_path: Path) -> None:
    """relay 6: workers killed early leave files nobody knows."""
    made = folder.create([str(tmp_path)], 0)
    old = time.time() - folder.STALE_SECONDS - 1
    for name in (".a-1.lock", "a-1.cells", "b-2.cells", "b-2.lock", "c-3.ring", ".d-4.lock"):
        path = f"{made.path}/{name}"
        os.close(files.create(path, 8))
        if name != "c-3.ring":
            os.utime(path, (old, old))
    held = os.open(f"{made.path}/.d-4.lock", os.O_RDWR)
    files.lock(held)
    made.sweep()
    left = {name for name in os.listdir(made.path) if name not in {"alive", "relay.lock"}}
    assert left == {"b-2.cells", "b-2.lock", "c-3.ring", ".d-4.lock"}
    os.close(held)
    made.leave()


def test_a_folder_that_is_gone_cannot_be_joined(tmp_path: Path) -> None:
    assert not Folder(str(tmp_path / "gone")).join()


def test_joining_twice_holds_one_lock(tmp_path: Path) -> None:
    made = folder.create([str(tmp_path)], 0)
    assert made.join()
    made.leave()
    assert made.abandoned


def test_a_pod_in_use_cannot_be_sealed(tmp_path: Path) -> None:
    made = folder.create([str(tmp_path)], 0)
    assert not Folder(made.path).seal()
    assert not made.over
    made.leave()


def test_nobody_joins_a_sealed_pod(tmp_path: Path) -> None:
    """Between the last process' end and the folder's removal a newcomer would write to nobody."""
    made = folder.create([str(tmp_path)], 0)
    made.leave()
    relay = Folder(made.path)
    assert relay.seal()
    assert made.over
    assert not Folder(made.path).join()
    relay.leave()
