"""Processes added up by role: what counts upwards never falls, what tells of now ends with its process."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from otelc2c import catalog
from otelc2c.catalog import Metric
from otelc2c.relay import processes, procfs
from otelc2c.relay.processes import OTHER, RELAY, SERVER, WORKER, Member, Processes


class Machine:
    """A `/proc` of which a test says what stands in it, and the processes that there are."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.members: list[Member] = []

    def process(self, pid: int, role: str = WORKER, **numbers: int) -> None:
        """There is one with these numbers."""
        told = {"user": 0, "system": 0, "minor": 0, "major": 0, "threads": 1, "started": 100, **numbers}
        fields = [0] * 24
        for at, name in (
            (7, "minor"),
            (9, "major"),
            (11, "user"),
            (12, "system"),
            (17, "threads"),
            (19, "started"),
        ):
            fields[at] = told[name]
        fields[20], fields[21] = 1 << 20, told.get("pages", 10)
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        (folder / "stat").write_text(f"{pid} (python) S {' '.join(map(str, fields[1:]))}\n")
        switches = told.get("switches", 0)
        (folder / "status").write_text(
            f"Name:\tx\nvoluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t1\n"
        )
        (folder / "smaps_rollup").write_text(f"[rollup]\nPss:  {told.get('pss', 4)} kB\n")
        (folder / "limits").write_text(f"Limit\nMax open files  {told.get('limit', 1024)}  4096  files\n")
        self.members = [one for one in self.members if one.pid != pid] + [Member(f"name-{pid}", pid, role)]

    def ends(self, pid: int) -> None:
        """It is gone."""
        self.members = [one for one in self.members if one.pid != pid]
        for name in ("stat", "status", "smaps_rollup", "limits"):
            (self.root / str(pid) / name).unlink()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """One on which everything is read at each look."""
    monkeypatch.setattr(processes, "FRESH", 0.0)
    monkeypatch.setattr(procfs, "TICKS", 100)
    return Machine(tmp_path)


def watching(machine: Machine, **options: Any) -> Processes:
    return Processes(lambda: list(machine.members), root=str(machine.root), **options)


def values(watched: Processes, metric: Metric, **attributes: Any) -> dict[tuple[Any, ...], float]:
    """The values of a metric by the rest of their attributes, in the order of names."""
    wanted = {name.replace("_", "."): value for name, value in attributes.items()}
    found = {}
    for family in watched.families():
        if family.instrument.name == metric.name:
            for point in family.points:
                if wanted.items() <= point.attributes.items():
                    rest = {name: point.attributes[name] for name in point.attributes if name not in wanted}
                    assert isinstance(point.value, int | float)
                    found[tuple(value for _, value in sorted(rest.items()))] = point.value
    return found


def cpu(watched: Processes, role: str) -> float:
    return sum(values(watched, catalog.PROCESS_CPU_TIME, otelc2c_role=role).values())


def test_processes_of_a_role_are_added_up(machine: Machine) -> None:
    machine.process(1, SERVER, user=100, threads=2, started=50)
    machine.process(2, user=300, system=20, minor=7, switches=5, pages=3, pss=8, limit=2048)
    machine.process(3, user=50, major=2, pages=4, pss=2)
    watched = watching(machine)
    assert values(watched, catalog.PROCESS_CPU_TIME) == {
        ("user", SERVER): 1.0,
        ("system", SERVER): 0.0,
        ("user", WORKER): 3.5,
        ("system", WORKER): 0.2,
    }
    assert values(watched, catalog.PROCESS_PAGING_FAULTS, otelc2c_role=WORKER) == {
        ("minor",): 7,
        ("major",): 2,
    }
    assert values(watched, catalog.PROCESS_CONTEXT_SWITCHES, otelc2c_role=WORKER) == {
        ("voluntary",): 5,
        ("involuntary",): 2,
    }
    assert values(watched, catalog.PROCESS_MEMORY_USAGE) == {
        (SERVER,): 10 * procfs.PAGE,
        (WORKER,): 7 * procfs.PAGE,
    }
    assert values(watched, catalog.PROCESS_MEMORY_PSS, otelc2c_role=WORKER) == {(): 10 * 1024}
    assert values(watched, catalog.PROCESS_MEMORY_VIRTUAL, otelc2c_role=WORKER) == {(): 2 << 20}
    assert values(watched, catalog.PROCESS_THREAD_COUNT) == {(SERVER,): 2, (WORKER,): 2}
    assert values(watched, catalog.PROCESS_FILE_DESCRIPTOR_COUNT, otelc2c_role=WORKER) == {(): 0}
    assert values(watched, catalog.PROCESS_FILE_DESCRIPTOR_LIMIT, otelc2c_role=WORKER) == {(): 1024}
    oldest = values(watched, catalog.PROCESS_UPTIME)
    assert oldest[SERVER,] == pytest.approx(oldest[WORKER,] + 0.5, abs=0.1)
    begun = values(watched, catalog.PROCESS_START_TIME)
    assert begun[WORKER,] == pytest.approx(begun[SERVER,] + 0.5, abs=0.1)


def test_what_ended_processes_had_come_to_stays(machine: Machine) -> None:
    machine.process(1, user=100)
    machine.process(2, user=300)
    watched = watching(machine)
    assert cpu(watched, WORKER) == 4.0
    machine.ends(2)
    assert cpu(watched, WORKER) == 4.0
    assert values(watched, catalog.PROCESS_THREAD_COUNT) == {(WORKER,): 1}
    machine.ends(1)
    machine.process(3, user=50)
    assert cpu(watched, WORKER) == 4.5


def test_the_order_in_which_processes_end_changes_no_digit(machine: Machine) -> None:
    """A scraper takes a counter that fell by the last digit of a fraction for one that began anew."""
    for pid in range(1, 12):
        machine.process(pid, user=pid * 7 + pid % 3)
    watched = watching(machine)
    told = cpu(watched, WORKER)
    for pid in (7, 3, 11, 1, 9, 2, 10, 5, 8, 4, 6):
        machine.ends(pid)
        assert cpu(watched, WORKER) == told


def test_nothing_is_told_of_now_when_all_have_ended(machine: Machine) -> None:
    machine.process(1, user=100)
    watched = watching(machine)
    assert cpu(watched, WORKER) == 1.0
    machine.ends(1)
    assert cpu(watched, WORKER) == 1.0
    assert values(watched, catalog.PROCESS_MEMORY_USAGE) == {}


def test_a_process_between_its_end_and_the_notice_of_it_keeps_what_was_read(machine: Machine) -> None:
    machine.process(1, user=100)
    watched = watching(machine)
    assert cpu(watched, WORKER) == 1.0
    members = machine.members
    machine.ends(1)
    machine.members = members
    assert cpu(watched, WORKER) == 1.0


def test_what_cannot_be_read_any_more_does_not_fall(machine: Machine) -> None:
    machine.process(1, switches=5)
    watched = watching(machine)
    told = {(WORKER, "voluntary"): 5, (WORKER, "involuntary"): 1}
    assert values(watched, catalog.PROCESS_CONTEXT_SWITCHES) == told
    (machine.root / "1" / "status").unlink()
    assert values(watched, catalog.PROCESS_CONTEXT_SWITCHES) == told


def test_another_process_of_the_same_number_is_not_taken_for_it(machine: Machine) -> None:
    machine.process(1, user=100)
    watched = watching(machine)
    assert cpu(watched, WORKER) == 1.0
    machine.process(1, user=5000, started=9000)
    assert cpu(watched, WORKER) == 1.0


def test_each_process_is_told_by_its_id_and_the_ended_ones_together(machine: Machine) -> None:
    """The sum over all of a role never falls, and there are no more sets than living processes."""
    machine.process(1, user=100)
    machine.process(2, user=300)
    watched = watching(machine, each=True)
    told = {"otelc2c_role": WORKER, "cpu_mode": "user"}
    assert values(watched, catalog.PROCESS_CPU_TIME, **told) == {(1,): 1.0, (2,): 3.0}
    machine.ends(2)
    assert values(watched, catalog.PROCESS_CPU_TIME, **told) == {(1,): 1.0, (): 3.0}
    assert values(watched, catalog.PROCESS_MEMORY_USAGE, otelc2c_role=WORKER) == {(1,): 10 * procfs.PAGE}
    for pid in range(3, 300):
        machine.process(pid, user=1)
        watched.look()
        machine.ends(pid)
    assert len(values(watched, catalog.PROCESS_CPU_TIME, **told)) == 2
    assert cpu(watched, WORKER) == pytest.approx(4.0 + 297 * 0.01)
    assert len(watched._sets) < 1000


def test_a_role_that_is_told_later_takes_over_what_comes_later(machine: Machine) -> None:
    machine.process(1, SERVER, user=100)
    watched = watching(machine)
    assert cpu(watched, SERVER) == 1.0
    machine.process(1, WORKER, user=150)
    assert (cpu(watched, SERVER), cpu(watched, WORKER)) == (1.0, 0.5)
    machine.process(1, WORKER, user=250)
    assert (cpu(watched, SERVER), cpu(watched, WORKER)) == (1.0, 1.5)
    machine.ends(1)
    assert (cpu(watched, SERVER), cpu(watched, WORKER)) == (1.0, 1.5)


def test_a_process_that_does_not_say_what_it_is_has_some_time_for_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.process(1, "", user=100)
    watched = watching(machine)
    assert watched.families() == []
    machine.process(1, SERVER, user=150)
    assert (cpu(watched, SERVER), cpu(watched, OTHER)) == (1.5, 0)
    machine.process(2, "", user=7)
    assert cpu(watched, OTHER) == 0
    monkeypatch.setattr(processes, "UNDECIDED", 0.0)
    assert cpu(watched, OTHER) == 0.07


def test_a_process_that_never_said_what_it_is_counts_when_it_has_ended(machine: Machine) -> None:
    machine.process(1, "", user=100)
    watched = watching(machine)
    watched.look()
    machine.ends(1)
    assert cpu(watched, OTHER) == 1.0


def test_what_may_not_be_read_is_left_out_and_the_rest_is_told(machine: Machine) -> None:
    """W-14: workers of another user."""
    machine.process(1, user=100)
    machine.process(2, user=100)
    (machine.root / "2" / "smaps_rollup").unlink()
    (machine.root / "2" / "fd").rmdir()
    watched = watching(machine)
    assert cpu(watched, WORKER) == 2.0
    assert values(watched, catalog.PROCESS_MEMORY_PSS) == {}
    assert values(watched, catalog.PROCESS_FILE_DESCRIPTOR_COUNT) == {}


def test_pages_are_walked_seldom_one_process_at_a_time_and_only_if_somebody_asks(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[int] = []
    real = procfs.proportional_memory

    def walk(pid: int, root: str) -> int | None:
        walked.append(pid)
        return real(pid, root)

    monkeypatch.setattr(procfs, "proportional_memory", walk)
    machine.process(1)
    machine.process(2)
    watched = watching(machine)
    for _ in range(5):
        watched.look()
        watched.families()
    assert walked == [1, 2]
    monkeypatch.setattr(processes, "PSS_EVERY", 0.0)
    for _ in range(2):
        watched.families()
        watched.look()
    assert walked == [1, 2, 1, 2]
    for _ in range(3):
        watched.look()
    # Somebody had asked after the first one's walk, and nobody since.
    assert walked == [1, 2, 1, 2, 1]


def test_the_relay_and_its_supervisor_are_told_of_too(machine: Machine) -> None:
    machine.process(os.getpid(), user=30)
    machine.process(os.getppid(), user=4)
    machine.members = []
    assert cpu(watching(machine, supervisor=os.getppid()), RELAY) == pytest.approx(0.34)
    # One that is not our parent any more has ended, whoever has its number now.
    machine.process(1, user=900)
    machine.members = []
    assert cpu(watching(machine, supervisor=1), RELAY) == pytest.approx(0.3)
    assert watching(machine).families() == []


def test_a_successor_goes_on_where_the_relay_was_killed(machine: Machine) -> None:
    machine.process(1, user=100)
    machine.process(2, user=300)
    machine.process(3, user=10)
    first = watching(machine)
    assert cpu(first, WORKER) == pytest.approx(4.1)
    machine.ends(3)
    first.look()
    saved = json.loads(json.dumps(first.to_dict()))
    machine.process(1, user=150)
    machine.ends(2)
    successor = watching(machine)
    successor.from_dict(saved)
    assert cpu(successor, WORKER) == pytest.approx(1.5 + 3.0 + 0.1)
    assert values(successor, catalog.PROCESS_THREAD_COUNT) == {(WORKER,): 1}


def test_a_successor_of_the_same_number_does_not_take_the_relay_before_it_for_itself(
    machine: Machine,
) -> None:
    machine.process(os.getpid(), user=300)
    machine.process(os.getppid())
    machine.members = []
    first = watching(machine, supervisor=os.getppid())
    assert cpu(first, RELAY) == 3.0
    machine.process(os.getpid(), user=10)
    machine.members = []
    successor = watching(machine, supervisor=os.getppid())
    successor.from_dict(first.to_dict())
    assert cpu(successor, RELAY) == pytest.approx(3.1)


@pytest.mark.parametrize("saved", [None, [], {}, {"ended": {"x": [1]}, "known": {}}, {"ended": 1}])
def test_what_cannot_be_gone_on_from_raises_what_the_relay_expects(machine: Machine, saved: Any) -> None:
    watched = watching(machine)
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        watched.from_dict(saved)
    assert watched.families() == []


def test_who_asks_again_at_once_gets_what_was_read(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FRESH", 60.0)
    machine.process(1, user=100)
    watched = watching(machine)
    watched._read_at = -60.0
    assert cpu(watched, WORKER) == 1.0
    machine.process(1, user=900)
    assert cpu(watched, WORKER) == 1.0
