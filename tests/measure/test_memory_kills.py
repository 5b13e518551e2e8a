"""What a control group says of processes that the kernel killed for their memory."""

from pathlib import Path

import pytest

from otelc2c.measure.memory_kills import MemoryKills, counting_file


def planted(root: Path, groups: str, **files: str) -> str:
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(groups)
    for path, text in files.items():
        place = root / "sys/fs/cgroup" / path.replace("__", "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return f"{root}/"


def events(count: int) -> str:
    return f"low 0\nhigh 0\nmax 12\noom 3\noom_kill {count}\noom_group_kill 9\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", ["memory.events"], "memory.events"),
        ("0::/pods/a\n", ["pods/a/memory.events", "memory.events"], "pods/a/memory.events"),
        ("0::/../other\n", ["memory.events"], "memory.events"),
        ("4:memory:/x\n0::/\n", ["memory/x/memory.oom_control"], "memory/x/memory.oom_control"),
        ("4:cpu,memory:/x\n", ["memory/memory.oom_control"], "memory/memory.oom_control"),
        ("junk\n", [], "memory.events"),
    ],
)
def test_the_group_of_this_process_is_found(
    tmp_path: Path, groups: str, files: list[str], expected: str
) -> None:
    root = planted(tmp_path, groups, **{path.replace("/", "__"): events(0) for path in files})
    assert counting_file(root) == f"{root}sys/fs/cgroup/{expected}"


def test_each_kill_is_told_once(tmp_path: Path) -> None:
    root = planted(tmp_path, "0::/\n", **{"memory.events": events(5)})
    path = Path(counting_file(root))
    kills = MemoryKills(root)
    assert not kills.took_one()
    path.write_text(events(7))
    assert [kills.took_one() for _ in range(3)] == [True, True, False]
    kills.look()
    assert not kills.took_one()
    path.write_text(events(8))
    assert [kills.took_one() for _ in range(2)] == [True, False]


def test_a_kill_is_told_for_one_more_look_and_then_forgotten(tmp_path: Path) -> None:
    """A process dies a while after it was counted; one that was not ours is no reason for a later end."""
    root = planted(tmp_path, "0::/\n", **{"memory.events": events(0)})
    path = Path(counting_file(root))
    kills = MemoryKills(root)
    kills.look()
    path.write_text(events(2))
    kills.look()
    assert kills.took_one()
    kills.look()
    assert not kills.took_one()
    path.write_text(events(3))
    assert kills.took_one()


@pytest.mark.parametrize("text", ["", "oom_kill x\n", "oom_kill\n", "\0\xff\n"])
def test_a_group_that_does_not_count_tells_of_none(tmp_path: Path, text: str) -> None:
    root = planted(tmp_path, "0::/\n", **{"memory.events": text})
    assert not MemoryKills(root).took_one()
    assert not MemoryKills(f"{root}nowhere/").took_one()
