"""The folder of a pod: where its processes and its relay meet.

Everything in it belongs to one start of one server. It is private (0700), lives in memory
where there is such a file system, and is made anew each time. Whoever records holds a
shared lock on `alive`; when nobody does, the pod is over.
"""

import contextlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from otelc2c.record import files

PREFIX = "otelc2c-"
STALE_SECONDS = 60.0
"""How old something unpublished must be before it counts as left behind."""


def default_parents() -> tuple[str, ...]:
    """Where a pod's folder may be made, best first; in a read-only file system shared memory alone."""
    try:
        return ("/dev/shm", tempfile.gettempdir())  # noqa: S108 - the folder itself is private
    except FileNotFoundError:
        return ("/dev/shm",)  # noqa: S108 - the same


class Folder:
    """Names and locks of one pod's folder."""

    def __init__(self, path: str) -> None:
        """Describe the folder at `path`; nothing is opened or made."""
        self.path = path
        self._alive = -1

    @property
    def alive(self) -> str:
        """The file every recording process holds a shared lock on."""
        return self._file("alive")

    @property
    def relay_lock(self) -> str:
        """The file the one relay holds an exclusive lock on."""
        return self._file("relay.lock")

    @property
    def control(self) -> str:
        """The relay's socket."""
        return self._file("ctl")

    @property
    def resource(self) -> str:
        """The pod's resource: see `write_resource`."""
        return self._file("resource")

    @property
    def fold(self) -> str:
        """Numbers of processes that are gone; a cells file."""
        return self._file("fold")

    @property
    def state(self) -> str:
        """What a relay leaves to its successor."""
        return self._file("state")

    def _file(self, name: str) -> str:
        return f"{self.path}/{name}"

    def write_resource(self, attributes: Mapping[str, Any], schema_url: str) -> None:
        """Say what the pod is, once. Raises OSError."""
        with open(self.resource, "x", encoding="utf-8") as file:
            json.dump({"attributes": dict(attributes), "schema_url": schema_url}, file, default=str)

    def read_resource(self) -> tuple[dict[str, Any], str]:
        """Attributes and schema URL as `write_resource` got them.

        Raises OSError where they are gone or another user's, ValueError, KeyError, TypeError,
        AttributeError where they are no such thing.
        """
        with open(self.resource, encoding="utf-8") as file:
            content = json.load(file)
        attributes = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content["attributes"].items()
        }
        return attributes, content.get("schema_url", "")

    def lock_of(self, name: str) -> str:
        """The file that is locked while the process called `name` lives."""
        return self._file(f"{name}.lock")

    def cells_of(self, name: str) -> str:
        """The numbers of the process called `name`."""
        return self._file(f"{name}.cells")

    def ring_of(self, name: str) -> str:
        """The finished records of the process called `name`."""
        return self._file(f"{name}.ring")

    def names(self) -> list[str]:
        """Every process that has published files, oldest first. Raises OSError if the folder is gone."""
        return sorted(
            entry[: -len(".lock")]
            for entry in os.listdir(self.path)
            if entry.endswith(".lock") and entry[0] != "." and entry != "relay.lock"
        )

    def join(self) -> bool:
        """Say that this process lives. Forks inherit it. False where the folder is gone or not ours."""
        if self._alive >= 0:
            return True
        try:
            fd = os.open(self.alive, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        if not files.lock(fd, shared=True):
            os.close(fd)
            return False
        self._alive = fd
        return True

    def leave(self) -> None:
        """Take back what `join` said. Forks of this process that live keep the pod alive."""
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1

    @property
    def over(self) -> bool:
        """Whether nobody can join any more, because the relay is sending the rest."""
        return os.path.exists(self._file("over"))

    def seal(self) -> bool:
        """End the pod if no process lives that records: nobody can join it any more.

        For the relay only. The mark is made first, so that a process which ends, and looks
        while the relay holds the lock, knows who holds it.
        """
        if not self.abandoned:
            return False
        mark = self._file("over")
        with contextlib.suppress(OSError):
            os.close(os.open(mark, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        fd = os.open(self.alive, os.O_RDWR | os.O_CLOEXEC)
        if files.lock(fd):
            self._alive = fd
            return True
        os.close(fd)
        files.remove(mark)
        return False

    @property
    def abandoned(self) -> bool:
        """Whether no process lives that records into this folder."""
        return not files.is_held(self.alive)

    def sweep(self) -> None:
        """Remove what processes left that were killed before they published it."""
        known = set(self.names())
        now = time.time()
        for entry in os.listdir(self.path):
            stem, _, ending = entry.removeprefix(".").rpartition(".")
            if ending not in {"lock", "cells", "ring", "new"} or stem in known or stem == "relay":
                continue
            path = self._file(entry)
            with contextlib.suppress(OSError):
                if now - os.stat(path).st_mtime > STALE_SECONDS and not files.is_held(path):
                    os.unlink(path)

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def create(parents: Sequence[str], needed_bytes: int) -> Folder:
    """Make the pod's folder in the first parent that has `needed_bytes` of room, and join it.

    It appears under its name only once it is locked, so that nobody takes it for left behind.
    Raises OSError, naming each parent's reason, where no parent will do.
    """
    reasons = []
    for parent in parents:
        name = f"{PREFIX}{os.getuid()}-{os.urandom(4).hex()}"
        hidden = f"{parent}/.{name}"
        try:
            os.mkdir(hidden, 0o700)
            probe = f"{hidden}/probe"
            os.close(files.create(probe, needed_bytes))
            os.unlink(probe)
            os.close(files.create(f"{hidden}/alive", 0))
            os.close(files.create(f"{hidden}/relay.lock", 0))
            folder = Folder(hidden)
            folder.join()
            os.rename(hidden, f"{parent}/{name}")
        except OSError as error:
            shutil.rmtree(hidden, ignore_errors=True)
            reasons.append(f"{parent}: {error.strerror or error}")
            continue
        folder.path = f"{parent}/{name}"
        return folder
    raise OSError("; ".join(reasons) or "no folder to try")


def sweep_left_behind(parents: Sequence[str]) -> int:
    """Remove folders of one's own whose processes are all gone; returns how many there were."""
    removed = 0
    for path in _own_folders(parents):
        alive = f"{path}/alive"
        try:
            fd = os.open(alive, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            # A relay that still drains the folder removes it itself.
            if files.lock(fd) and not files.is_held(f"{path}/relay.lock"):
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
        finally:
            os.close(fd)
    return removed


def _own_folders(parents: Sequence[str]) -> Iterator[str]:
    mine = f"{PREFIX}{os.getuid()}-"
    now = time.time()
    for parent in parents:
        try:
            entries = os.listdir(parent)
        except OSError:
            continue
        for entry in entries:
            if not entry.removeprefix(".").startswith(mine):
                continue
            path = f"{parent}/{entry}"
            with contextlib.suppress(OSError):
                found = os.lstat(path)
                young = entry[0] == "." and now - found.st_mtime < STALE_SECONDS
                if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not young:
                    yield path
