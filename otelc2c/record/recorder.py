"""The files of this process in its pod's folder: a lock that says it lives, cells, and a ring."""

import contextlib
import os
import time
from collections.abc import Callable

from otelc2c.record import files
from otelc2c.record.cells import Store
from otelc2c.record.folder import Folder
from otelc2c.record.ring import SMALLEST_BYTES, RingWriter


class Recorder:
    """What this process writes into. The store and the ring stay the same objects for its whole life."""

    def __init__(self, folder: Folder | None, ring_bytes: int, say: Callable[[str], None]) -> None:
        """Record into `folder`, with a ring of `ring_bytes` (a power of two; 0 for none).

        Without a folder numbers are kept in memory of this process alone. `say` is told, in a
        sentence, when there is no room; recording then goes on without being read.
        """
        self.folder = folder
        self.store = Store()
        self.ring = RingWriter()
        self.name = ""
        self._ring_bytes = ring_bytes
        self._say = say
        self._lock = -1

    @property
    def published(self) -> bool:
        """Whether the relay can see what this process writes."""
        return bool(self.name)

    def open(self) -> None:
        """Make this process' files. What was recorded before moves along."""
        self._make(self.store.publish)

    def restart(self) -> None:
        """In a child after a fork: let the parent's files go, and make one's own, all empty."""
        self.name = ""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        self.ring.unmap()
        if self.folder is None:
            self.store.restart(None)
        else:
            self._make(self.store.restart)

    def _make(self, make_cells: Callable[[str], None]) -> None:
        if self.folder is None:
            return
        name = f"{time.time_ns():016x}-{os.getpid()}"
        hidden = self.folder.lock_of(f".{name}")
        cells, ring = self.folder.cells_of(name), self.folder.ring_of(name)
        lock = -1
        try:
            lock = files.create(hidden, 0)
            files.lock(lock)
            make_cells(cells)
            if self._ring_bytes:
                self._make_ring(ring)
            os.rename(hidden, self.folder.lock_of(name))
        except OSError as error:
            self._give_up(lock, (hidden, cells, ring))
            self._say(
                f"process {os.getpid()} has no telemetry: {self.folder.path}: {error.strerror or error}"
            )
            return
        self._lock = lock
        self.name = name

    def _make_ring(self, path: str) -> None:
        size = self._ring_bytes
        while True:
            try:
                self.ring.map(path, size)
            except OSError:
                # A small ring drops more under load, and counts it; none at all loses every span.
                if size <= SMALLEST_BYTES:
                    raise
                size = max(size // 4, SMALLEST_BYTES)
            else:
                return

    def _give_up(self, lock: int, paths: tuple[str, ...]) -> None:
        if lock >= 0:
            os.close(lock)
        self.store.close()
        self.ring.unmap()
        for path in paths:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def close(self) -> None:
        """Say that this process records no more; the relay takes what is left."""
        if self._lock >= 0:
            self.store.close()
            self.ring.unmap()
            os.close(self._lock)
            self._lock = -1
            self.name = ""
