"""The doctor: one table, real connections with a limit, and an exit code that can be relied on."""

import io
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from otelc2c.scripts import doctor as module
from otelc2c.scripts.doctor import doctor, render
from otelc2c.scripts.main import main


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def listening() -> Iterator[int]:
    """A port on which something accepts connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


def examine(**environ: str) -> tuple[int, str]:
    """Exit code and table of the doctor; nothing is instrumented, so that only the rest speaks."""
    out = io.StringIO()
    asked = {
        "OTELC2C_INSTRUMENTATIONS": "none",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        "OTEL_PYTHON_DISTRO": "otelc2c",
        **environ,
    }
    code = doctor(asked, out)
    return code, out.getvalue()


def row(table: str, start: str) -> str:
    (found,) = [line for line in table.splitlines() if line.strip().startswith(start)]
    return re.sub(r"  +", " | ", found.strip())


def test_a_start_that_works_is_0() -> None:
    code, table = examine(OTEL_SERVICE_NAME="shop")
    assert code == 0
    assert row(table, "OTEL_SERVICE_NAME") == "OTEL_SERVICE_NAME | set | shop"
    assert row(table, "OTEL_BSP_SCHEDULE_DELAY") == "OTEL_BSP_SCHEDULE_DELAY | default | 1 s"
    assert row(table, "numbers") == "numbers | prometheus | http://localhost:(any free port)/metrics"
    assert row(table, "folder of the pod").startswith("folder of the pod | works | can be made in /")
    assert "Problems" not in table
    assert "OTEL_EXPORTER_OTLP_TRACES" not in table


def test_a_wrong_setting_is_1() -> None:
    code, table = examine(OTELC2C_RELAY="x")
    assert code == 1
    assert row(table.partition("Problems")[2], "OTELC2C_RELAY").startswith("OTELC2C_RELAY | must be one of")


def test_secrets_and_users_are_masked() -> None:
    port = str(free_port())
    _, table = examine(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://user:hunter2@127.0.0.1:{port}",
        OTEL_EXPORTER_OTLP_HEADERS="authorization=hunter2",
    )
    assert "hunter2" not in table
    assert "authorization=***" in table
    assert f"http://***@127.0.0.1:{port}/v1/traces" in table


def test_a_receiver_that_listens_is_reachable(listening: int) -> None:
    code, table = examine(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{listening}")
    assert code == 0
    assert row(table, "OTLP spans") == f"OTLP spans | works | 127.0.0.1:{listening} is reachable"
    assert row(table, "OTLP numbers").startswith("OTLP numbers | works")


def test_a_receiver_that_is_not_there_is_1() -> None:
    code, table = examine(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert code == 1
    assert "Connection refused" in row(table, "OTLP spans")


def test_a_host_without_an_address_is_1() -> None:
    code, table = examine(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://no-such-host.invalid:4318")
    assert code == 1
    assert row(table, "OTLP spans").startswith("OTLP spans | FAILS | no-such-host.invalid:4318: ")


def test_installed_instrumentations_are_looked_at() -> None:
    _, table = examine(OTELC2C_INSTRUMENTATIONS="")
    assert row(table, "otelc2c_pyramid").startswith("otelc2c_pyramid | ")


def test_nothing_is_served_without_a_relay() -> None:
    _, table = examine(OTELC2C_RELAY="off")
    assert "page of numbers" not in table


def test_a_receiver_that_does_not_answer_costs_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch, listening: int
) -> None:
    """A full backlog leaves a connection without an answer, as a firewall does."""
    monkeypatch.setattr(module, "LIMIT", 0.1)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        held = [socket.socket() for _ in range(4)]
        for client in held:
            client.setblocking(False)
            client.connect_ex(address)
        begun = time.monotonic()
        code, table = examine(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{address[1]}")
        for client in held:
            client.close()
    assert code == 1
    assert "timed out" in row(table, "OTLP spans")
    # The limit is a tenth of a second here; the system would go on for minutes.
    assert time.monotonic() - begun < 5
    assert listening


def test_a_port_that_somebody_else_has_is_1(listening: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 0.1)
    code, table = examine(
        OTEL_EXPORTER_PROMETHEUS_PORT=str(listening), OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1"
    )
    assert code == 1
    assert row(table, "page of numbers").startswith(f"page of numbers | FAILS | 127.0.0.1:{listening}: ")


class Page(BaseHTTPRequestHandler):
    """A page of numbers as a pod of ours serves it."""

    def do_GET(self) -> None:
        body = b'target_info{telemetry_distro_name="otelc2c"} 1\n'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""


def test_a_port_that_a_running_pod_of_ours_has_is_right() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        port = str(server.server_port)
        code, table = examine(OTEL_EXPORTER_PROMETHEUS_PORT=port, OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1")
        thread.join()
    assert code == 0
    assert (
        row(table, "page of numbers")
        == f"page of numbers | works | 127.0.0.1:{port} is served by a running otelc2c"
    )


def test_the_folder_is_tried_and_removed(tmp_path: Path) -> None:
    code, table = examine(OTELC2C_FOLDER=str(tmp_path))
    assert code == 0
    assert row(table, "folder of the pod").endswith(f"can be made in {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_1() -> None:
    code, table = examine(OTELC2C_FOLDER="/no/such/folder")
    assert code == 1
    assert "FAILS" in row(table, "folder of the pod")


def test_a_disabled_sdk_is_checked_no_further() -> None:
    code, table = examine(OTEL_SDK_DISABLED="true", OTELC2C_FOLDER="/no/such/folder")
    assert code == 0
    assert "Checks" not in table


def test_text_that_cannot_be_written_is_escaped() -> None:
    code, table = examine(OTEL_SERVICE_NAME="a\udc80b")
    assert code == 0
    assert r"a\udc80b" in table


def test_an_unknown_propagator_is_reported_although_the_api_cannot_be_imported_with_it() -> None:
    """F-31: stock does not start at all, and names no variable (faults, table 2.3)."""
    environ = {
        "OTEL_PROPAGATORS": "nonsense,baggage",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        "OTELC2C_INSTRUMENTATIONS": "none",
    }
    command = [sys.executable, "-m", "otelc2c.scripts.main", "doctor"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert row(done.stdout.partition("Problems")[2], "OTEL_PROPAGATORS").startswith(
        "OTEL_PROPAGATORS | 'nonsense' is not installed"
    )
    assert "Traceback" not in done.stderr


def test_table_columns_are_aligned_and_empty_sections_left_out() -> None:
    text = render(("One", [("a", "b"), ("long", "c")]), ("Empty", []), ("Two", [("x",)]))
    assert text == "One\n  a     b\n  long  c\n\nTwo\n  x\n"


def test_the_command_runs_the_doctor_on_the_environment() -> None:
    command = [sys.executable, "-m", "otelc2c.scripts.main", "doctor"]
    done = subprocess.run(
        command, env={"OTEL_SDK_DISABLED": "true"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert row(done.stdout, "OTEL_SDK_DISABLED") == "OTEL_SDK_DISABLED | set | true"


def test_the_demo_gets_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[list[str]] = []

    def demo(arguments: list[str]) -> int:
        got.append(arguments)
        return 7

    stand_in = ModuleType("otelc2c.scripts.demo")
    monkeypatch.setattr(stand_in, "demo", demo, raising=False)
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    assert main(["demo", "--port", "1"]) == 7
    assert got == [["--port", "1"]]


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["doctor", "--fast"]])
def test_wrong_arguments_are_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: otelc2c" in capsys.readouterr().err
