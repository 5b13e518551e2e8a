"""Who lives and who is busy, from what the processes wrote themselves."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from otelc2c import catalog
from otelc2c.record import folder
from otelc2c.record.layout import ROLE_SERVER, ROLE_UNKNOWN, ROLE_WORKER
from otelc2c.record.own import OwnUpDownCounter
from otelc2c.record.recorder import Recorder
from otelc2c.relay.pod import Pod
from otelc2c.relay.processes import SERVER, WORKER
from otelc2c.relay.workforce import Workforce


def never(sentence: str) -> None:
    raise AssertionError(sentence)


class Place:
    """A pod's folder, and processes in it."""

    def __init__(self, where: folder.Folder) -> None:
        self.folder = where
        self.pod = Pod(where, 2000, 1 << 30)
        self.workforce = Workforce(self.pod)

    def process(self, role: int, *active: int) -> Recorder:
        """One that answers so many requests, by scheme."""
        recorder = Recorder(self.folder, 0, never)
        recorder.open()
        recorder.store.note_role(role)
        counter = OwnUpDownCounter(recorder.store, catalog.HTTP_SERVER_ACTIVE_REQUESTS)
        for scheme, value in zip(("http", "https"), active, strict=False):
            counter.cell(("GET", scheme)).add(value)
        return recorder

    def values(self) -> dict[str, float]:
        """What is told now, by the last words of its name."""
        self.pod.look()
        self.pod.families()
        found = {}
        for family in self.workforce.families():
            (point,) = family.points
            assert isinstance(point.value, int | float)
            found[family.instrument.name.removeprefix("otelc2c.gunicorn.")] = point.value
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = folder.create([str(tmp_path)], 0)
    yield Place(made)
    made.leave()


def test_busy_are_workers_that_answer_at_least_one_request(place: Place) -> None:
    idle, one = place.process(ROLE_WORKER, 0), place.process(ROLE_WORKER, 1)
    many, server = place.process(ROLE_WORKER, 3, 2), place.process(ROLE_SERVER, 1)
    told = place.values()
    assert (told["workers.alive"], told["workers.busy"]) == (3, 2)
    assert 0 <= told["worker.age"] < 60
    many.close()
    told = place.values()
    assert (told["workers.alive"], told["workers.busy"]) == (2, 1)
    assert [worker.in_flight() for worker in place.pod.members()] == [0, 1, 1]
    assert idle.published
    assert one.published
    assert server.published


def test_a_worker_that_begins_a_request_later_is_busy_then(place: Place) -> None:
    worker = place.process(ROLE_WORKER)
    assert place.values()["workers.busy"] == 0
    cell = OwnUpDownCounter(worker.store, catalog.HTTP_SERVER_ACTIVE_REQUESTS).cell(("GET", "http"))
    cell.add(1)
    assert place.values()["workers.busy"] == 1
    cell.add(-1)
    assert place.values()["workers.busy"] == 0


def test_without_a_worker_of_gunicorn_nothing_is_told_and_after_one_none_is(place: Place) -> None:
    server = place.process(ROLE_SERVER, 1)
    assert place.values() == {}
    worker = place.process(ROLE_WORKER, 1)
    assert place.values()["workers.busy"] == 1
    worker.close()
    assert place.values() == {"workers.alive": 0, "workers.busy": 0}
    assert server.published


def test_members_are_the_living_with_their_role_and_their_id_here(place: Place) -> None:
    """What answers requests is a worker, whoever made it."""
    recorders = [
        place.process(ROLE_SERVER),
        place.process(ROLE_WORKER),
        place.process(ROLE_UNKNOWN, 0),
        place.process(ROLE_UNKNOWN),
    ]
    ended = place.process(ROLE_WORKER)
    ended.close()
    place.values()
    members = place.workforce.members()
    assert [one.role for one in members] == [SERVER, WORKER, WORKER, ""]
    assert [one.name for one in members] == [one.name for one in recorders]
    # The lock is held by this very process, four times.
    assert {one.pid for one in members} == {os.getpid()}


def test_a_fork_has_the_role_that_it_was_made_for_and_its_own_forks_have_none(tmp_path: Path) -> None:
    recorder = Recorder(None, 0, never)
    store = recorder.store
    store.note_role(ROLE_SERVER)
    store.role_of_forks = ROLE_WORKER
    store.restart(str(tmp_path / "worker.cells"))
    assert (store._role, store.role_of_forks) == (ROLE_WORKER, ROLE_UNKNOWN)
    store.restart(str(tmp_path / "child.cells"))
    assert store._role == ROLE_UNKNOWN
    store.close()
