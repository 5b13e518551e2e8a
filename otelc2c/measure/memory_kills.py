"""How often the kernel killed a process of this one's control group because memory ran out.

`kill -9` and the kernel's own end look the same to the parent; the control group counts the latter.
"""

from collections import deque
from typing import Final

ROOT: Final = "/"
_COUNT: Final = "oom_kill"


class MemoryKills:
    """Tells whether an end by SIGKILL was the kernel's. Looked at each second, it knows when one is new."""

    def __init__(self, root: str = ROOT) -> None:
        """Find where this process' control group counts; `root` is for tests."""
        self._path = counting_file(root)
        # What was counted at the last looks: a process dies some time after it was counted.
        self._before: deque[int] = deque([self._count()], maxlen=2)
        self._told = 0

    def look(self) -> None:
        """Forget what was counted before the look before this one."""
        count = self._count()
        if len(self._before) == self._before.maxlen:
            self._told = max(0, self._told - max(0, self._before[1] - self._before[0]))
        self._before.append(count)

    def took_one(self) -> bool:
        """Whether a process that has just died was killed for its memory; each kill is told once."""
        found = self._count() - self._before[0] > self._told
        self._told += found
        return found

    def _count(self) -> int:
        try:
            with open(self._path, encoding="ascii", errors="replace") as file:
                for line in file:
                    name, _, value = line.partition(" ")
                    if name == _COUNT:
                        return int(value)
        except (OSError, ValueError):
            pass
        return 0


def counting_file(root: str = ROOT) -> str:
    """The file in which this process' control group counts; one that is not there if it does not."""
    unified = f"{root}sys/fs/cgroup/memory.events"
    try:
        with open(f"{root}proc/self/cgroup", encoding="utf-8", errors="replace") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return unified
    for group in groups:
        if len(group) != 3:
            continue
        _, controllers, path = group
        path = path.rstrip("/")
        if "memory" in controllers.split(","):
            return _first(f"{root}sys/fs/cgroup/memory", path, "memory.oom_control")
        if not controllers:
            unified = _first(f"{root}sys/fs/cgroup", path, "memory.events")
    return unified


def _first(mount: str, path: str, name: str) -> str:
    """The file of the group, or of the mount's root, which is the group itself within a container."""
    own = f"{mount}{path}/{name}"
    try:
        with open(own, encoding="ascii"):
            return own
    except OSError:
        return f"{mount}/{name}"
