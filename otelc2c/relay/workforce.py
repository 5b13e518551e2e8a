"""Workers of a server: how many live, how many are busy, and the processes that the kernel is asked of.

A worker that answers a request says so in its own numbers before it calls the application, so that it is
counted while it hangs, and while nobody else can be answered.
"""

from otelc2c import catalog
from otelc2c.record import layout
from otelc2c.record.points import Family
from otelc2c.relay import procfs
from otelc2c.relay.gathered import Gathered
from otelc2c.relay.pod import Pod, Worker
from otelc2c.relay.processes import ROLES, WORKER, Member


class Workforce:
    """The living processes of a pod, by what they do."""

    def __init__(self, pod: Pod, root: str = procfs.ROOT) -> None:
        """Look at `pod`; `root` is where the kernel tells of locks."""
        self._pod = pod
        self._root = root
        self._pids: dict[str, int] = {}
        self._seen = False

    def members(self) -> list[Member]:
        """Every living process that records, with the id by which this process knows it."""
        with self._pod.held():
            living = self._pod.members()
            if any(worker.name not in self._pids for worker in living):
                self._find(living)
            return [Member(worker.name, self._pids[worker.name], role_of(worker)) for worker in living]

    def _find(self, living: list[Worker]) -> None:
        owners = procfs.lock_owners(self._root)
        lock_of = self._pod.folder.lock_of
        self._pids = {
            worker.name: self._pids.get(worker.name)
            or procfs.pid_here(lock_of(worker.name), worker.pid, owners)
            for worker in living
        }

    def families(self) -> list[Family]:
        """How many of gunicorn's workers live and are busy, and the oldest one's age.

        Nothing where there has never been one.
        """
        with self._pod.held():
            workers = [one for one in self._pod.members() if one.role == layout.ROLE_WORKER]
            busy = sum(one.in_flight() > 0 for one in workers)
        self._seen = self._seen or bool(workers)
        gathered = Gathered()
        if self._seen:
            gathered.put(catalog.GUNICORN_WORKERS_ALIVE, len(workers), {})
            gathered.put(catalog.GUNICORN_WORKERS_BUSY, busy, {})
        if workers:
            gathered.put(catalog.GUNICORN_WORKER_AGE, max(one.age for one in workers), {})
        return gathered.families()


def role_of(worker: Worker) -> str:
    """What a process is: as it says itself, or a worker if it answers requests; empty if nobody knows."""
    return ROLES.get(worker.role) or (WORKER if worker.serves else "")
