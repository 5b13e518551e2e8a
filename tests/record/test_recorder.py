"""The files of a process: published whole, given up whole."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from otelc2c.record import files, folder
from otelc2c.record.cells import memory_of
from otelc2c.record.layout import RECORD_SPAN
from otelc2c.record.recorder import Recorder
from otelc2c.record.ring import SMALLEST_BYTES
from otelc2c.record.ring_reader import RingReader


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[folder.Folder]:
    made = folder.create([str(tmp_path)], 0)
    yield made
    made.leave()


def never(sentence: str) -> None:
    raise AssertionError(sentence)


def test_an_open_recorder_is_found_locked_and_can_be_read(pod: folder.Folder) -> None:
    recorder = Recorder(pod, SMALLEST_BYTES, never)
    recorder.open()
    assert pod.names() == [recorder.name]
    assert files.is_held(pod.lock_of(recorder.name))
    recorder.ring.write(RECORD_SPAN, 1, b"span")
    reader = RingReader.open(pod.ring_of(recorder.name))
    reader.look()
    assert [payload for group in reader.take(9).groups.values() for payload in group] == [b"span"]
    recorder.close()
    assert not files.is_held(pod.lock_of(pod.names()[0]))


def test_a_child_publishes_files_of_its_own(pod: folder.Folder) -> None:
    recorder = Recorder(pod, SMALLEST_BYTES, never)
    recorder.open()
    name = recorder.name
    recorder.ring.write(RECORD_SPAN, 1, b"parent")
    child = os.fork()
    if not child:
        recorder.restart()
        recorder.ring.write(RECORD_SPAN, 1, b"child")
        os._exit(0 if recorder.published and recorder.name != name else 1)
    assert os.waitpid(child, 0)[1] == 0
    (its_name,) = set(pod.names()) - {name}
    assert files.is_held(pod.lock_of(name))
    assert not files.is_held(pod.lock_of(its_name))
    for owner, payload in ((name, b"parent"), (its_name, b"child")):
        reader = RingReader.open(pod.ring_of(owner))
        reader.look()
        assert [payload for group in reader.take(9).groups.values() for payload in group] == [payload]


def test_a_smaller_ring_is_taken_where_there_is_no_room_for_a_large_one(
    pod: folder.Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.reserve

    def reserve(fd: int, offset: int, size: int) -> None:
        if size > 512 * 1024:
            raise OSError(28, "No space left on device")
        real(fd, offset, size)

    monkeypatch.setattr(files, "reserve", reserve)
    recorder = Recorder(pod, 1024 * 1024, never)
    recorder.open()
    assert recorder.ring.capacity * 8 == 256 * 1024


def test_without_room_nothing_is_left_behind_and_recording_goes_on_unseen(
    pod: folder.Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-60: one line, no telemetry, and the application runs."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "reserve", full)
    said: list[str] = []
    recorder = Recorder(pod, SMALLEST_BYTES, said.append)
    recorder.open()
    assert not recorder.published
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert set(os.listdir(pod.path)) == {"alive", "relay.lock"}
    assert not recorder.ring.write(RECORD_SPAN, 1, b"x")


def test_without_a_folder_numbers_stay_in_this_process() -> None:
    recorder = Recorder(None, SMALLEST_BYTES, never)
    recorder.open()
    recorder.restart()
    assert not recorder.published


def test_closing_leaves_the_numbers_for_the_relay(pod: folder.Folder) -> None:
    recorder = Recorder(pod, 0, never)
    recorder.open()
    path = pod.cells_of(recorder.name)
    recorder.close()
    recorder.close()
    assert len(memory_of(path)) == 1
