"""Servers that differ: preload, users, single processes, subprocesses, no folder, everything off."""

import os
import sys
from pathlib import Path

import pytest

from tests.process.ledger import HELLO, Client
from tests.process.page import Page
from tests.process.receiver import Receiver
from tests.process.server import BIN, Server, free_port, gunicorn, telemetry
from tests.process.waiting import steady, until

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = ("--user", "nobody", "--group", "nogroup", "-c", "python:tests.process.early")
NO_PAGE = "no metrics page"
CHILD = HELLO._replace(path="/child", counted=HELLO.counted._replace(route="/child"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--preload",),
        pytest.param(NOBODY, marks=ROOT_ONLY),
        pytest.param(("--preload", *NOBODY), marks=ROOT_ONLY),
    ],
    ids=["preload", "user", "preload and user"],
)
def test_numbers_and_spans_are_right(
    tmp_path: Path, page_port: int, receiver: Receiver, arguments: tuple[str, ...]
) -> None:
    with gunicorn(tmp_path, telemetry(page_port, receiver.address), *arguments) as server:
        ledger = Client(server.port).send(100)
        assert len(ledger.answers) == 100
        assert server.page.requests() == ledger.counted()
        server.end()
    received = receiver.numbers()
    assert set(received) == ledger.numbers()
    assert max(received.values()) == 1


@ROOT_ONLY
def test_killed_workers_of_another_user_are_replaced_with_telemetry(tmp_path: Path, page_port: int) -> None:
    with gunicorn(tmp_path, telemetry(page_port), *NOBODY, "--max-requests", "5", workers=2) as server:
        ledger = Client(server.port).send(60)
        assert len(ledger.answers) > 30
        assert steady(lambda: not ledger.counted() - server.page.requests(), True)


def test_two_services_on_one_machine_stay_apart(tmp_path: Path, page_port: int) -> None:
    other = telemetry(free_port()) | {"OTEL_SERVICE_NAME": "other"}
    with (
        gunicorn(tmp_path, telemetry(page_port), workers=1) as one,
        gunicorn(tmp_path, other, workers=1) as two,
    ):
        ledgers = [Client(server.port).send(count) for server, count in ((one, 10), (two, 25))]
        assert one.page.requests() == ledgers[0].counted()
        assert two.page.requests() == ledgers[1].counted()
        assert one.pod() != two.pod()
        assert 'service_name="other"' in two.page.text()


def test_a_taken_port_is_said_and_taken_over(tmp_path: Path, page_port: int) -> None:
    with gunicorn(tmp_path, telemetry(page_port), workers=1) as one:
        until(one.page.ready, 5, "the page")
        with gunicorn(tmp_path, telemetry(page_port, OTEL_SERVICE_NAME="second"), workers=1) as two:
            until(lambda: NO_PAGE in two.printed(), 5, "a line that says it")
            assert len(Client(two.port).send(10).answers) == 10
            one.end()
            until(lambda: two.page.ready() and "second" in two.page.text(), 5, "the port is taken over")
            assert two.page.total("http_server_request_duration_seconds_count") == 10


@pytest.mark.parametrize("name", ["waitress", "wsgiref"])
def test_a_single_process_has_a_page_and_sends_spans(
    tmp_path: Path, page_port: int, receiver: Receiver, name: str
) -> None:
    port = free_port()
    command = [str(BIN / "python"), "-m", "tests.process.application", str(port), name]
    with Server(command, tmp_path, telemetry(page_port, receiver.address), port=port) as server:
        ledger = Client(server.port).send(40)
        assert len(ledger.answers) == 40
        assert server.page.requests() == ledger.counted()
        received = receiver.wait_numbers(ledger.numbers())
        assert set(received) == ledger.numbers()


def test_a_short_script_loses_nothing(tmp_path: Path, page_port: int, receiver: Receiver) -> None:
    program = (
        "from opentelemetry import trace\n"
        "with trace.get_tracer('script').start_as_current_span('short'):\n    pass\n"
    )
    command = [str(BIN / "python"), "-c", program]
    with Server(command, tmp_path, telemetry(page_port, receiver.address)) as script:
        assert script.main.wait(20) == 0, script.printed()
        assert [one.span.name for one in receiver.spans()] == ["short"]
        until(lambda: script.processes() == [], 5, "the relay ends too")


def test_a_process_started_by_a_worker_joins_its_pod(
    tmp_path: Path, page_port: int, receiver: Receiver
) -> None:
    with gunicorn(tmp_path, telemetry(page_port, receiver.address), workers=2) as server:
        until(server.page.ready, 5, "the page")
        (relay,) = server.relays()
        ledger = Client(server.port, timeout=30).send(3, [CHILD], threads=1)
        assert [answer.status for answer in ledger.answers] == [200] * 3
        assert steady(lambda: server.page.total("child_work_total"), 3.0) == 3
        assert server.relays() == [relay]
        wanted = ["work of a child"] * 3
        assert (
            steady(lambda: [s.span.name for s in receiver.spans() if s.scope.name == "child"], wanted)
            == wanted
        )
        assert NO_PAGE not in server.printed()


def test_the_operators_instance_id_is_kept(tmp_path: Path, page_port: int, receiver: Receiver) -> None:
    given = telemetry(page_port, receiver.address, OTEL_RESOURCE_ATTRIBUTES="service.instance.id=pod-7")
    with gunicorn(tmp_path, given, workers=2) as server:
        ledger = Client(server.port).send(10)
        receiver.wait_numbers(ledger.numbers())
        assert 'service_instance_id="pod-7"' in server.page.text()
    ids = {
        attribute.value.string_value
        for one in receiver.spans()
        for attribute in one.resource.attributes
        if attribute.key == "service.instance.id"
    }
    assert ids == {"pod-7"}


def test_a_pod_is_one_instance(tmp_path: Path, page_port: int, receiver: Receiver) -> None:
    with gunicorn(tmp_path, telemetry(page_port, receiver.address)) as server:
        ledger = Client(server.port).send(30)
        receiver.wait_numbers(ledger.numbers())
    resources = {one.resource.SerializeToString(deterministic=True) for one in receiver.spans()}
    assert len(resources) == 1


def test_no_folder_at_all_leaves_the_application_running(tmp_path: Path, page_port: int) -> None:
    variables = telemetry(page_port, OTELC2C_FOLDER=str(tmp_path / "nowhere"))
    with gunicorn(tmp_path, variables, workers=2) as server:
        assert len(Client(server.port).send(20).answers) == 20
        assert "nowhere" in server.printed()
        assert server.end() < 5


def test_disabled_means_that_nothing_is_started(tmp_path: Path, page_port: int) -> None:
    with gunicorn(tmp_path, telemetry(page_port, OTEL_SDK_DISABLED="true"), workers=2) as server:
        ledger = Client(server.port).send(20)
        assert len(ledger.answers) == 20
        assert not any(one.is_relay for one in server.processes())
        assert not Page(page_port).ready()
        assert not any(answer.request_id for answer in ledger.answers)


def test_nothing_set_at_all_makes_ids_and_no_noise(tmp_path: Path, page_port: int) -> None:
    variables = {"OTEL_EXPORTER_PROMETHEUS_PORT": str(page_port), "PYTHONWARNINGS": "ignore"}
    with gunicorn(tmp_path, variables, workers=2) as server:
        ledger = Client(server.port).send(20)
        assert server.page.requests() == ledger.counted()
        assert len({answer.request_id for answer in ledger.answers}) == 20
        assert server.end() < 3
        lines = [line for line in server.printed().splitlines() if line.strip()]
    # The launcher itself names instrumentations that do not know the installed version of a library.
    ours = [line for line in lines if "so nothing can be instrumented" not in line]
    assert len(ours) == 1, lines
    assert sys.executable not in ours[0]
