"""What gunicorn does with its workers, and what the kernel knows of them, on the page of a real server."""

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.parts.install import NotHad
from tests.process.gunicorns import RELEASES, release_folder
from tests.process.page import total_of
from tests.process.server import BIN, ROOT, Server, free_port, gunicorn, kill, telemetry
from tests.process.waiting import until
from tests.process.workers import LEVEL, exits, get, hanging, level, shown

SMALL = "tests.process.small:application"


def test_every_end_of_a_worker_is_counted_with_its_reason(tmp_path: Path, page_port: int) -> None:
    """Killed by hand, silent for too long, replaced by HUP, surplus after TTOU: exactly those."""
    with gunicorn(tmp_path, telemetry(page_port), "--timeout", "2", workers=2) as server:
        first = server.wait_workers(2)
        assert level(server, "worker_spawned_total") == 2
        assert exits(server) == {}
        kill(first[0])
        wanted = {("signal", "SIGKILL"): 1}
        shown(server, wanted)
        server.wait_workers(2)
        with hanging(server.port, 1, 30):
            wanted["timeout", ""] = 1
            shown(server, wanted)
        before = server.wait_workers(2)
        kill(server.main.pid, signal.SIGHUP)
        until(lambda: not set(before) & set(server.wait_workers(2)), 15, "a new generation")
        wanted["reload", ""] = 2
        shown(server, wanted)
        kill(server.main.pid, signal.SIGTTIN)
        server.wait_workers(3)
        until(lambda: level(server, "workers_configured") == 3, 10, "three are configured")
        kill(server.main.pid, signal.SIGTTOU)
        server.wait_workers(2)
        wanted["surplus", ""] = 1
        shown(server, wanted)
        samples = server.page.samples()
        assert total_of(samples, f"{LEVEL}workers_alive") == 2
        assert total_of(samples, f"{LEVEL}workers_configured") == 2
        assert total_of(samples, f"{LEVEL}worker_spawned_total") == 2 + sum(wanted.values())
        lifetimes = total_of(samples, f"{LEVEL}worker_lifetime_seconds_count")
        assert lifetimes == sum(wanted.values())
        assert total_of(samples, "otelc2c_guard_swallowed_total") == 0


def test_recycled_workers_are_counted(tmp_path: Path, page_port: int) -> None:
    arguments = ("--max-requests", "5")
    with gunicorn(tmp_path, telemetry(page_port), *arguments, workers=1, application=SMALL) as server:
        for _ in range(15):
            assert get(server.port) == 200
        shown(server, {("recycled", ""): 3})
        assert level(server, "worker_spawned_total") == 4


def test_busy_workers_that_cannot_answer_are_counted_and_the_page_answers(
    tmp_path: Path, page_port: int
) -> None:
    with gunicorn(tmp_path, telemetry(page_port), workers=2) as server:
        server.wait_workers(2)
        until(lambda: level(server, "workers_alive") == 2, 10, "both are seen")
        assert level(server, "workers_busy") == 0
        assert level(server, "request_limit") == 2
        with hanging(server.port, 4, 3):
            until(lambda: level(server, "workers_busy") == 2, 10, "both are busy")
            samples = server.page.samples()
            assert total_of(samples, f"{LEVEL}workers_alive") == 2
            assert total_of(samples, "http_server_active_requests") == 2
            port = {"server_address": "127.0.0.1", "server_port": str(server.port)}
            until(lambda: server.page.total(f"{LEVEL}backlog", **port) == 2, 3, "two wait in the kernel")
            kill(server.workers()[0])
            until(lambda: level(server, "workers_busy") <= 2 and exits(server), 10, "one was killed")
        until(lambda: level(server, "workers_busy") == 0, 15, "none is busy any more")
        assert get(server.port, "/hello/you") == 200


def test_a_thread_that_hangs_makes_its_worker_busy(tmp_path: Path, page_port: int) -> None:
    with gunicorn(tmp_path, telemetry(page_port), workers=2, worker="gthread") as server:
        server.wait_workers(2)
        until(lambda: level(server, "request_limit") == 8, 10, "two workers with four threads")
        with hanging(server.port, 1, 2):
            until(lambda: level(server, "workers_busy") == 1, 10, "one is busy")
            assert level(server, "workers_alive") == 2


def test_a_master_that_takes_over_is_counted_with_the_old_one_while_both_live(
    tmp_path: Path, page_port: int
) -> None:
    """USR2, then the old one's end: nothing is lost and nothing falls."""
    pidfile = tmp_path / "pid"
    with gunicorn(tmp_path, telemetry(page_port), "--pid", str(pidfile), workers=1) as server:
        server.wait_workers(1)
        kill(server.main.pid, signal.SIGUSR2)
        second = tmp_path / "pid.2"
        until(second.exists, 20, "a second master")
        until(lambda: level(server, "workers_alive") == 2, 20, "a worker of each")
        assert level(server, "workers_configured") == 2
        assert level(server, "worker_spawned_total") == 2
        old = server.main
        assert server.end(signal.SIGTERM) < 10
        assert old.poll() == 0
        until(lambda: level(server, "workers_alive") == 1, 10, "the new one's worker")
        shown(server, {("stop", ""): 1})
        assert level(server, "workers_configured") == 1
        assert level(server, "worker_spawned_total") == 2


def test_a_worker_that_cannot_load_its_application_is_counted_by_the_relay(
    tmp_path: Path, page_port: int
) -> None:
    """The server ends; what it counted is exported at the end, which a console shows."""
    variables = telemetry(page_port, OTEL_METRICS_EXPORTER="console")
    server = gunicorn(tmp_path, variables, workers=1, application="tests.process.nowhere:application")
    server.start()
    assert server.main.wait(30) in (3, 4)
    until(lambda: server.processes() == [], 10, "the relay ends too")
    assert '"boot_error"' in server.printed()


def test_the_wait_before_the_server_is_told_in_either_unit(tmp_path: Path, page_port: int) -> None:
    """real-parts: nginx sends seconds with decimals, haproxy milliseconds. What is no time is left out."""
    with gunicorn(tmp_path, telemetry(page_port), workers=1) as server:
        begun = time.time() - 2
        for told in (f"t={begun:.3f}", f"t={begun * 1000:.0f}", "t=yesterday", f"t={begun - 4000:.3f}"):
            assert get(server.port, "/hello/you", **{"X-Request-Start": told}) == 200
        assert get(server.port, "/hello/you") == 200
        until(lambda: sum(server.page.requests().values()) == 5, 10, "all are counted")
        waits = "otelc2c_request_queue_duration_seconds"
        samples = server.page.samples()
        assert total_of(samples, f"{waits}_count", http_request_method="GET") == 2
        assert 4 <= total_of(samples, f"{waits}_sum") < 24


CPU = "process_cpu_time_seconds_total"


def cpu(server: Server, **labels: str) -> float:
    """Seconds of processor time."""
    return server.page.total(CPU, **labels)


def test_the_kernels_numbers_are_those_of_proc_and_outlive_a_worker(tmp_path: Path, page_port: int) -> None:
    with gunicorn(tmp_path, telemetry(page_port), workers=2, worker="gthread") as server:
        before = server.wait_workers(2)
        until(lambda: level(server, "workers_alive") == 2, 10, "both are seen")
        for _ in range(100):
            assert get(server.port, "/hello/you") == 200
        until(lambda: server.page.total("process_thread_count", otelc2c_role="worker") >= 2, 5, "threads")
        roles = {
            dict(labels)["otelc2c_role"]
            for name, labels in server.page.samples()
            if name == "process_memory_usage_bytes"
        }
        assert roles == {"server", "worker", "relay"}
        # Less than a tick of the kernel, because sums of fractions depend on the order of the addends.
        living = sum(one.cpu for one in server.processes() if one.pid in before) - 0.001
        # What proc told before was told a moment earlier than the page.
        until(lambda: cpu(server, otelc2c_role="worker") >= living, 5, "as much as they had used")
        assert cpu(server, otelc2c_role="worker") < living + 2
        resident = sum(rss(one) for one in before)
        assert server.page.total("process_memory_usage_bytes", otelc2c_role="worker") == pytest.approx(
            resident, rel=0.3
        )
        pss = server.page.total("otelc2c_process_memory_pss_bytes", otelc2c_role="worker")
        assert 0 < pss < resident
        assert server.page.total("process_unix_file_descriptor_count", otelc2c_role="server") > 5
        spent = cpu(server, otelc2c_role="worker")
        for pid in before:
            kill(pid)
        until(lambda: set(server.wait_workers(2)).isdisjoint(before), 10, "two others")
        assert cpu(server, otelc2c_role="worker") >= spent
        relay = server.relays()[0]
        spent = cpu(server, otelc2c_role="worker")
        kill(relay)
        until(lambda: server.relays() not in ([], [relay]), 10, "another relay")
        until(server.page.ready, 10, "its page")
        assert spent <= cpu(server, otelc2c_role="worker") < spent + 3


def rss(pid: int) -> int:
    """Resident bytes."""
    words = Path(f"/proc/{pid}/statm").read_text().split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE")


def test_each_worker_is_told_by_its_process_id_if_asked(tmp_path: Path, page_port: int) -> None:
    variables = telemetry(page_port, OTELC2C_PROCESS_METRICS="worker")
    with gunicorn(tmp_path, variables, workers=2, application=SMALL) as server:
        before = server.wait_workers(2)

        def told() -> set[int]:
            return {
                int(dict(labels)["process_pid"])
                for name, labels in server.page.samples()
                if name == "process_uptime_seconds" and dict(labels)["otelc2c_role"] == "worker"
            }

        until(lambda: told() == set(before), 10, "both")
        kill(before[0])
        until(lambda: len(told()) == 2 and before[0] not in told(), 10, "the other one and a new one")


def test_nothing_is_told_of_processes_if_not_asked(tmp_path: Path, page_port: int) -> None:
    variables = telemetry(page_port, OTELC2C_PROCESS_METRICS="off")
    with gunicorn(tmp_path, variables, workers=1, application=SMALL) as server:
        server.wait_workers(1)
        until(lambda: level(server, "workers_alive") == 1, 10, "gunicorn's numbers are there")
        names = {name for name, _ in server.page.samples()}
        assert not [name for name in names if name.startswith(("process_", "cpython_", "otelc2c_gc"))]


def test_the_collector_is_counted_in_workers(tmp_path: Path, page_port: int) -> None:
    application = "tests.process.hungry:application"
    with gunicorn(tmp_path, telemetry(page_port), workers=2, application=application) as server:
        server.wait_workers(2)
        until(lambda: level(server, "workers_alive") == 2, 10, "both are seen")
        before = server.page.total("cpython_gc_collections_total", cpython_gc_generation="2")
        for _ in range(20):
            assert get(server.port, "/collect") == 200
        samples = server.page.samples()
        counted = partial(total_of, samples, cpython_gc_generation="2")
        assert before + 20 <= counted("cpython_gc_collections_total") < before + 25
        assert counted("otelc2c_gc_pause_seconds_count") == counted("cpython_gc_collections_total")
        assert counted("otelc2c_gc_pause_seconds_sum") > 20 * 0.0001


@pytest.fixture(params=[min(RELEASES), max(RELEASES)])
def release(request: pytest.FixtureRequest) -> Path:
    """The folder of an older release. Without it the test is skipped, or fails if services are required."""
    version: str = request.param
    try:
        return release_folder(version, os.environ)
    except NotHad as why:
        strict = os.environ.get("REQUIRE_SERVICES") == "1"
        (pytest.fail if strict else pytest.skip)(f"gunicorn {version} could not be had: {why}")


def test_older_releases_are_counted_alike(tmp_path: Path, page_port: int, release: Path) -> None:
    port = free_port()
    options: list[Any] = ["--bind", f"127.0.0.1:{port}", "--workers", 2, "--max-requests", 30]
    command = [str(BIN / "gunicorn"), *map(str, options), "--timeout", "2"]
    places = {"PYTHONPATH": f"{release}{os.pathsep}{ROOT}", "HOME": str(tmp_path)}
    variables = telemetry(page_port, **places)
    application = "tests.process.application:make_application()"
    with Server([*command, application], tmp_path, variables, port=port) as server:
        kill(server.wait_workers(2)[0])
        wanted = {("signal", "SIGKILL"): 1}
        shown(server, wanted)
        with hanging(port, 1, 30):
            wanted["timeout", ""] = 1
            shown(server, wanted)
        before = server.wait_workers(2)
        kill(server.main.pid, signal.SIGHUP)
        until(lambda: not set(before) & set(server.wait_workers(2)), 15, "a new generation")
        wanted["reload", ""] = 2
        shown(server, wanted)
        for _ in range(59):
            get(port, "/hello/you")
        wanted["recycled", ""] = 1
        shown(server, wanted)
        samples = server.page.samples()
        assert total_of(samples, f"{LEVEL}worker_spawned_total") == 7
        assert total_of(samples, "otelc2c_guard_swallowed_total") == 0
