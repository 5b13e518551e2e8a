"""The files around the package agree with each other."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from otelc2c.demo.gunicorn_conf import threads, workers
from otelc2c.demo.load import CLIENTS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements/dev.txt").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()

PINNED = re.compile(
    r"^([a-z0-9-]+)==\S+(?: ; [^\\]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def asked_for() -> set[str]:
    """Every package that pyproject.toml names anywhere."""
    lists = [
        PROJECT["build-system"]["requires"],
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    return {re.split(r"[<>=!~;\[ ]", entry)[0] for entries in lists for entry in entries}


def test_everything_that_is_asked_for_is_pinned_with_hashes() -> None:
    pinned = {name for name, _ in PINNED.findall(LOCK)}
    assert asked_for() <= pinned
    assert len(PINNED.findall(LOCK)) == len(re.findall(r"^[a-z0-9-]+==", LOCK, re.MULTILINE))


def test_the_lock_names_no_host() -> None:
    assert "://" not in LOCK
    assert "index-url" not in LOCK


def test_every_command_of_make_is_explained() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    # A make above this one would hand its own options down.
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ran = subprocess.run(
        ["make", "--no-print-directory"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert [line.split()[:2] for line in ran.stdout.splitlines()] == [
        ["make", name] for name in phony.split()
    ]


@pytest.mark.parametrize(
    "name", PROJECT["project"]["license-files"] + [PROJECT["project"]["readme"], "CHANGELOG.md"]
)
def test_the_pages_that_the_package_names_are_there(name: str) -> None:
    assert (ROOT / name).read_text().strip()


def test_what_is_run_before_a_change_is_taken_can_be_run() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_the_load_of_the_demonstration_keeps_every_thread_busy() -> None:
    assert workers * threads == CLIENTS
