"""The pod as the relay sees it: who lives, what they wrote, and what the dead left.

A process is dead when the kernel's lock on its file is free; pids are reused, locks are not.
Its numbers are folded into one file (a new one is written and renamed into place, and names
the processes it contains, so that nothing is counted twice whenever the relay is killed), and
its files go when its last record was acknowledged.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator

from otelc2c import catalog
from otelc2c.record import files, layout
from otelc2c.record.cells import Store, memory_of
from otelc2c.record.files import BadFile
from otelc2c.record.folder import Folder
from otelc2c.record.merging import Merger, Source
from otelc2c.record.points import Family, Scope
from otelc2c.record.reading import CellsReader, Series
from otelc2c.record.ring_reader import RingReader


class Worker:
    """One process that writes, or wrote."""

    def __init__(self, name: str, label: str) -> None:
        """Stand for the files called `name`; `label` tells its gauges apart from others'."""
        self.name = name
        self.label = label
        self.dead = False
        self.folded = False
        self.source: Source | None = None
        self.ring: RingReader | None = None
        self._active: list[Series] = []
        self._looked = 0

    @property
    def role(self) -> int:
        """What it says that it is: one of the layout's roles."""
        return self.source.reader.role if self.source and self.source.reader else layout.ROLE_UNKNOWN

    @property
    def pid(self) -> int:
        """The id by which it knows itself; 0 where it has no numbers."""
        return self.source.reader.pid if self.source and self.source.reader else 0

    @property
    def age(self) -> float:
        """Seconds since it made its files."""
        reader = self.source.reader if self.source else None
        return max(0.0, time.time() - reader.created) if reader else 0.0

    @property
    def serves(self) -> bool:
        """Whether it has ever answered a request."""
        self._look_for_requests()
        return bool(self._active)

    def in_flight(self) -> int:
        """How many requests it is answering, whether or not it gets on."""
        self._look_for_requests()
        return sum(series.q[series.base + layout.SUM_INT] for series in self._active)

    def _look_for_requests(self) -> None:
        known = self.source.reader.series if self.source and self.source.reader else []
        name = catalog.HTTP_SERVER_ACTIVE_REQUESTS.name
        self._active += [series for series in known[self._looked :] if series.instrument.name == name]
        self._looked = len(known)

    def scope(self, number: int) -> Scope:
        """The scope that a record of this process names by `number`."""
        reader = self.source.reader if self.source else None
        if reader is None:
            return Scope("")
        if number not in reader.scopes:
            with contextlib.suppress(BadFile):
                reader.look()
        return reader.scopes.get(number, Scope(""))


class Pod:
    """Everything in a pod's folder. Methods may be called from any thread."""

    def __init__(self, folder: Folder, series_limit: int, backlog_bytes: int) -> None:
        """Read `folder`, with at most `series_limit` attribute sets an instrument.

        Records of the dead that cannot be delivered may take `backlog_bytes`.
        """
        self.folder = folder
        self.bad_files = 0
        self.backlog_dropped = 0
        self.gone: dict[str, int] = {"full": 0, "large": 0, "holes": 0, "lost": 0, "guarded": 0, "folded": 0}
        """What the headers of removed files had counted, and how many files were folded."""
        self._backlog_bytes = backlog_bytes
        self._lock = threading.RLock()
        self._merger = Merger(series_limit)
        self._workers: dict[str, Worker] = {}
        self._bad: set[str] = set()
        self._fold: Source | None = None
        self._already_folded: set[str] = set()
        self._read_fold()

    def _read_fold(self) -> None:
        try:
            reader = self._reader(self.folder.fold)
            reader.look()
        except FileNotFoundError:
            return
        except (BadFile, OSError):
            self.bad_files += 1
            return
        self._already_folded = set(reader.folded)
        self._fold = Source(reader)

    @staticmethod
    def _reader(path: str) -> CellsReader:
        return CellsReader(memory_of(path), lambda: memory_of(path))

    # -- who is there ----------------------------------------------------------------------

    def look(self) -> None:
        """Find new processes, notice dead ones, fold them. Raises OSError if the folder is gone."""
        with self._lock:
            names = self.folder.names()
            for name in names:
                if name not in self._workers and name not in self._bad:
                    self._found(name)
            for worker in self._workers.values():
                if not worker.dead and not files.is_held(self.folder.lock_of(worker.name)):
                    worker.dead = True
            self._fold_dead()
            for worker in list(self._workers.values()):
                if worker.ring is not None:
                    worker.ring.look(final=worker.dead)
                if worker.dead and worker.folded and (worker.ring is None or worker.ring.empty):
                    self._remove(worker)
            self._limit_backlog()

    def _found(self, name: str) -> None:
        worker = Worker(name, self._free_label())
        try:
            worker.source = Source(self._reader(self.folder.cells_of(name)), worker.label)
            with contextlib.suppress(FileNotFoundError):
                worker.ring = RingReader.open(self.folder.ring_of(name))
        except FileNotFoundError:
            if not files.is_held(self.folder.lock_of(name)):
                files.remove(self.folder.lock_of(name))
            return
        except (BadFile, OSError):
            self._set_aside(name)
            return
        worker.folded = name in self._already_folded
        self._workers[name] = worker

    def _set_aside(self, name: str) -> None:
        """Never look at a bad file again; one that nobody owns is removed."""
        self.bad_files += 1
        self._workers.pop(name, None)
        if files.is_held(self.folder.lock_of(name)):
            self._bad.add(name)
        else:
            self._unlink(name)

    def _free_label(self) -> str:
        taken = {worker.label for worker in self._workers.values()}
        number = 0
        while str(number) in taken:
            number += 1
        return str(number)

    # -- those who are gone ----------------------------------------------------------------

    def _fold_dead(self) -> None:
        dead = [worker for worker in self._workers.values() if worker.dead and not worker.folded]
        if not dead:
            return
        sources = [source for worker in dead if (source := self._bind(worker)) is not None]
        if self._fold is not None:
            sources.insert(0, self._fold)
        waiting = [worker.name for worker in self._workers.values() if worker.folded]
        self._merger.add_up(sources)
        try:
            self._fold = self._merger.keep([*waiting, *(worker.name for worker in dead)], self._put_fold)
        except OSError:
            return  # no room: the files stay where they are, and are read as before
        for worker in dead:
            worker.folded = True
        self.gone["folded"] += len(dead)

    def _bind(self, worker: Worker) -> Source | None:
        """The worker's numbers, ready to be added; a worker whose file is bad is set aside."""
        if worker.source is None:
            return None
        try:
            self._merger.bind(worker.source)
        except (BadFile, OSError):
            self._set_aside(worker.name)
            return None
        return worker.source

    def _put_fold(self, store: Store) -> None:
        new = f"{self.folder.fold}.new"
        files.remove(new)
        store.publish(new)
        store.settle()
        os.rename(new, self.folder.fold)

    def _remove(self, worker: Worker) -> None:
        self._workers.pop(worker.name, None)
        ring, reader = worker.ring, worker.source.reader if worker.source else None
        if ring is not None:
            self.gone["full"] += ring.dropped_full
            self.gone["large"] += ring.dropped_large
            self.gone["holes"] += ring.holes
            ring.close()
        if reader is not None:
            self.gone["lost"] += reader.lost_series
            self.gone["guarded"] += reader.guarded
        self._unlink(worker.name)

    def _unlink(self, name: str) -> None:
        folder = self.folder
        # The lock's file last: a name without it is looked for by nobody.
        for path in (folder.ring_of(name), folder.cells_of(name), folder.lock_of(name)):
            files.remove(path)

    def _undelivered(self) -> list[tuple[Worker, RingReader]]:
        """Rings of the dead that still hold something, oldest first."""
        return [
            (worker, worker.ring)
            for worker in self._workers.values()
            if worker.dead and worker.ring is not None and not worker.ring.empty
        ]

    @property
    def backlog_bytes(self) -> int:
        """Space that undelivered records of the dead take."""
        with self._lock:
            return sum(len(ring.mem) for _, ring in self._undelivered())

    def _limit_backlog(self) -> None:
        """Drop the oldest undelivered records of the dead where they take more room than they may."""
        rings = self._undelivered()
        size = sum(len(ring.mem) for _, ring in rings)
        for worker, ring in rings:
            if size <= self._backlog_bytes:
                break
            size -= len(ring.mem)
            ring.rewind()
            self.backlog_dropped += ring.take(1 << 40, 1 << 40).number
            ring.ack()
            if worker.folded:
                self._remove(worker)

    # -- what they wrote -------------------------------------------------------------------

    def families(self) -> list[Family]:
        """Every number of the pod, as it is now."""
        with self._lock:
            workers = [worker for worker in self._workers.values() if not worker.folded]
            sources = [source for worker in workers if (source := self._bind(worker)) is not None]
            if self._fold is not None:
                sources.insert(0, self._fold)
            return self._merger.collect(sources)

    def workers(self) -> list[Worker]:
        """All processes with records, oldest first."""
        with self._lock:
            return [worker for worker in self._workers.values() if worker.ring is not None]

    def members(self) -> list[Worker]:
        """All processes that live, oldest first."""
        with self._lock:
            return [worker for worker in self._workers.values() if not worker.dead]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep rings from being removed or looked at while they are read."""
        with self._lock:
            yield

    @property
    def living(self) -> int:
        """How many processes live that record."""
        with self._lock:
            return sum(not worker.dead for worker in self._workers.values())

    def counted(self, kind: str) -> int:
        """What all files' headers count: "full", "large", "holes", "lost", "guarded"; or "folded"."""
        with self._lock:
            total = self.gone[kind]
            for worker in self._workers.values():
                ring, reader = worker.ring, worker.source.reader if worker.source else None
                if ring is not None and kind in {"full", "large", "holes"}:
                    total += {"full": ring.dropped_full, "large": ring.dropped_large, "holes": ring.holes}[
                        kind
                    ]
                elif reader is not None and kind in {"lost", "guarded"}:
                    total += reader.lost_series if kind == "lost" else reader.guarded
            return total
