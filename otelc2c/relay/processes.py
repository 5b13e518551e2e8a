"""What the kernel knows of each process of the pod, added up by role.

The relay reads it by itself: a process that is busy or hangs is counted like any other, and pays nothing
for it. What counts upwards (processor time, faults, switches) keeps what ended processes had come to, as
it was at most a second before their end; what tells of the present ends with them.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from otelc2c import catalog
from otelc2c.catalog import Metric
from otelc2c.record import layout
from otelc2c.record.points import Attributes, Family
from otelc2c.relay import procfs
from otelc2c.relay.gathered import Gathered

SERVER: Final = "server"
WORKER: Final = "worker"
RELAY: Final = "relay"
OTHER: Final = "other"
"""A process that a worker or the server started and that records, too."""
ROLES: Final[Mapping[int, str]] = {layout.ROLE_SERVER: SERVER, layout.ROLE_WORKER: WORKER}

FRESH: Final = 0.25
"""Seconds for which what was read is new enough for the next who asks."""
UNDECIDED: Final = 2.0
"""Seconds that a process has for saying what it is."""
PSS_EVERY: Final = 15.0
"""Seconds from one walk over the pages of a process to the next."""

COUNTED: Final[tuple[tuple[Metric, str, str], ...]] = (
    (catalog.PROCESS_CPU_TIME, catalog.CPU_MODE, "user"),
    (catalog.PROCESS_CPU_TIME, catalog.CPU_MODE, "system"),
    (catalog.PROCESS_PAGING_FAULTS, catalog.PAGING_FAULT_TYPE, "minor"),
    (catalog.PROCESS_PAGING_FAULTS, catalog.PAGING_FAULT_TYPE, "major"),
    (catalog.PROCESS_CONTEXT_SWITCHES, catalog.CONTEXT_SWITCH_TYPE, "voluntary"),
    (catalog.PROCESS_CONTEXT_SWITCHES, catalog.CONTEXT_SWITCH_TYPE, "involuntary"),
)
"""What counts upwards: metric, attribute and its value, in the order of the numbers of `Known.counts`."""
_NOTHING: Final = (0,) * len(COUNTED)
_MICRO: Final = 1_000_000


class Member(NamedTuple):
    """A living process that shall be told of."""

    name: str
    """Told apart from every other one that ever was."""
    pid: int
    """As this process would name it; 0 where that is unknown."""
    role: str
    """One of the roles above, or empty while it is not known."""


class Known:
    """A living process, and what was last read of it."""

    def __init__(self, member: Member, now: float) -> None:
        """Know nothing of it yet."""
        self.pid = member.pid
        self.role = member.role
        self.since = now
        self.counts: tuple[int, ...] = _NOTHING
        """Times in microseconds: sums of whole numbers do not depend on the order of the addends."""
        self.before: tuple[int, ...] = _NOTHING
        """What of the counts was counted under an earlier role."""
        self.stat: procfs.Stat | None = None
        self.began = 0.0
        """Its start by the wall clock, read once, so that it does not tremble."""
        self.pss: int | None = None
        self.pss_at = now
        self.limit: int | None = None

    @property
    def own(self) -> tuple[int, ...]:
        """What it has come to under its role."""
        return _minus(self.counts, self.before)

    def read(self, now: float, root: str) -> None:
        """Read what counts upwards, and memory and threads with it."""
        stat = procfs.stat(self.pid, root)
        if stat is None or (self.stat is not None and stat.started != self.stat.started):
            return  # gone, or by now somebody else's number
        switches = procfs.context_switches(self.pid, root) or (0, 0)
        times = round(stat.user * _MICRO), round(stat.system * _MICRO)
        self.counts = tuple(map(max, self.counts, (*times, stat.minor, stat.major, *switches)))
        if self.stat is None:
            self.began = round(time.time() - age(stat), 2)
            self.limit = procfs.descriptor_limit(self.pid, root)
            self.read_pages(now, root)
        self.stat = stat

    def read_pages(self, now: float, root: str) -> None:
        """Read how much memory is its own, which is dear."""
        self.pss_at = now
        self.pss = procfs.proportional_memory(self.pid, root)


class Processes:
    """The processes of a pod, and what those that have ended had come to. For any thread."""

    def __init__(
        self,
        members: Callable[[], Iterable[Member]],
        *,
        each: bool = False,
        supervisor: int = 0,
        root: str = procfs.ROOT,
    ) -> None:
        """Tell of `members()`, each by its process id if `each`, or else added up by role.

        `supervisor` is the id of the process that started this one, which are told of as the relay;
        without one the relay is part of a member. `root` is where the kernel tells of processes.
        """
        self._each = each
        self._members = members
        self._supervisor = supervisor
        self._root = root
        self._lock = threading.Lock()
        self._known: dict[str, Known] = {}
        self._ended: dict[str, tuple[int, ...]] = {}
        self._read_at = -FRESH
        self._asked_at = 0.0
        self._sets: dict[tuple[Any, ...], Attributes] = {}

    # -- reading -----------------------------------------------------------------------------

    def look(self) -> None:
        """Read what counts upwards, and walk over the pages of one process whose turn it is."""
        now = time.monotonic()
        with self._lock:
            self._read(now)
            turn = min(self._known.values(), key=lambda one: one.pss_at, default=None)
            if turn is not None and now - turn.pss_at >= PSS_EVERY and self._asked_at >= turn.pss_at:
                turn.read_pages(now, self._root)

    def _read(self, now: float) -> None:
        if now - self._read_at < FRESH:
            return
        self._read_at = now
        living = {member.name: member for member in (*self._members(), *self._of_the_relay())}
        for name in [name for name in self._known if name not in living]:
            self._end(self._known.pop(name))
        for name, member in living.items():
            known = self._known.get(name)
            if known is None:
                known = self._known[name] = Known(member, now)
            known.pid = member.pid
            role = member.role or (OTHER if now - known.since >= UNDECIDED else "")
            if role and role != known.role:
                self._change(known, role)
            if known.pid:
                known.read(now, self._root)

    def _of_the_relay(self) -> list[Member]:
        if not self._supervisor:
            return []
        pids = [os.getpid()]
        # One that was killed is not our parent any more.
        if os.getppid() == self._supervisor:
            pids.append(self._supervisor)
        return [Member(_relay_name(pid), pid, RELAY) for pid in pids]

    def _end(self, known: Known) -> None:
        self._add_to_ended(known.role or OTHER, known.own)

    def _change(self, known: Known, role: str) -> None:
        if known.role:
            self._add_to_ended(known.role, known.own)
            known.before = known.counts
        known.role = role

    def _add_to_ended(self, role: str, counts: tuple[int, ...]) -> None:
        if any(counts):
            self._ended[role] = _plus(self._ended.get(role, _NOTHING), counts)

    # -- telling -----------------------------------------------------------------------------

    def families(self) -> list[Family]:
        """Everything, as it is now."""
        now = time.monotonic()
        with self._lock:
            self._asked_at = now
            self._read(now)
            groups: dict[tuple[str, int], list[Known]] = {}
            for known in self._known.values():
                if known.stat is not None and known.role:
                    groups.setdefault((known.role, known.pid if self._each else 0), []).append(known)
            gathered = Gathered()
            self._put_counts(gathered, groups)
            for key, members in groups.items():
                self._put_levels(gathered, key, members)
            return gathered.families()

    def _put_counts(self, gathered: Gathered, groups: Mapping[tuple[str, int], list[Known]]) -> None:
        # In the set without a process id is what ended processes had come to.
        totals = {(role, 0): counts for role, counts in self._ended.items()}
        for key, members in groups.items():
            for known in members:
                totals[key] = _plus(totals.get(key, _NOTHING), known.own)
        for key, counts in totals.items():
            for (metric, name, value), count in zip(COUNTED, counts, strict=True):
                number = count / _MICRO if metric.unit == "s" else count
                gathered.put(metric, number, self._attributes(key, (name, value)))

    def _put_levels(self, gathered: Gathered, key: tuple[str, int], members: list[Known]) -> None:
        attributes = self._attributes(key)
        stats = [known.stat for known in members if known.stat is not None]
        gathered.put(catalog.PROCESS_MEMORY_USAGE, sum(stat.resident for stat in stats), attributes)
        gathered.put(catalog.PROCESS_MEMORY_VIRTUAL, sum(stat.virtual for stat in stats), attributes)
        gathered.put(catalog.PROCESS_THREAD_COUNT, sum(stat.threads for stat in stats), attributes)
        gathered.put(catalog.PROCESS_UPTIME, round(max(map(age, stats)), 2), attributes)
        gathered.put(catalog.PROCESS_START_TIME, min(known.began for known in members), attributes)
        pages = [known.pss for known in members if known.pss is not None]
        if len(pages) == len(members):
            gathered.put(catalog.PROCESS_MEMORY_PSS, sum(pages), attributes)
        opened = [procfs.descriptors(known.pid, self._root) for known in members]
        if None not in opened:
            gathered.put(catalog.PROCESS_FILE_DESCRIPTOR_COUNT, sum(filter(None, opened)), attributes)
        limits = [known.limit for known in members if known.limit is not None]
        if limits:
            gathered.put(catalog.PROCESS_FILE_DESCRIPTOR_LIMIT, min(limits), attributes)

    def _attributes(self, key: tuple[str, int], *more: tuple[str, str]) -> Attributes:
        """The same object for the same set, so that its encoding can be kept."""
        wanted = (key, *more)
        found = self._sets.get(wanted)
        if found is None:
            role, pid = key
            if len(self._sets) > 100 * (len(self._known) + len(ROLES)):
                self._sets.clear()
            found = {catalog.ROLE: role, **({catalog.PROCESS_PID: pid} if pid else {}), **dict(more)}
            self._sets[wanted] = found
        return found

    # -- a successor -------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """What a later relay must go on from, for JSON."""
        with self._lock:
            known = {name: [one.role, one.counts, one.before] for name, one in self._known.items()}
            return {"ended": dict(self._ended), "known": known}

    def from_dict(self, saved: Any) -> None:
        """Go on from what `to_dict` gave; those that live no more have ended. Raises as a wrong form does."""
        ended = {str(role): _numbers(counts) for role, counts in saved["ended"].items()}
        known = {}
        for name, (role, counts, before) in saved["known"].items():
            one = known[name] = Known(Member(name, 0, str(role)), time.monotonic())
            one.counts, one.before = _numbers(counts), _numbers(before)
        with self._lock:
            self._ended, self._known = ended, known
            # The relay before this one may have had the same number.
            before = known.pop(_relay_name(os.getpid()), None)
            if before is not None:
                self._end(before)


def age(stat: procfs.Stat) -> float:
    """Seconds since a process began."""
    clock = time.CLOCK_BOOTTIME if hasattr(time, "CLOCK_BOOTTIME") else time.CLOCK_MONOTONIC
    return max(0.0, time.clock_gettime(clock) - stat.started)


def _relay_name(pid: int) -> str:
    return f"{RELAY}-{pid}"


def _plus(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(mine + its for mine, its in zip(one, other, strict=True))


def _minus(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(mine - its for mine, its in zip(one, other, strict=True))


def _numbers(values: Any) -> tuple[int, ...]:
    found = tuple(int(value) for value in values)
    if len(found) != len(COUNTED):
        raise ValueError("another number of numbers")
    return found
