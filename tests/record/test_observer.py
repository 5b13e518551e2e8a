"""The one thread that asks asynchronous instruments: when it is there, and what forks do to it."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation

from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.meter import MeterProvider
from otelc2c.record.observer import Observer
from otelc2c.record.points import Instrument, Scope
from otelc2c.record.registry import Registry
from otelc2c.record.views import Views
from otelc2c.record.watched import Watched

ROOT = Path(__file__).parents[2]
NEVER = 3600.0


@pytest.fixture
def store() -> Store:
    """A store of this test alone."""
    return Store.open_private()


@pytest.fixture
def make(store: Store) -> Iterator[Callable[..., MeterProvider]]:
    """Makes providers that are ended with the test."""
    made: list[MeterProvider] = []

    def build(**arguments: Any) -> MeterProvider:
        made.append(MeterProvider(store, **{"observe_interval": NEVER, **arguments}))
        return made[-1]

    yield build
    for provider in made:
        if not provider._closed:
            provider.shutdown()


def told(store: Store) -> dict[str, Any]:
    """The value of each metric's first point."""
    return {family.instrument.name: family.points[0].value for family in families_of(store)}


@pytest.fixture
def threads() -> Callable[[], int]:
    """Counts the observers' threads that began in this test; those of another test may end meanwhile."""
    before = set(threading.enumerate())

    def began() -> int:
        return sum(
            thread.name == "otelc2c-observer" for thread in threading.enumerate() if thread not in before
        )

    return began


class Callback:
    """A callback that says how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.was_asked = threading.Event()

    def __call__(self, _: CallbackOptions) -> list[Observation]:
        """One more."""
        self.asked += 1
        self.was_asked.set()
        return [Observation(self.asked)]


def test_there_is_no_thread_until_an_asynchronous_instrument_is_registered(
    make: Callable[..., MeterProvider], threads: Callable[[], int]
) -> None:
    """And then one, however many instruments there are (must hold 11)."""
    meter = make().get_meter("m")
    meter.create_counter("c").add(1)
    assert threads() == 0
    meter.create_observable_gauge("g", [Callback()])
    meter.create_observable_counter("o", [Callback()])
    assert threads() == 1


def test_callbacks_are_asked_at_the_interval(make: Callable[..., MeterProvider], store: Store) -> None:
    """Without anybody asking for it."""
    callback = Callback()
    provider = make(observe_interval=0.01)
    provider.get_meter("m").create_observable_gauge("g", [callback])
    assert callback.was_asked.wait(10)
    callback.was_asked.clear()
    assert callback.was_asked.wait(10)
    provider.shutdown()
    assert told(store) == {"g": callback.asked}


def test_the_same_instrument_twice_is_asked_once(make: Callable[..., MeterProvider], store: Store) -> None:
    """The second registration is the first."""
    callback = Callback()
    provider = make()
    for _ in range(2):
        provider.get_meter("m").create_observable_gauge("g", [callback])
    assert provider.observer.observe_now()
    assert callback.asked == 1


def test_the_end_looks_a_last_time(
    make: Callable[..., MeterProvider], store: Store, threads: Callable[[], int]
) -> None:
    """And leaves no thread."""
    callback = Callback()
    provider = make()
    provider.get_meter("m").create_observable_gauge("g", [callback])
    provider.shutdown()
    assert told(store) == {"g": 1}
    assert threads() == 0
    assert not provider.observer.observe_now()


def test_a_callback_that_hangs_keeps_nobody_for_ever(
    make: Callable[..., MeterProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for a look, forks or ends goes on after the time it has."""
    monkeypatch.setattr("otelc2c.record.observer.FORK_WAITS", 0.01)
    monkeypatch.setattr("otelc2c.record.observer.END_WAITS", 0.01)
    entered, leave = threading.Event(), threading.Event()

    def hangs(_: CallbackOptions) -> list[Observation]:
        entered.set()
        leave.wait(30)
        return []

    provider = make(observe_interval=0.01, observe_works=lambda: True)
    provider.get_meter("m").create_observable_gauge("g", [hangs])
    assert entered.wait(10)
    assert not provider.observer.observe_now(0.01)
    provider.observer.before_fork()
    provider.observer.after_fork_in_parent()
    provider.shutdown()
    leave.set()


def test_a_callback_that_looks_itself_does_not_wait_for_itself(make: Callable[..., MeterProvider]) -> None:
    """Nor does one that forks."""
    results: list[object] = []
    provider = make(observe_works=lambda: True)

    def looks(_: CallbackOptions) -> list[Observation]:
        results.append(provider.observer.observe_now())
        provider.observer.before_fork()
        provider.observer.after_fork_in_parent()
        return []

    provider.get_meter("m").create_observable_gauge("g", [looks])
    assert provider.observer.observe_now()
    assert results == [False]


def test_where_it_is_not_to_observe_it_does_not(make: Callable[..., MeterProvider], store: Store) -> None:
    """A process that is known to be a master leaves it to its children."""
    provider = make(observe_here=lambda: False)
    provider.get_meter("m").create_observable_gauge("g", [Callback()])
    assert not provider.observer.running
    assert not provider.observer.observe_now()
    assert told(store) == {}


class TestFork:
    """What a fork does, each side by itself."""

    @pytest.fixture
    def provider(self, make: Callable[..., MeterProvider]) -> MeterProvider:
        """One that observes a gauge, a counter and a sum."""
        made = make()
        meter = made.get_meter("m")
        meter.create_observable_gauge("g", [lambda _: [Observation(1)]])
        meter.create_observable_counter("c", [lambda _: [Observation(2)]])
        meter.create_observable_up_down_counter("u", [lambda _: [Observation(3)]])
        assert made.observer.observe_now()
        return made

    def test_no_callback_runs_while_the_process_forks(self, provider: MeterProvider) -> None:
        """A look waits until the fork is over."""
        observer = provider.observer
        observer._works = lambda: True
        observer.before_fork()
        looked = threading.Event()

        def look() -> None:
            observer.observe_now()
            looked.set()

        other = threading.Thread(target=look)
        other.start()
        assert not looked.wait(0.05)
        observer.after_fork_in_parent()
        assert looked.wait(10)
        other.join()

    def test_a_master_stops_and_takes_back_what_it_observed(
        self, provider: MeterProvider, store: Store
    ) -> None:
        """Its children observe the same callbacks, and sums would be doubled."""
        provider.observer.before_fork()
        provider.observer.after_fork_in_parent()
        assert not provider.observer.running
        assert {name: value for name, value in told(store).items() if value} == {}
        provider.get_meter("m").create_observable_gauge("late", [lambda _: [Observation(1)]])
        assert not provider.observer.running

    def test_who_does_the_work_goes_on_and_its_child_observes_only_its_own(
        self, make: Callable[..., MeterProvider], store: Store
    ) -> None:
        """A pool of processes inside a worker does not multiply the worker's numbers."""
        observer = make(observe_works=lambda: True).observer
        observer.add(_watched(store, Callback()))
        observer.before_fork()
        observer.after_fork_in_parent()
        assert observer.observe_now()
        observer.before_fork()
        observer.after_fork_in_child()
        assert not observer.running
        mine = Callback()
        observer.add(_watched(store, mine))
        assert observer.observe_now()
        assert mine.asked == 1

    def test_a_daemon_observes_what_was_registered_before_it_became_one(
        self, make: Callable[..., MeterProvider], store: Store
    ) -> None:
        """It forks twice, and whoever has forked ends."""
        observer = make().observer
        callback = Callback()
        observer.add(_watched(store, callback))
        for _ in range(2):
            observer.before_fork()
            observer.after_fork_in_child()
        assert observer.observe_now()
        assert callback.asked == 1

    def test_a_master_that_is_known_leaves_everything_to_its_children(
        self, make: Callable[..., MeterProvider], store: Store
    ) -> None:
        """Also where it was forked itself."""
        master = True
        observer = make(observe_here=lambda: not master).observer
        callback = Callback()
        observer.add(_watched(store, callback))
        observer.before_fork()
        observer.after_fork_in_parent()
        assert not observer.running
        master = False
        observer.before_fork()
        observer.after_fork_in_child()
        assert observer.observe_now()
        assert callback.asked == 1


def _watched(store: Store, callback: Callback) -> Watched:
    """An instrument outside of any meter."""
    registry = Registry(store, Views(), 10, None, Observer())
    return Watched("w", [callback], registry.feed(Instrument(Scope("m"), "w", "observable_gauge")))


PREFORK = """
import json, os, sys, threading
from opentelemetry.metrics import Observation
from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.meter import MeterProvider

store = Store.open_private()
os.register_at_fork(after_in_child=lambda: store.restart(None))
provider = MeterProvider(store, observe_interval=0.01)
asked = threading.Event()

def callback(_):
    asked.set()
    return [Observation(os.getpid())]

provider.get_meter("m").create_observable_up_down_counter("pid", [callback])
asked.wait(10)

def state():
    values = [point.value for family in families_of(store) for point in family.points]
    threads = sum(thread.name == "otelc2c-observer" for thread in threading.enumerate())
    return {"values": [value for value in values if value], "pid": os.getpid(), "threads": threads}

read, write = os.pipe()
for _ in range(2):
    child = os.fork()
    if child == 0:
        asked.clear()
        asked.wait(10)
        provider.shutdown()
        provider.observer.close()
        os.write(write, json.dumps(state()).encode() + b"\\n")
        os._exit(0)
    os.waitpid(child, 0)
os.write(write, json.dumps({**state(), "running": provider.observer.running}).encode())
os.close(write)
print(os.fdopen(read).read())
"""


def test_callbacks_registered_before_the_fork_are_observed_in_each_worker_alone() -> None:
    """As with gunicorn's --preload: the master stops, every child has a thread of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", PREFORK], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    one, other, master = (json.loads(line) for line in ended.stdout.split("\n") if line)
    assert one["values"] == [one["pid"]]
    assert other["values"] == [other["pid"]]
    assert master["values"] == []
    assert not master["running"]


GEVENT = """
from gevent import monkey
monkey.patch_all()
import threading
from opentelemetry.metrics import Observation
from otelc2c.record.cells import Store
from otelc2c.record.meter import MeterProvider

real = monkey.get_original("threading", "get_ident")
asked = threading.Event()
where = []

def callback(_):
    where.append(real())
    asked.set()
    return [Observation(1)]

provider = MeterProvider(Store.open_private(), observe_interval=0.01)
provider.get_meter("m").create_observable_gauge("g", [callback])
asked.wait(10)
provider.shutdown()
print(set(where) == {real()})
"""


def test_where_gevent_replaced_threads_the_observer_is_a_greenlet() -> None:
    """Callbacks then run in the one real thread there is."""
    pytest.importorskip("gevent")
    ended = subprocess.run(
        [sys.executable, "-c", GEVENT], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "True\n"


AT_EXIT = """
from opentelemetry.metrics import Observation
from otelc2c.record.cells import Store
from otelc2c.record.meter import MeterProvider

def callback(_):
    print("observed", flush=True)
    return [Observation(1)]

provider = MeterProvider(Store.open_private(), observe_interval=3600)
provider.get_meter("m").create_observable_gauge("g", [callback])
print("end", flush=True)
"""


def test_the_end_of_the_process_looks_a_last_time() -> None:
    """Without anybody having called for it."""
    ended = subprocess.run(
        [sys.executable, "-c", AT_EXIT], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "end\nobserved\n"


def test_an_observer_without_instruments_does_nothing() -> None:
    """Neither at a fork nor at the end."""
    observer = Observer()
    observer.before_fork()
    observer.after_fork_in_parent()
    observer.after_fork_in_child()
    observer.close()
    assert not observer.running
