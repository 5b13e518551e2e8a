"""The pod as its relay sees it: the living are read, the dead are folded, nothing twice."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelc2c.record import files, folder
from otelc2c.record.layout import RECORD_SPAN
from otelc2c.record.points import Instrument, Scope
from otelc2c.record.recorder import Recorder
from otelc2c.record.ring import SMALLEST_BYTES
from otelc2c.relay.pod import Pod

SCOPE = Scope("tests", "1.0")
COUNTER = Instrument(SCOPE, "counter", "counter")
ACTIVE = Instrument(SCOPE, "active", "up_down_counter")


def never(sentence: str) -> None:
    raise AssertionError(sentence)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[folder.Folder]:
    made = folder.create([str(tmp_path)], 0)
    yield made
    made.leave()


def worker(place: folder.Folder, count: int, ring: int = SMALLEST_BYTES) -> Recorder:
    recorder = Recorder(place, ring, never)
    recorder.open()
    recorder.store.counter_cell(COUNTER, {"route": "/"}).add(count)
    recorder.store.counter_cell(ACTIVE, {}).add(1)
    return recorder


def pod_of(place: folder.Folder, backlog: int = 1 << 30) -> Pod:
    pod = Pod(place, 2000, backlog)
    pod.look()
    return pod


def value(pod: Pod, name: str = "counter") -> Any:
    return next((f.points[0].value for f in pod.families() if f.instrument.name == name), None)


def drain(pod: Pod) -> list[bytes]:
    payloads = []
    for found in pod.workers():
        assert found.ring is not None
        payloads += [payload for group in found.ring.take(1000).groups.values() for payload in group]
        found.ring.ack()
    return payloads


def test_living_workers_are_added_up(place: folder.Folder) -> None:
    recorders = [worker(place, count) for count in (1, 2, 4)]
    pod = pod_of(place)
    assert (value(pod), value(pod, "active"), pod.living) == (7, 3, 3)
    assert recorders


def test_a_dead_worker_stays_in_the_counters_and_leaves_the_present(place: folder.Folder) -> None:
    dead, living = worker(place, 1), worker(place, 2)
    pod = pod_of(place)
    dead.close()
    pod.look()
    assert (value(pod), value(pod, "active"), pod.living) == (3, 1, 1)
    assert place.names() == [living.name]


def test_files_of_the_dead_go_only_when_their_records_were_acknowledged(place: folder.Folder) -> None:
    dead = worker(place, 1)
    dead.ring.write(RECORD_SPAN, dead.store.scope_id(SCOPE), b"span")
    name = dead.name
    dead.close()
    pod = pod_of(place)
    assert place.names() == [name]
    (found,) = pod.workers()
    assert found.scope(1) == SCOPE
    assert drain(pod) == [b"span"]
    pod.look()
    assert place.names() == []
    assert value(pod) == 1


def test_a_successor_does_not_count_the_folded_again(place: folder.Folder) -> None:
    """relay 1: a file already named in the fold is only unlinked."""
    dead = worker(place, 5)
    dead.ring.write(RECORD_SPAN, dead.store.scope_id(SCOPE), b"span")
    dead.close()
    pod_of(place)
    successor = pod_of(place)
    assert value(successor) == 5
    (found,) = successor.workers()
    assert found.scope(1) == SCOPE
    assert drain(successor) == [b"span"]
    successor.look()
    assert place.names() == []
    assert value(pod_of(place)) == 5


def test_a_fold_that_cannot_be_written_leaves_the_files_where_they_are(
    place: folder.Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """relay 6: full while running must not take the page away."""
    dead = worker(place, 5, ring=0)
    pod = pod_of(place)
    dead.close()
    real = files.create

    def full(path: str, size: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "create", full)
    for _ in range(3):
        pod.look()
        assert value(pod) == 5
    assert len(place.names()) == 1
    monkeypatch.setattr(files, "create", real)
    pod.look()
    assert (value(pod), place.names()) == (5, [])


def test_four_hundred_recycled_workers_leave_one_fold(place: folder.Folder) -> None:
    """F-07, F-64: files are bounded, and nothing is lost."""
    pod = pod_of(place)
    for _ in range(400):
        worker(place, 1, ring=0).close()
        pod.look()
    assert value(pod) == 400
    assert sorted(os.listdir(place.path)) == ["alive", "fold", "relay.lock"]


@pytest.mark.parametrize("content", [b"", b"junk", os.urandom(300_000), bytes(300_000)])
@pytest.mark.parametrize("ending", ["cells", "ring"])
def test_a_bad_file_is_counted_and_the_rest_is_read(
    place: folder.Folder, content: bytes, ending: str
) -> None:
    """F-61, T46."""
    good, bad = worker(place, 3), worker(place, 100)
    Path(f"{place.path}/{bad.name}.{ending}").unlink()
    Path(f"{place.path}/{bad.name}.{ending}").write_bytes(content)
    pod = pod_of(place)
    for _ in range(3):
        pod.look()
        assert value(pod) == 3
    assert pod.bad_files == 1
    bad.close()
    assert good.published


def test_a_bad_fold_is_counted_and_the_pod_goes_on(place: folder.Folder) -> None:
    Path(place.fold).write_bytes(os.urandom(300_000))
    recorder = worker(place, 3)
    pod = pod_of(place)
    assert (value(pod), pod.bad_files) == (3, 1)
    recorder.close()
    pod.look()
    assert value(pod_of(place)) == 3


def test_undelivered_records_of_the_dead_take_bounded_room(place: folder.Folder) -> None:
    """D4: the oldest are dropped, and counted."""
    pod = pod_of(place, backlog=3 * SMALLEST_BYTES)
    for number in range(6):
        recorder = worker(place, 1)
        for _ in range(2):
            recorder.ring.write(RECORD_SPAN, 1, bytes([number]))
        recorder.close()
        pod.look()
    assert pod.backlog_dropped == 8
    assert 2 * SMALLEST_BYTES < pod.backlog_bytes <= 3 * SMALLEST_BYTES
    assert pod.counted("folded") == 6
    assert drain(pod) == [b"\4", b"\4", b"\5", b"\5"]
    assert value(pod) == 6


def test_what_the_headers_of_the_gone_counted_stays_counted(place: folder.Folder) -> None:
    recorder = worker(place, 1)
    recorder.ring.write(RECORD_SPAN, 1, bytes(SMALLEST_BYTES))
    recorder.store.note_guarded(4)
    pod = pod_of(place)
    assert (pod.counted("large"), pod.counted("guarded")) == (1, 4)
    recorder.close()
    pod.look()
    assert (pod.counted("large"), pod.counted("guarded"), place.names()) == (1, 4, [])


def test_a_lock_without_files_is_removed_when_nobody_holds_it(place: folder.Folder) -> None:
    os.close(files.create(place.lock_of("0-1"), 0))
    pod_of(place)
    assert place.names() == []
