"""Get the programs that tests want.

A program that is installed is used as it is. Another is taken out of its Debian package into
a folder of our own, so nothing is started and nobody needs to be root. Servers have too many
libraries and files for that: where we are root their packages are installed, and elsewhere a
sentence says so. Run as `python -m tests.parts.install NAME...`; one line says what could not be
had, and the exit code is 0 all the same: a test that needs the program is skipped, or fails with
REQUIRE_SERVICES=1. The folder with the programs is printed with `--folder`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

SECONDS: Final = 300.0
"""Longest time for one step of the package manager."""


class Part(NamedTuple):
    """A program, the Debian packages that hold it, and its place in the first of them."""

    name: str
    packages: tuple[str, ...]
    program: str
    wanted_by: str


PARTS: Final[Mapping[str, Part]] = {
    part.name: part
    for part in (
        Part("promtool", ("prometheus",), "usr/bin/promtool", "tests of the metrics page"),
        Part("wrk", ("wrk", "libluajit-5.1-2"), "usr/bin/wrk", "the throughput benchmark"),
    )
}


class Service(NamedTuple):
    """A server that tests start themselves: its Debian package, its program, and folders beside the PATH."""

    name: str
    program: str
    folders: str
    wanted_by: str


SERVICES: Final[Mapping[str, Service]] = {
    service.name: service
    for service in (
        Service("redis-server", "redis-server", "", "tests with Redis"),
        Service("postgresql", "postgres", "/usr/lib/postgresql/*/bin", "tests with PostgreSQL"),
    )
}


class NotHad(RuntimeError):
    """A program cannot be had here; the message says why."""


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where installed programs are kept: outside the tree, for all clones of it."""
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", tempfile.gettempdir()), ".cache")
    return Path(base) / "otelc2c"


def obtain(part: Part, cache: Path, search: str) -> Path:
    """The program of `part`, from `search` (as PATH) or the cache, or fetched. Raises NotHad."""
    programs = cache / "bin"
    found = shutil.which(part.name, path=os.pathsep.join([str(programs), search]))
    if found is not None:
        return Path(found)
    if shutil.which("apt-get", path=search) is None or shutil.which("dpkg", path=search) is None:
        raise NotHad("this machine has no apt-get and dpkg")
    folder = cache / part.name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="otelc2c-parts-") as scratch:
        download(part.packages, Path(scratch), cache)
        for package in Path(scratch).glob("*.deb"):
            run(["dpkg", "-x", str(package), str(folder)], Path(scratch))
    if not (folder / part.program).exists():
        raise NotHad(f"its package has no {part.program}")
    return write_starter(part, folder, programs)


def set_up(service: Service, search: str, is_root: bool) -> Path:
    """The program of `service`, from `search` (as PATH) or its folders, or installed. Raises NotHad."""
    found = find(service, search)
    if found is not None:
        return found
    if shutil.which("apt-get", path=search) is None:
        raise NotHad("this machine has no apt-get")
    if not is_root:
        raise NotHad(f"only root may install the Debian package {service.name}")
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-q", "-y", "-o", f"DPkg::Lock::Timeout={SECONDS:.0f}"]
    command = ["apt-get", *options, "install", "--no-install-recommends", service.name]
    folder = Path(tempfile.gettempdir())
    try:
        run(command, folder, quietly)
    except NotHad:
        run(["apt-get", *options, "update"], folder, quietly)
        run(command, folder, quietly)
    found = find(service, search)
    if found is None:
        raise NotHad(f"its package has no {service.program}")
    return found


def find(service: Service, search: str) -> Path | None:
    """The program of `service`, where it is installed; the newest of several."""
    beside = list(map(str, Path("/").glob(service.folders[1:]))) if service.folders else []
    beside.sort(key=lambda folder: [int(number) for number in re.findall(r"\d+", folder)], reverse=True)
    found = shutil.which(service.program, path=os.pathsep.join([search, *beside]))
    return None if found is None else Path(found)


def download(packages: Sequence[str], scratch: Path, cache: Path) -> None:
    """Fetch packages into `scratch`, with package lists of our own where the machine has none."""
    command = ["apt-get", "-q", "download", *packages]
    try:
        run(command, scratch)
    except NotHad:
        options = own_lists(cache)
        run(["apt-get", "-q", *options, "update"], scratch)
        run(["apt-get", "-q", *options, "download", *packages], scratch)


def own_lists(cache: Path) -> list[str]:
    """Options that make apt-get keep its lists in our folder."""
    lists = cache / "apt"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (lists / name).mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::State::Lists={lists}/state/lists", "-o", f"Dir::Cache={lists}/cache"]


def run(command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> None:
    """Run one step quietly. Raises NotHad with the last line that it printed."""
    try:
        subprocess.run(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            timeout=SECONDS,
        )
    except subprocess.CalledProcessError as error:
        said = (error.stdout or "").strip().splitlines()
        raise NotHad(said[-1] if said else f"{command[0]} ended with {error.returncode}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHad(str(error)) from None


def write_starter(part: Part, folder: Path, programs: Path) -> Path:
    """A starter in the folder of programs that also finds the libraries of the package."""
    programs.mkdir(parents=True, exist_ok=True)
    libraries = sorted({str(path.parent) for path in folder.rglob("*.so*")})
    starter = programs / part.name
    lines = ["#!/bin/sh"]
    if libraries:
        lines.append(f'export LD_LIBRARY_PATH="{":".join(libraries)}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"')
    lines.append(f'exec "{folder / part.program}" "$@"')
    text = "\n".join(lines) + "\n"
    fresh = programs / f".{part.name}.{os.getpid()}"
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.replace(starter)
    return starter


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Install what is named, and say in a line each what could not be had."""
    parser = argparse.ArgumentParser(prog="tests.parts.install", description=__doc__)
    parser.add_argument("names", nargs="*", help="programs to get")
    parser.add_argument("--folder", action="store_true", help="print the folder that belongs on the PATH")
    asked = parser.parse_args(arguments)
    cache = cache_folder(environ)
    if asked.folder:
        print(cache / "bin")
    if unknown := set(asked.names) - set(PARTS) - set(SERVICES):
        parser.error(f"unknown programs: {', '.join(sorted(unknown))}")
    search = environ.get("PATH", os.defpath)
    for name in asked.names:
        wanted = PARTS.get(name) or SERVICES[name]
        try:
            if isinstance(wanted, Part):
                obtain(wanted, cache, search)
            else:
                set_up(wanted, search, os.geteuid() == 0)
        except NotHad as why:
            print(f"{name} could not be had, {wanted.wanted_by} go without it: {why}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
