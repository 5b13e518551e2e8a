"""The relay as a process: started, killed, ended; what it promises of spans and numbers."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otelc2c.record import files
from otelc2c.record.folder import Folder
from tests.sink import Sink, metrics_of, spans_of

ROOT = Path(__file__).parents[2]


def until(what: Callable[[], object], timeout: float = 10.0) -> object:
    """What `what` gives as soon as it is true; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (found := what()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return found


class Recording:
    """The process of `tests.relay.recording`, and its relay."""

    def __init__(self, place: Path, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.relay.recording"],
            cwd=ROOT,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("OTEL")},
                "OTELC2C_FOLDER": str(place),
                "OTEL_METRICS_EXPORTER": "none",
                **environ,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.folder = Folder(self.process.stdout.readline().strip())

    def tell(self, *lines: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for line in lines:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "done\n"

    def end(self) -> str:
        """End it in good order; returns what was said on standard error."""
        return self.process.communicate(timeout=20)[1]

    def relays(self) -> list[int]:
        """Pids of the supervisor and the relay of this folder."""
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if entry.isdigit() and self.folder.path in Path(f"/proc/{entry}/cmdline").read_text():
                    found.append(int(entry))
        return sorted(found)

    def relay(self) -> int:
        """The relay itself: the younger of the two."""
        pids = until(lambda: pids if len(pids := self.relays()) == 2 else None)
        assert isinstance(pids, list)
        return int(max(pids))


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Callable[..., Recording]]:
    started: list[Recording] = []

    def start(**environ: str) -> Recording:
        started.append(Recording(tmp_path, **environ))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()
        until(lambda one=one: not one.relays())  # type: ignore[misc]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


STARTED = "otelc2c_relay_starts_total"


def otlp(sink: Sink) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": sink.traces}


def names(sink: Sink) -> list[str]:
    return [received.span.name for received in spans_of(sink.received())]


def page(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def value(text: str, name: str) -> float:
    found = re.search(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else -1.0


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_finished_span_is_sent_within_a_second(recording: Callable[..., Recording], sink: Sink) -> None:
    one = recording(**otlp(sink))
    until(lambda: files.is_held(one.folder.relay_lock))
    begun = time.monotonic()
    one.tell("span first")
    assert sink.wait(lambda: names(sink) == ["first"])
    # The promise is a second; the rest is for a machine that is busy with other tests.
    assert time.monotonic() - begun < 2.5


def test_the_end_of_the_process_waits_until_everything_arrived(
    recording: Callable[..., Recording], sink: Sink
) -> None:
    """relay 4: in a container the end of process 1 ends all."""
    one = recording(**otlp(sink))
    one.tell(*(f"span {number}" for number in range(100)))
    assert one.end() == ""
    assert sorted(names(sink), key=int) == [str(number) for number in range(100)]
    until(lambda: not os.path.exists(one.folder.path))


@pytest.mark.parametrize("asked", ["false", "true"])
def test_the_relay_s_own_numbers_are_pushed_if_they_are_asked_for(
    recording: Callable[..., Recording], sink: Sink, asked: str
) -> None:
    """OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED, as in the SDK."""
    variables = {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": sink.metrics,
        "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": asked,
    }
    one = recording(**otlp(sink), **variables)
    one.tell("count 5")
    one.end()
    pushed = {metric.name for _, _, metric in metrics_of(sink.received())}
    assert "recorded" in pushed
    assert ("otelc2c.relay.starts" in pushed) == (asked == "true")


def test_spans_of_killed_processes_arrive_once(recording: Callable[..., Recording], sink: Sink) -> None:
    """F-04: kill -9 loses no finished span."""
    one = recording(**otlp(sink))
    one.tell(*["fork"] * 20)
    one.end()
    assert sink.span_counts.total() == 20
    assert set(sink.span_counts.values()) == {1}


def test_the_relay_ends_after_its_process_was_killed(recording: Callable[..., Recording], sink: Sink) -> None:
    """F-05: and sends the rest before."""
    one = recording(**otlp(sink))
    one.tell("span last")
    one.process.kill()
    until(lambda: not one.relays())
    assert names(sink) == ["last"]
    assert not os.path.exists(one.folder.path)


def test_a_killed_relay_is_back_within_a_second_and_forgets_nothing(
    recording: Callable[..., Recording], sink: Sink
) -> None:
    """relay 2: killed relays lose nothing; counters of the page never go down."""
    port = free_port()
    one = recording(
        **otlp(sink),
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_PROMETHEUS_PORT=str(port),
    )
    exported = r"otel_sdk_exporter_span_exported_total"
    for number in range(3):
        one.tell("count 5", "fork", f"span {number}")
        until(lambda number=number: value(page(port), exported) == 2 * (number + 1))  # type: ignore[misc]
        assert value(page(port), "recorded_total") == 6 * (number + 1)
        killed = one.relay()
        os.kill(killed, signal.SIGKILL)
        begun = time.monotonic()
        # Other threads of a process that is being killed may answer once more.
        until(lambda number=number: value(page(port), STARTED) == number + 2)  # type: ignore[misc]
        assert time.monotonic() - begun < 2.0
        assert killed not in one.relays()
        text = page(port)
        assert value(text, "recorded_total") == 6 * (number + 1)
        assert value(text, exported) >= 2 * (number + 1)
    one.end()
    assert set(sink.span_counts.values()) == {1}
    assert sink.span_counts.total() == 6


def test_a_relay_and_its_supervisor_that_are_killed_are_started_at_the_next_fork(
    recording: Callable[..., Recording], sink: Sink
) -> None:
    one = recording(**otlp(sink))
    pids = until(lambda: pids if len(pids := one.relays()) == 2 else None)
    assert isinstance(pids, list)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not files.is_held(one.folder.relay_lock))
    one.tell("span kept")

    def started_by_a_fork() -> bool:
        one.tell("fork")
        return files.is_held(one.folder.relay_lock)

    until(started_by_a_fork)
    until(lambda: set(names(sink)) == {"kept", "of a child"})


def test_signals_of_the_server_do_not_end_the_relay(recording: Callable[..., Recording], sink: Sink) -> None:
    one = recording(**otlp(sink))
    relay = one.relay()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        for pid in one.relays():
            os.kill(pid, number)
    one.tell("span after")
    assert sink.wait(lambda: names(sink) == ["after"])
    assert relay in one.relays()


@pytest.mark.parametrize("behaviour", ["frozen", "refusing", "unavailable", "slow"])
def test_a_receiver_in_trouble_does_not_keep_the_process_from_ending(
    recording: Callable[..., Recording], sink: Sink, behaviour: str
) -> None:
    """F-03, F-21 to F-23, T49: at most three seconds, and the loss is said once."""
    sink.become(behaviour)
    one = recording(**otlp(sink))
    one.tell(*["span lost"] * 10)
    begun = time.monotonic()
    said = one.end()
    assert time.monotonic() - begun < 4.5
    until(lambda: not one.relays())
    lost = "10 spans could not be delivered before the end and are lost" in said
    assert lost == (behaviour != "slow")


def test_a_second_pod_on_the_same_port_waits_for_it(recording: Callable[..., Recording]) -> None:
    """relay 6: it goes on without a page, says so, and takes the port when it is free."""
    port = free_port()
    environ = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
    first = recording(**environ)
    first.tell("count 1")
    until(lambda: value(page(port), "recorded_total") == 1)
    second = recording(**environ)
    second.tell("count 2")
    assert second.process.stderr is not None
    assert "no metrics page" in second.process.stderr.readline()
    first.end()
    until(lambda: value(page(port), "recorded_total") == 2)


def test_the_relay_keeps_no_descriptor_of_the_server(
    recording: Callable[..., Recording], tmp_path: Path, sink: Sink
) -> None:
    """A server's listening sockets are inheritable; the relay must not keep the port open."""
    one = recording(**otlp(sink))
    relay = one.relay()
    targets = [os.readlink(f"/proc/{relay}/fd/{fd}") for fd in os.listdir(f"/proc/{relay}/fd")]
    assert not [target for target in targets if str(ROOT) in target]
    assert os.readlink(f"/proc/{relay}/cwd") == "/"


def test_the_page_is_there_without_any_exporter_of_spans(recording: Callable[..., Recording]) -> None:
    port = free_port()
    one = recording(OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=str(port))
    one.tell("count 3", "span nowhere")
    until(lambda: value(page(port), "recorded_total") == 3)
    assert one.end() == ""


def test_a_relay_in_a_thread_does_the_same(recording: Callable[..., Recording], sink: Sink) -> None:
    """D4: where a second process cannot be had."""
    one = recording(**otlp(sink), OTELC2C_RELAY="thread")
    one.tell("span in a thread", "count 1")
    assert one.relays() == []
    one.end()
    assert names(sink) == ["in a thread"]
