"""What the kernel tells of a process in `/proc`, as values.

Everything gives None where the process is gone, where it is another user's and may not be looked at,
and where the kernel does not tell: nothing is raised.
"""

import os
from typing import Final, NamedTuple, TypeAlias

ROOT: Final = "/proc"
TICKS: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

Owners: TypeAlias = dict[int, set[int]]


class Stat(NamedTuple):
    """What one line of the kernel says of a process (proc_pid_stat(5))."""

    user: float
    """Seconds of processor time."""
    system: float
    minor: int
    """Page faults that needed no disk."""
    major: int
    threads: int
    started: float
    """Seconds from the start of the machine to the start of the process."""
    virtual: int
    """Bytes of address space."""
    resident: int
    """Bytes in memory, shared ones included."""


def stat(pid: int, root: str = ROOT) -> Stat | None:
    """The line of a process that lives, or that nobody has waited for yet."""
    content = _read(f"{root}/{pid}/stat")
    # The name of the program stands in parentheses and may hold any character.
    end = content.rfind(b")")
    try:
        fields = content[end + 1 :].split()
        return Stat(
            user=int(fields[11]) / TICKS,
            system=int(fields[12]) / TICKS,
            minor=int(fields[7]),
            major=int(fields[9]),
            threads=int(fields[17]),
            started=int(fields[19]) / TICKS,
            virtual=int(fields[20]),
            resident=int(fields[21]) * PAGE,
        )
    except (IndexError, ValueError):
        return None


def context_switches(pid: int, root: str = ROOT) -> tuple[int, int] | None:
    """How often the main thread gave way by itself, and how often it was made to."""
    content = _read(f"{root}/{pid}/status")
    voluntary = _number(content, b"\nvoluntary_ctxt_switches:")
    forced = _number(content, b"\nnonvoluntary_ctxt_switches:")
    return None if voluntary is None or forced is None else (voluntary, forced)


def proportional_memory(pid: int, root: str = ROOT) -> int | None:
    """Bytes in memory, each shared page divided by the number of those who share it.

    The kernel walks all pages of the process for it: some milliseconds for each gigabyte.
    """
    kilobytes = _number(_read(f"{root}/{pid}/smaps_rollup"), b"\nPss:")
    return None if kilobytes is None else kilobytes * 1024


def descriptors(pid: int, root: str = ROOT) -> int | None:
    """How many file descriptors are open."""
    try:
        return len(os.listdir(f"{root}/{pid}/fd"))
    except OSError:
        return None


def descriptor_limit(pid: int, root: str = ROOT) -> int | None:
    """How many file descriptors the process may have; None where there is no limit, too."""
    return _number(_read(f"{root}/{pid}/limits"), b"\nMax open files")


def lock_owners(root: str = ROOT) -> Owners:
    """Who has taken a lock by `flock`: process ids by inode, as this process would name them."""
    found: Owners = {}
    for line in _read(f"{root}/locks").splitlines():
        fields = line.split()
        if b"FLOCK" in fields[1:3]:
            try:
                # 1: FLOCK ADVISORY WRITE 27356 00:1b:41702 0 EOF
                owner, place = int(fields[-4]), fields[-3]
                found.setdefault(int(place.rpartition(b":")[2]), set()).add(owner)
            except (IndexError, ValueError):
                continue
    return found


def pid_here(path: str, said: int, owners: Owners) -> int:
    """The id by which this process knows the one that holds the lock on `path`; 0 if that is unknown.

    `said` is the id by which it knows itself, which is another one across a border of process id
    namespaces. Where the kernel tells nothing of locks it has to be believed.
    """
    if not owners:
        return said
    try:
        holders = owners.get(os.stat(path).st_ino, set())
    except OSError:
        return 0
    if said in holders:
        return said
    # Inodes of other file systems may have the same number.
    return next(iter(holders)) if len(holders) == 1 else 0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _number(content: bytes, key: bytes) -> int | None:
    """The first word after `key`, if it is a number."""
    at = content.find(key)
    if at < 0:
        return None
    word = content[at + len(key) : at + len(key) + 64].split(maxsplit=1)
    return int(word[0]) if word and word[0].isdigit() else None
