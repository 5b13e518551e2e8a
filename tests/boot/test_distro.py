"""The distribution, driven by the launcher's own loader."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from opentelemetry.instrumentation.auto_instrumentation import _load

from otelc2c import guard
from otelc2c.boot import distro as module
from otelc2c.boot.distro import Distro, finish
from otelc2c.boot.installed import CONFIGURATORS, DISTROS, INSTRUMENTORS, Installed
from otelc2c.boot.report import StartReport
from otelc2c.settings import Settings
from tests.boot.fakes import Good, entry_point


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No distribution and no instrumentation is left from another test, nor stays for the next."""
    monkeypatch.setattr(Distro, "_instance", None)
    monkeypatch.setattr(Good, "switched_on", 0)


def launch(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], *entries: EntryPoint) -> Distro:
    """Go through the launcher's steps with these entry points and this environment."""
    monkeypatch.setattr(Distro, "environ", environ)
    monkeypatch.setattr(_load, "environ", environ)
    monkeypatch.setattr(
        _load, "entry_points", lambda group: [entry for entry in entries if entry.group == group]
    )
    distro = Distro()
    distro.report = StartReport(Settings.from_environ(environ), Installed(entries))
    distro.configure()
    _load._load_instrumentors(distro)  # type: ignore[no-untyped-call]
    return distro


def states(distro: Distro) -> dict[str, str]:
    return {what.name: what.state for what in distro.report.instrumentors}


def details(distro: Distro) -> dict[str, str]:
    return {what.name: what.detail for what in distro.report.instrumentors}


def instrumentor(name: str, value: str = "Good", *needs: str) -> EntryPoint:
    return entry_point(INSTRUMENTORS, name, value, *needs)


def test_one_failing_instrumentation_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream stops at the first exception that is no ImportError (opentelemetry 2.1 item 5)."""
    distro = launch(
        monkeypatch,
        {},
        instrumentor("a"),
        instrumentor("b", "Raising"),
        instrumentor("c", "no_such_module_at_all:X"),
        instrumentor("d", "NoSuchClass"),
        instrumentor("e", "Conflicting"),
        instrumentor("f"),
    )
    assert states(distro) == {
        "a": "active", "b": "failed", "c": "absent", "d": "failed", "e": "refused", "f": "active",
    }  # fmt: skip
    assert details(distro)["b"] == "RuntimeError: cannot be patched"
    assert details(distro)["e"] == "needs lib<2, found lib 2.1"
    assert Good.switched_on == 2


def test_what_the_loader_skips_by_version_is_reported_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLAlchemy 2.1 was untraced without a word (opentelemetry 2.1 item 7)."""
    distro = launch(
        monkeypatch,
        {},
        instrumentor("refused", "Good", "opentelemetry-api<0.1"),
        instrumentor("absent", "Good", "no-such-library>=1"),
    )
    assert states(distro) == {"refused": "refused", "absent": "absent"}
    assert details(distro)["refused"].startswith("needs opentelemetry-api<0.1, found opentelemetry-api 1.")
    assert details(distro)["absent"] == "needs no-such-library>=1"
    assert Good.switched_on == 0


def test_an_allow_list_keeps_the_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"OTELC2C_INSTRUMENTATIONS": "a, pyramid"}
    entries = [instrumentor(name) for name in ("a", "b", "otelc2c_pyramid", "otelc2c_wsgi")]
    distro = launch(monkeypatch, environ, *entries)
    assert states(distro) == {
        "a": "active", "b": "disabled", "otelc2c_pyramid": "active", "otelc2c_wsgi": "disabled",
    }  # fmt: skip
    assert details(distro)["b"] == "not in OTELC2C_INSTRUMENTATIONS"


def test_ours_takes_the_place_of_contribs_whichever_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [instrumentor(name) for name in ("pyramid", "otelc2c_pyramid", "otelc2c_wsgi", "wsgi")]
    for order in (entries, entries[::-1]):
        distro = launch(monkeypatch, {}, *order)
        assert states(distro) == {
            "pyramid": "replaced",
            "otelc2c_pyramid": "active",
            "otelc2c_wsgi": "active",
            "wsgi": "replaced",
        }
    assert details(distro)["pyramid"] == "by otelc2c_pyramid"


@pytest.mark.parametrize(
    ("disabled", "expected"),
    [
        ("pyramid", {"pyramid": "disabled", "otelc2c_pyramid": "disabled", "other": "active"}),
        ("otelc2c_pyramid", {"pyramid": "active", "otelc2c_pyramid": "disabled", "other": "active"}),
        ("other , pyramid", {"pyramid": "disabled", "otelc2c_pyramid": "disabled", "other": "disabled"}),
        ("*", {"pyramid": "disabled", "otelc2c_pyramid": "disabled", "other": "disabled"}),
    ],
)
def test_disabling_by_the_subjects_name_means_ours_too(
    monkeypatch: pytest.MonkeyPatch, disabled: str, expected: dict[str, str]
) -> None:
    entries = [instrumentor(name) for name in expected]
    distro = launch(monkeypatch, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled}, *entries)
    assert states(distro) == expected
    assert Good.switched_on == list(expected.values()).count("active")


@pytest.mark.parametrize(
    ("value", "state", "detail"),
    [
        ("NeedsMissing", "absent", "needs no-such-library >= 1"),
        ("NeedsOlder", "refused", "needs opentelemetry-api < 0.1, found opentelemetry-api"),
        ("otelc2c.no_such_room:X", "failed", "otelc2c.no_such_room"),
    ],
)
def test_our_instrumentations_are_asked_themselves_what_they_need(
    monkeypatch: pytest.MonkeyPatch, value: str, state: str, detail: str
) -> None:
    """Our package has one list of requirements for all of them, so the launcher cannot compare."""
    distro = launch(monkeypatch, {}, instrumentor("otelc2c_pyramid", value))
    assert states(distro) == {"otelc2c_pyramid": state}
    assert detail in details(distro)["otelc2c_pyramid"]
    assert Good.switched_on == 0


def test_a_disabled_sdk_loads_and_patches_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    distro = launch(
        monkeypatch, {"OTEL_SDK_DISABLED": "true"}, instrumentor("a", "Raising"), instrumentor("b")
    )
    finish()
    assert states(distro) == {"a": "disabled", "b": "disabled"}
    assert Good.switched_on == 0
    assert capfd.readouterr().err == ""


def test_the_environment_is_written_only_where_several_configurators_are_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = [entry_point(DISTROS, "otelc2c"), entry_point(CONFIGURATORS, "otelc2c")]
    other = entry_point(CONFIGURATORS, "configurator")
    alone: dict[str, str] = {}
    launch(monkeypatch, alone, *ours)
    assert alone == {}
    beside: dict[str, str] = {}
    monkeypatch.setattr(Distro, "_instance", None)
    distro = launch(monkeypatch, beside, other, *ours)
    assert beside == {"OTEL_PYTHON_CONFIGURATOR": "otelc2c"}
    assert [problem for problem in distro.report.problems if "PYTHON" in problem.variable] == []
    named = {"OTEL_PYTHON_CONFIGURATOR": "configurator"}
    monkeypatch.setattr(Distro, "_instance", None)
    launch(monkeypatch, named, other, *ours)
    assert named == {"OTEL_PYTHON_CONFIGURATOR": "configurator"}


def test_every_distro_made_in_a_process_has_the_same_report(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"OTEL_SERVICE_NAME": "first"}
    monkeypatch.setattr(Distro, "environ", environ)
    first = Distro()
    environ["OTEL_SERVICE_NAME"] = "second"
    assert Distro().report is first.report
    assert Distro().settings.service_name == "first"


def test_finish_says_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    launch(monkeypatch, {"OTEL_SERVICE_NAME": "shop"}, instrumentor("a"))
    finish()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("otelc2c: ")
    assert "service shop; active: a;" in line


def test_where_another_distribution_loads_the_instrumentations_say_themselves_what_they_do(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    entries = [
        entry_point(DISTROS, "distro", package="opentelemetry-distro"),
        instrumentor("pyramid", "AtWork"),
        instrumentor("otelc2c_pyramid"),
        instrumentor("broken", "NoSuchClass"),
    ]
    monkeypatch.setattr(Distro, "environ", {})
    Distro().report = StartReport(Settings.from_environ({}), Installed(entries))
    finish()
    (line,) = capfd.readouterr().err.splitlines()
    assert "active: pyramid; ready: otelc2c_pyramid; failed: broken (AttributeError" in line
    assert "PROBLEM OTEL_PYTHON_DISTRO: 'distro' of opentelemetry-distro is used" in line


def test_a_failing_report_does_not_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, {})

    def broken(self: StartReport) -> Any:
        raise RuntimeError("no report")

    monkeypatch.setattr(StartReport, "announce", broken)
    guard.strict(False)
    finish()
    assert guard.counts() == {"boot.report": 1}


def test_the_package_names_its_entry_points() -> None:
    installed = Installed()
    for group in (DISTROS, CONFIGURATORS, "opentelemetry_resource_detector", "opentelemetry_post_instrument"):
        assert installed.find(group, "otelc2c") is not None, group
    for name in ("otelc2c_pyramid", "otelc2c_wsgi"):
        assert installed.find(INSTRUMENTORS, name) is not None
    post = installed.find("opentelemetry_post_instrument", "otelc2c")
    assert post is not None
    assert post.load() is module.finish
