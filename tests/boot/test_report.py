"""The start report: one line that cannot be lost, and the reason to refuse a start."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from otelc2c.boot.installed import (
    CONFIGURATORS,
    DISTROS,
    INSTRUMENTORS,
    METRICS_EXPORTERS,
    PROPAGATORS,
    TRACES_EXPORTERS,
    Installed,
)
from otelc2c.boot.instrumentors import Instrumentor
from otelc2c.boot.report import StartReport
from otelc2c.settings import Settings
from tests.boot.fakes import entry_point

PROPAGATION = [entry_point(PROPAGATORS, "tracecontext"), entry_point(PROPAGATORS, "baggage")]


def report(environ: dict[str, str], *entries: EntryPoint) -> StartReport:
    return StartReport(Settings.from_environ(environ), Installed([*PROPAGATION, *entries]))


def said(environ: dict[str, str], *entries: EntryPoint) -> list[str]:
    return list(map(str, report(environ, *entries).problems))


def test_nothing_set_shows_numbers_and_sends_nothing() -> None:
    found = report({})
    assert found.problems == ()
    line = found.line()
    assert "service unknown_service:python" in line
    assert "active: none; spans to nowhere; numbers to prometheus http://localhost:9464/metrics" in line
    assert "PROBLEM" not in line


def test_the_line_says_what_became_of_each_instrumentation_and_where_signals_go() -> None:
    found = report({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:pw@c:4318", "OTEL_SERVICE_NAME": "shop"})
    for what in (
        Instrumentor("redis", "active"),
        Instrumentor("flask", "absent", "needs flask >= 1"),
        Instrumentor("sqlalchemy", "refused", "needs sqlalchemy<2.1, found sqlalchemy 2.1.9"),
    ):
        found.installed.group(INSTRUMENTORS)
        found.instrumentor(what)
    entries = [entry_point(INSTRUMENTORS, name) for name in ("redis", "flask", "sqlalchemy")]
    found.installed = Installed([*PROPAGATION, *entries])
    found.note("the relay is a thread")
    assert found.line().partition(", ")[2] == (
        "service shop; active: redis; refused: sqlalchemy (needs sqlalchemy<2.1, found sqlalchemy 2.1.9); "
        "absent: flask; spans to otlp http://***@c:4318/v1/traces; numbers to prometheus "
        "http://localhost:9464/metrics, otlp http://***@c:4318/v1/metrics; the relay is a thread"
    )


@pytest.mark.parametrize(
    ("host", "port", "page"),
    [
        ("::", "9464", "http://[::]:9464/metrics"),
        ("0.0.0.0", "0", "http://0.0.0.0:(any free port)/metrics"),
    ],
)
def test_address_of_the_page(host: str, port: str, page: str) -> None:
    assert (
        report({"OTEL_EXPORTER_PROMETHEUS_HOST": host, "OTEL_EXPORTER_PROMETHEUS_PORT": port}).page() == page
    )


def test_exporters_of_others_are_named_with_their_package() -> None:
    environ = {"OTEL_TRACES_EXPORTER": "theirs,console", "OTEL_METRICS_EXPORTER": "theirs"}
    line = report(
        environ,
        entry_point(TRACES_EXPORTERS, "theirs", package="their-exporter"),
        entry_point(METRICS_EXPORTERS, "theirs", package="their-exporter"),
    ).line()
    assert "spans to theirs (their-exporter), console; numbers to theirs (their-exporter)" in line
    assert "PROBLEM" not in line


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "'zipkin' is not installed (there are console, otlp)"),
        ("OTEL_TRACES_EXPORTER", "prometheus", "'prometheus' is not installed (there are console, otlp)"),
        ("OTEL_METRICS_EXPORTER", "x", "'x' is not installed (there are console, otlp, prometheus)"),
        ("OTEL_TRACES_SAMPLER", "x", "'x' is not installed (there are always_off, always_on,"),
        ("OTEL_PROPAGATORS", "b3", "'b3' is not installed (there are baggage, tracecontext)"),
        ("OTEL_PYTHON_ID_GENERATOR", "x", "'x' is not installed (there are random)"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "x", "'x' is not installed (there are *)"),
        ("OTELC2C_INSTRUMENTATIONS", "redis", "'redis' is not installed"),
        (
            "OTEL_CONFIG_FILE",
            "/otel.yaml",
            "otelc2c does not read the file; what OTEL_* and OTELC2C_* variables say",
        ),
        ("OTEL_LOGS_EXPORTER", "otlp", "otelc2c sends no logs"),
        ("OTEL_PYTHON_DISTRO", "x", "'x' is not installed (there are none)"),
        ("OTEL_PYTHON_CONFIGURATOR", "x", "'x' is not installed (there are none)"),
        ("OTELC2C_RELAY", "x", "must be one of"),
        ("OTELC2C_NONSENSE", "x", "is not a variable of otelc2c"),
    ],
)
def test_what_was_asked_for_and_is_not_there_is_named(variable: str, value: str, message: str) -> None:
    """F-31: wrong values of the environment are named at start, by their variable."""
    (problem,) = said({variable: value})
    assert problem.startswith(f"{variable}: {message}")
    assert f"PROBLEM {problem}" in report({variable: value}).line()


def test_grpc_needs_its_package() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    message = "OTEL_EXPORTER_OTLP_PROTOCOL: gRPC needs the package opentelemetry-exporter-otlp-proto-grpc"
    assert said(environ) == [message, message]
    there = [entry_point(group, "otlp_proto_grpc") for group in (TRACES_EXPORTERS, METRICS_EXPORTERS)]
    assert said(environ, *there) == []


def test_certificates_must_be_readable_where_they_are_used(tmp_path: Path) -> None:
    there = tmp_path / "ca.pem"
    there.touch()
    asked = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c"}
    missing = {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/such.pem"}
    assert said(asked | missing) == ["OTEL_EXPORTER_OTLP_CERTIFICATE: the file '/no/such.pem' cannot be read"]
    assert said(missing) == []
    assert said(asked | {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(there)}) == []


def test_an_instrumentation_that_was_asked_for_by_name_must_work() -> None:
    entries = [entry_point(INSTRUMENTORS, "a", "Good", "opentelemetry-api<0.1")]
    assert said({}, *entries) == []
    (problem,) = said({"OTELC2C_INSTRUMENTATIONS": "a"}, *entries)
    assert problem.startswith("OTELC2C_INSTRUMENTATIONS: 'a' is refused: needs opentelemetry-api<0.1, found")


def test_a_failed_instrumentation_is_a_problem() -> None:
    found = report({}, entry_point(INSTRUMENTORS, "a"))
    found.instrumentor(Instrumentor("a", "failed", "RuntimeError: no"))
    assert list(map(str, found.problems)) == ["a: instrumentation failed: RuntimeError: no"]


def test_an_instrumentation_that_the_launcher_never_reached_has_failed() -> None:
    found = report({}, entry_point(INSTRUMENTORS, "a"))
    assert [what.state for what in found.instrumentors] == ["ready"]
    found.launched = True
    assert found.problems == ()
    found.finished = True
    assert [what.state for what in found.instrumentors] == ["failed"]


def test_another_distribution_that_wins_by_chance_is_named_with_the_remedy() -> None:
    theirs = [
        entry_point(DISTROS, "distro", package="opentelemetry-distro"),
        entry_point(CONFIGURATORS, "configurator", package="opentelemetry-distro"),
    ]
    ours = [entry_point(DISTROS, "otelc2c"), entry_point(CONFIGURATORS, "otelc2c")]
    first = "is used, because it was found first; set it to otelc2c"
    assert said({}, *theirs, *ours) == [
        f"OTEL_PYTHON_DISTRO: 'distro' of opentelemetry-distro {first}",
        f"OTEL_PYTHON_CONFIGURATOR: 'configurator' of opentelemetry-distro {first}",
    ]
    assert said({}, *ours, *theirs) == []
    assert said({"OTEL_PYTHON_DISTRO": "otelc2c"}, *theirs, *ours) == []
    assert (
        said({"OTEL_PYTHON_DISTRO": "distro", "OTEL_PYTHON_CONFIGURATOR": "configurator"}, *theirs, *ours)
        == []
    )


def test_the_configurator_need_not_repeat_what_the_report_found() -> None:
    found = report({"OTEL_TRACES_SAMPLER": "x"})
    found.problem("OTEL_TRACES_SAMPLER", "there is no sampler 'x'")
    found.problem("OTELC2C_FOLDER", "is full")
    found.problem("OTELC2C_FOLDER", "is full")
    assert [problem.variable for problem in found.problems] == ["OTEL_TRACES_SAMPLER", "OTELC2C_FOLDER"]


def test_strict_refuses_with_every_problem_named() -> None:
    environ = {"OTELC2C_STRICT": "true", "OTELC2C_RELAY": "x", "OTEL_PROPAGATORS": "b3"}
    with pytest.raises(SystemExit) as refused:
        report(environ).refuse_if_strict()
    message = str(refused.value.code)
    assert "OTELC2C_STRICT" in message
    assert "OTELC2C_RELAY: must be one of process, thread, off" in message
    assert "OTEL_PROPAGATORS: 'b3' is not installed" in message


def test_a_refused_start_of_an_interpreter_is_told_in_plain_lines(tmp_path: Path) -> None:
    """An exception out of sitecustomize would be called a fatal error of Python, with a traceback."""
    (tmp_path / "sitecustomize.py").write_text(
        "from otelc2c.boot.report import StartReport\n"
        "from otelc2c.settings import Settings\n"
        "settings = Settings.from_environ({'OTELC2C_STRICT': 'true', 'OTELC2C_RELAY': 'x'})\n"
        "StartReport(settings).refuse_if_strict()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "print('started')"],
        env={"PYTHONPATH": f"{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "otelc2c: does not start, because OTELC2C_STRICT is set and this cannot work:",
        "otelc2c: OTELC2C_RELAY: must be one of process, thread, off, not 'x'; ignored",
    ]


@pytest.mark.parametrize(
    "environ",
    [
        {"OTELC2C_STRICT": "true"},
        {"OTELC2C_RELAY": "x"},
        {"OTELC2C_STRICT": "true", "OTELC2C_RELAY": "x", "OTEL_SDK_DISABLED": "true"},
    ],
    ids=["no problem", "not strict", "disabled"],
)
def test_otherwise_the_application_starts(environ: dict[str, str]) -> None:
    report(environ).refuse_if_strict()


def test_the_line_is_said_once_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert report({"OTEL_SERVICE_NAME": "shop"}).announce() is True
    (line,) = capfd.readouterr().err.splitlines()
    assert "service shop" in line


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_PYTHON_DISTRO": "aws_distro", "OTEL_PYTHON_CONFIGURATOR": "aws_configurator"},
    ],
)
def test_nothing_is_said_where_we_have_no_part(
    environ: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert report(environ).announce() is False
    assert capfd.readouterr().err == ""


def test_a_process_that_joins_a_pod_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    found = report({})
    found.joined = True
    assert found.announce() is False
    assert capfd.readouterr().err == ""


def test_switched_off_is_said_in_the_table_of_the_doctor_alone() -> None:
    assert report({"OTEL_SDK_DISABLED": "true"}).line().endswith("is switched off by OTEL_SDK_DISABLED")


def test_no_secret_in_the_line() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:hunter2@c/?key=hunter2",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hunter2,hunter2",
    }
    assert "hunter2" not in report(environ).line()
