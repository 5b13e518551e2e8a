import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts import install
from tests.parts.install import SERVICES, NotHad, Part, Service, cache_folder, find, main, obtain, set_up

PART = Part("brew", ("teapot",), "usr/bin/brew", "tests of tea")
SAMOVAR = Service("samovar-server", "samovar", "", "tests with hot water")


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


def test_a_server_that_is_installed_is_used_as_it_is(machine: Path) -> None:
    here = program(machine / "samovar", "")
    assert set_up(SAMOVAR, str(machine), is_root=False) == here


def test_a_server_may_be_in_a_folder_of_its_release(machine: Path, tmp_path: Path) -> None:
    program(tmp_path / "lib/9/bin/samovar", "")
    newest = program(tmp_path / "lib/17/bin/samovar", "")
    program(tmp_path / "lib/16/bin/samovar", "")
    assert find(SAMOVAR._replace(folders=f"{tmp_path}/lib/*/bin"), str(machine)) == newest


def test_root_has_the_package_of_a_server_installed_without_a_question(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(machine))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("SAMOVAR", str(machine / "samovar"))
    program(
        machine / "apt-get",
        'echo "$DEBIAN_FRONTEND $*" >> "$ASKED"\n'
        'case " $* " in\n'
        '*" update "*) touch "$ASKED.lists" ;;\n'
        '*" install "*) test -e "$ASKED.lists" || exit 100; touch "$SAMOVAR"; chmod +x "$SAMOVAR" ;;\nesac',
    )
    (machine / "test").symlink_to(str(shutil.which("test")))
    assert set_up(SAMOVAR, str(machine), is_root=True) == machine / "samovar"
    first, update, second = (tmp_path / "asked").read_text().splitlines()
    assert first.startswith("noninteractive -q -y ")
    assert first.endswith(" install --no-install-recommends samovar-server")
    assert update.endswith(" update")
    assert second == first


def test_somebody_else_than_root_is_told_who_may_install_a_server(machine: Path) -> None:
    program(machine / "apt-get", "exit 1")
    with pytest.raises(NotHad, match="only root may install the Debian package samovar-server"):
        set_up(SAMOVAR, str(machine), is_root=False)


def test_a_server_that_could_not_be_had_is_one_line(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine / "apt-get").unlink()
    monkeypatch.setattr(install, "SERVICES", {"samovar-server": SAMOVAR})
    assert main(["samovar-server"], {"PATH": str(machine)}) == 0
    printed = capsys.readouterr().err
    assert printed == (
        "samovar-server could not be had, tests with hot water go without it: this machine has no apt-get\n"
    )


def test_every_server_that_tests_want_is_asked_for_by_the_makefile() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    asked = makefile.partition("\ntest:")[2].partition("\n\n")[0].split()
    assert set(SERVICES) <= set(asked)
