"""Files that cannot fail later: space is reserved when they are made, or not at all.

A store into a sparse file on a full file system kills the process with SIGBUS (F-60, T54);
`posix_fallocate` fails cleanly instead.
"""

import contextlib
import fcntl
import mmap
import os


class BadFile(Exception):
    """A file that is not what its name says: empty, cut short, foreign, of another version."""


def reserve(fd: int, offset: int, size: int) -> None:
    """Give the open file `size` bytes from `offset` that can be written without failing.

    Raises OSError where the file system has no room; the file is then as long as before.
    """
    before = os.fstat(fd).st_size
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, offset, size)
        else:  # pragma: no cover - systems without the call get real zeros
            os.pwrite(fd, bytes(size), offset)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, before)
        raise


def create(path: str, size: int) -> int:
    """Make a new private file of `size` reserved bytes; returns its descriptor.

    Raises OSError, and leaves nothing behind, where that is not possible.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if size:
            reserve(fd, 0, size)
    except OSError:
        os.close(fd)
        remove(path)
        raise
    return fd


def map_shared(fd: int, size: int, offset: int = 0) -> mmap.mmap:
    """A writable mapping that every process with the file sees."""
    return mmap.mmap(fd, size, offset=offset)


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def lock(fd: int, *, shared: bool = False) -> bool:
    """Take the kernel's lock on an open file without waiting; False where another holds it."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_held(path: str) -> bool:
    """Whether some process holds the lock on this file. A file that is gone is held by nobody."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not lock(fd)
    finally:
        os.close(fd)
