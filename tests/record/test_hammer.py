"""Threads hammering one cell lose nothing, under every interpreter that is there (must hold 11)."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def interpreters(version: str) -> list[str]:
    """All ways to an interpreter of that version on this machine, free-threaded builds included."""
    found = [shutil.which(f"python{version}"), shutil.which(f"python{version}t")]
    found += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python{version}")))
    return [path for path in found if path is not None and _runs(path, version)]


def _runs(path: str, version: str) -> bool:
    """Whether it is more than a name: a version manager may have a name for what is not chosen."""
    told = subprocess.run([path, "-I", "-S", "-V"], capture_output=True, text=True, check=False, timeout=30)
    return told.returncode == 0 and told.stdout.startswith(f"Python {version}.")


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_lost(version: str) -> None:
    """The switch interval is the shortest there is."""
    paths = interpreters(version)
    if not paths:
        pytest.skip(f"no Python {version} on this machine")
    ended = subprocess.run(
        [paths[-1], "-S", "-m", "tests.record.hammer"],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("nothing lost\n", "", 0)
