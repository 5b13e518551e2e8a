import os
import socket
import sys
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from otelc2c.demo import server
from otelc2c.demo.database import SHOWN, engine_at, oldest
from otelc2c.demo.gunicorn_conf import READY
from otelc2c.demo.server import NotServed, Server, free_port, program, variables


def test_a_port_that_is_taken_is_replaced() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        assert free_port(wanted) not in {0, wanted}
    assert free_port(wanted) == wanted


def test_the_service_gets_the_environment_of_the_caller_and_a_page() -> None:
    environ = {
        "PATH": "/bin",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTELC2C_POD": "/old",
        "GUNICORN_CMD_ARGS": "--workers 1",
    }
    given = variables(environ, 9999)
    assert given == {
        "PATH": "/bin",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_SERVICE_NAME": "tea-room",
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "9999",
    }
    assert variables({"OTEL_SERVICE_NAME": "mine"}, 1)["OTEL_SERVICE_NAME"] == "mine"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("none", "prometheus"),
        ("otlp", "otlp,prometheus"),
        ("prometheus", "prometheus"),
        ("console,prometheus", "console,prometheus"),
    ],
)
def test_the_page_comes_beside_the_exporters_that_were_asked_for(asked: str, given: str) -> None:
    assert variables({"OTEL_METRICS_EXPORTER": asked}, 1)["OTEL_METRICS_EXPORTER"] == given


def test_a_command_that_is_not_installed_is_told_with_what_to_install() -> None:
    with pytest.raises(NotServed, match=r"there is no gunicornd .* pip install 'otelc2c\[demo\]'"):
        program("gunicornd")


def test_the_order_book_is_made_before_the_service_is_started(tmp_path: Path) -> None:
    server.order_book(tmp_path / "book")
    engine = engine_at(tmp_path / "book")
    with Session(engine) as session:
        assert len(oldest(session)) == SHOWN
    engine.dispose()


def test_without_sqlalchemy_it_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "otelc2c.demo.database", None)
    with pytest.raises(NotServed, match=r"pip install 'otelc2c\[demo\]'"):
        server.order_book(tmp_path / "book")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is taken for the one beside Python."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    for name in ("opentelemetry-instrument", "gunicorn"):
        (tmp_path / name).write_text('#!/bin/sh\nexec sh "$(dirname "$0")/service"\n')
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_a_service_that_ends_at_start_is_told_with_what_it_printed(programs: Path) -> None:
    (programs / "service").write_text("echo the port is taken >&2; exit 1\n")
    one = Server(free_port(), free_port(), {"PATH": os.environ["PATH"]})
    with pytest.raises(NotServed, match="gunicorn ended at start:\nthe port is taken"), one:
        pass
    assert not one.log.parent.exists()


def test_a_service_is_there_when_all_its_workers_are(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that are sent earlier wait for a worker that is still loading the application."""
    monkeypatch.setattr(server, "START_SECONDS", 0.5)
    (programs / "service").write_text(f"echo {READY}; echo {READY}; exec sleep 60\n")
    with (
        pytest.raises(NotServed, match="2 of 3 workers are ready"),
        Server(free_port(), free_port(), {"PATH": os.environ["PATH"]}),
    ):
        pass


def test_a_service_without_page_is_given_up_and_ended(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "START_SECONDS", 0.2)
    (programs / "service").write_text(
        f"for n in 1 2 3; do echo {READY}; done; echo $$ > {programs}/pid; exec sleep 60\n"
    )
    with (
        pytest.raises(NotServed, match="refused, 0 s after the start"),
        Server(free_port(), free_port(), {"PATH": os.environ["PATH"]}),
    ):
        pass
    assert not Path("/proc", (programs / "pid").read_text().strip()).exists()


def test_a_service_that_ignores_the_kind_signal_is_killed_with_its_children(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "START_SECONDS", 0.2)
    monkeypatch.setattr(server, "END_SECONDS", 0.2)
    (programs / "service").write_text(
        f"trap '' TERM; sh -c 'echo $$ > {programs}/pid; while :; do sleep 0.05; done' & wait; wait\n"
    )
    with (
        pytest.raises(NotServed, match="after the start"),
        Server(free_port(), free_port(), {"PATH": os.environ["PATH"]}),
    ):
        pass
    child = Path("/proc", (programs / "pid").read_text().strip(), "stat")
    assert not child.exists() or child.read_text().split(")")[1].split()[0] == "Z"
