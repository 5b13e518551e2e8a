"""What the kernel says of the processes of one run: who they are, what they cost, whose children."""

import os
import time
from pathlib import Path
from typing import NamedTuple

RUN = "PROCESS_TEST_RUN"
"""The variable that everything a test starts inherits, and is found by."""
TICKS = os.sysconf("SC_CLK_TCK")
RELAY_WORDS = b"otelc2c.relay.main"


class Process(NamedTuple):
    """One process. `cpu` is user and system seconds, of itself and of children it has waited for."""

    pid: int
    parent: int
    command: bytes
    cpu: float
    threads: int

    @property
    def is_relay(self) -> bool:
        """Whether this is the relay or its supervisor."""
        return RELAY_WORDS in self.command


def process(pid: int) -> Process | None:
    """One process, or None where it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in b"ZX":
        return None
    cpu = sum(int(field) for field in fields[11:15]) / TICKS
    return Process(pid, int(fields[1]), command, cpu, int(fields[17]))


def processes(run: str) -> list[Process]:
    """Every living process of a run, in the order of their ids."""
    wanted = f"{RUN}={run}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            environ = Path(f"/proc/{entry}/environ").read_bytes()
        except OSError:
            continue
        if wanted in environ.split(b"\0") and (one := process(int(entry))) is not None:
            found.append(one)
    return sorted(found)


def cpu_seconds(pid: int) -> float:
    """What a process has had of the processor until now, with the threads that have ended, to the nanosecond.

    Linux makes the number of this clock from the process' id; see clock_getcpuclockid(3).
    """
    return time.clock_gettime((~pid << 3) | 2)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    return process(pid) is None
