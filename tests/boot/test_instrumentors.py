"""What can be known of an instrumentation without switching it on."""

from typing import Literal

import pytest
from opentelemetry.instrumentation.dependencies import DependencyConflict

from otelc2c.boot.installed import INSTRUMENTORS, Installed, package
from otelc2c.boot.instrumentors import (
    BELOW,
    OURS,
    Instrumentor,
    at_work,
    by_version,
    imported,
    survey,
    with_overlaps,
)
from otelc2c.settings import Settings
from tests.boot.fakes import Good, entry_point


@pytest.mark.parametrize(
    ("value", "state", "detail"),
    [
        ("Good", "ready", ""),
        ("NeedsMissing", "absent", "needs no-such-library >= 1"),
        ("NeedsOlder", "refused", "needs opentelemetry-api < 0.1, found opentelemetry-api"),
        ("no_such_module:X", "absent", "No module named 'no_such_module'"),
        ("otelc2c.no_such_room:X", "failed", "No module named 'otelc2c.no_such_room'"),
        ("NoSuchClass", "failed", "AttributeError: "),
    ],
)
def test_importing_shows_what_stands_against_it(value: str, state: str, detail: str) -> None:
    before = Good.switched_on
    found = imported(entry_point(INSTRUMENTORS, "a", value))
    assert (found.name, found.state) == ("a", state)
    assert found.detail.startswith(detail)
    assert Good.switched_on == before


@pytest.mark.parametrize(
    ("value", "state"), [("AtWork", "active"), ("Good", "ready"), ("no_such_module:X", "failed")]
)
def test_an_instrumentation_knows_whether_it_is_at_work(value: str, state: str) -> None:
    assert at_work(entry_point(INSTRUMENTORS, "a", value)).state == state


def test_one_of_several_libraries_may_be_enough() -> None:
    wanted = ["a<2", 'b<3; extra == "instruments-any"']
    conflict = DependencyConflict(required_any=wanted, found_any=["a 2.0"])
    assert by_version("x", conflict) == Instrumentor("x", "refused", "needs a<2 or b<3, found a 2.0")
    assert by_version("x", None) is None


def test_nothing_is_loaded_by_looking() -> None:
    entries = [
        entry_point(INSTRUMENTORS, "a", "no_such_module:X"),
        entry_point(INSTRUMENTORS, "b", "Good", "no-such>=1"),
    ]
    found = survey(Settings.from_environ({}), Installed(entries))
    assert {name: what.state for name, what in found.items()} == {"a": "ready", "b": "absent"}


def test_the_first_of_a_group_is_chosen_unless_one_is_named() -> None:
    first, second = entry_point("g", "one"), entry_point("g", "two", package="b")
    installed = Installed([first, second])
    assert installed.chosen("g", None) is first
    assert installed.chosen("g", "two") is second
    assert installed.chosen("g", "three") is None
    assert installed.chosen("h", None) is None
    assert package(second) == "b"


@pytest.mark.parametrize("state", ["active", "ready"])
def test_what_is_kept_quiet_below_ours_says_so(state: Literal["active", "ready"]) -> None:
    found = [
        Instrumentor("otelc2c_requests", state),
        Instrumentor("urllib3", state),
        Instrumentor("psycopg", state, "as it was"),
        Instrumentor("httpx", state),
    ]
    shown = [str(what) for what in with_overlaps(found)]
    assert shown == [
        "otelc2c_requests",
        "urllib3 (quiet below otelc2c_requests)",
        "psycopg (as it was)",
        "httpx",
    ]


def test_what_is_not_at_work_is_quiet_by_itself() -> None:
    """And nothing is, below an instrumentation of ours that is off."""
    off = [Instrumentor("otelc2c_requests", "disabled"), Instrumentor("urllib3", "active")]
    assert with_overlaps(off) == off
    away = [Instrumentor("otelc2c_requests", "active"), Instrumentor("urllib3", "absent", "why")]
    assert with_overlaps(away) == away


def test_ours_is_below_nothing() -> None:
    assert not BELOW.keys() & {*OURS, *OURS.values()}
