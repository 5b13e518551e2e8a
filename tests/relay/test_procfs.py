"""What the kernel tells in `/proc`, from planted files and from this process itself."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelc2c.record import files
from otelc2c.relay import procfs

STAT = (
    "42 (a) b (worker) S 1 42 42 0 -1 4194560 1200 77 9 3 250 50 1 2 20 0 5 0 123456 104857600 2560 "
    "18446744073709551615 1 1 0 0 0 0 0 16781312 2 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)
STATUS = "Name:\tx\nThreads:\t5\nvoluntary_ctxt_switches:\t31\nnonvoluntary_ctxt_switches:\t7\n"
ROLLUP = "5600-7ffe ---p 00000000 00:00 0 [rollup]\nRss:    12616 kB\nPss:     7104 kB\nPss_Dirty: 5668 kB\n"
LIMITS = "Limit Soft Limit Hard Limit Units\nMax open files            1024         4096         files\n"
LOCKS = (
    "1: FLOCK  ADVISORY  WRITE 42 00:1b:100 0 EOF\n"
    "1: -> FLOCK  ADVISORY  WRITE 43 00:1b:100 0 EOF\n"
    "2: POSIX  ADVISORY  WRITE 44 00:1b:101 0 EOF\n"
    "3: FLOCK  ADVISORY  READ  45 fe:00:102 0 EOF\n"
)


def planted(folder: Path, pid: int = 42, **content: str) -> str:
    (folder / str(pid)).mkdir(exist_ok=True)
    for name, text in content.items():
        (folder / str(pid) / name).write_text(text)
    return str(folder)


def test_the_line_of_a_process_whose_name_has_parentheses_is_read(tmp_path: Path) -> None:
    found = procfs.stat(42, planted(tmp_path, stat=STAT))
    assert found == procfs.Stat(
        user=250 / procfs.TICKS,
        system=50 / procfs.TICKS,
        minor=1200,
        major=9,
        threads=5,
        started=123456 / procfs.TICKS,
        virtual=104857600,
        resident=2560 * procfs.PAGE,
    )


def test_single_numbers_are_read(tmp_path: Path) -> None:
    root = planted(tmp_path, status=STATUS, smaps_rollup=ROLLUP, limits=LIMITS)
    assert procfs.context_switches(42, root) == (31, 7)
    assert procfs.proportional_memory(42, root) == 7104 * 1024
    assert procfs.descriptor_limit(42, root) == 1024


def test_descriptors_are_counted(tmp_path: Path) -> None:
    (tmp_path / "42" / "fd").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "42" / "fd" / str(number)).touch()
    assert procfs.descriptors(42, str(tmp_path)) == 3


def test_no_limit_is_told_where_there_is_none(tmp_path: Path) -> None:
    text = "Limit\nMax open files            unlimited            unlimited            files\n"
    assert procfs.descriptor_limit(42, planted(tmp_path, limits=text)) is None


def test_a_process_that_is_gone_or_not_permitted_is_none(tmp_path: Path) -> None:
    """W-14: another user's pages may not be read, and a process may end while it is looked at."""
    for look in (
        procfs.stat,
        procfs.context_switches,
        procfs.proportional_memory,
        procfs.descriptors,
        procfs.descriptor_limit,
    ):
        assert look(42, str(tmp_path)) is None


@given(st.one_of(st.binary(max_size=400), st.text(max_size=200).map(str.encode)))
def test_nothing_that_stands_there_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("proc")
    (folder / "7").mkdir()
    for name in ("stat", "status", "smaps_rollup", "limits"):
        (folder / "7" / name).write_bytes(content)
    (folder / "locks").write_bytes(content)
    root = str(folder)
    procfs.stat(7, root), procfs.context_switches(7, root), procfs.proportional_memory(7, root)
    procfs.descriptor_limit(7, root), procfs.lock_owners(root)


def test_owners_are_those_of_flock_alone(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text(LOCKS)
    found = procfs.lock_owners(str(tmp_path))
    assert found[102] == {45}
    assert 42 in found[100]
    assert 101 not in found


def test_the_holder_of_a_lock_is_found_by_the_id_it_has_here(tmp_path: Path) -> None:
    """A process in another namespace calls itself by another number."""
    path = tmp_path / "lock"
    path.touch()
    inode = path.stat().st_ino
    assert procfs.pid_here(str(path), 7, {inode: {7, 9}}) == 7
    assert procfs.pid_here(str(path), 7, {inode: {4711}}) == 4711
    assert procfs.pid_here(str(path), 7, {inode: {8, 9}}) == 0
    assert procfs.pid_here(str(path), 7, {inode + 1: {7}}) == 0
    assert procfs.pid_here(str(path), 7, {}) == 7
    assert procfs.pid_here(str(tmp_path / "none"), 7, {inode: {7}}) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_kernel_of_this_machine_tells_of_this_process(tmp_path: Path) -> None:
    begun = procfs.stat(os.getpid())
    assert begun is not None
    spin = time.process_time() + 0.05
    while time.process_time() < spin:
        pass
    found = procfs.stat(os.getpid())
    assert found is not None
    assert 0.03 <= found.user + found.system - begun.user - begun.system < 5
    assert 0 < found.resident < found.virtual
    memory = procfs.proportional_memory(os.getpid())
    assert memory is not None
    assert 0 < memory <= found.resident * 1.2
    with (tmp_path / "one").open("w"):
        assert procfs.descriptors(os.getpid()) == len(os.listdir("/proc/self/fd"))
    switches = procfs.context_switches(os.getpid())
    assert switches is not None
    assert sum(switches) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_kernel_of_this_machine_tells_who_holds_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert files.is_held(str(path))
        assert procfs.pid_here(str(path), 1, procfs.lock_owners()) == other.pid
        other.communicate(b"")
