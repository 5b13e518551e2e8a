"""README.md says what the code does: its tables are the code's, its commands and snippets run."""

import os
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest

from otelc2c import catalog
from otelc2c.scripts.reference import filled, sections
from otelc2c.settings import variables
from tests.process.server import Server, free_port
from tests.process.waiting import until
from tests.sink import Sink, spans_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


class Block(NamedTuple):
    """A fenced block: its language and its text."""

    language: str
    text: str


BLOCKS = [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)]
COMMANDS = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]
SNIPPETS = [block.text for block in BLOCKS if block.language == "python"]
PRINTED = [line for block in BLOCKS if block.language == "text" for line in block.text.splitlines()]

APPLICATION, INSTRUMENTS = SNIPPETS
DEMO, TEST, INSTALL, SERVE, DOCTOR, *ASK, EXPORT = COMMANDS
START_LINE, SAMPLE = PRINTED


def test_the_blocks_are_those_that_are_run_here() -> None:
    assert DEMO == "make demo ONCE=1"
    assert TEST == "make test"
    assert INSTALL == "pip install ."
    assert DOCTOR == "otelc2c doctor"
    assert "opentelemetry-instrument gunicorn" in SERVE
    assert all(line.startswith("curl -s ") for line in ASK)
    assert EXPORT.startswith("export OTEL_EXPORTER_OTLP_ENDPOINT=")
    assert {block.language for block in BLOCKS} == {"sh", "python", "text"}


# -- the reference ------------------------------------------------------------------------


def test_the_tables_are_what_the_code_declares() -> None:
    """To mend: `python -m otelc2c.scripts.reference`."""
    assert filled(README, sections(ROOT)) == README


def test_every_variable_and_every_metric_is_there() -> None:
    for name in [*variables(), *(metric.name for metric in catalog.ALL)]:
        assert f"`{name}`" in README


def test_links_within_the_project_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


# -- the commands ---------------------------------------------------------------------------


@pytest.mark.parametrize(("line", "runs"), [(DEMO, "otelc2c demo --once"), (TEST, "-m pytest")])
def test_make_runs_what_is_promised(line: str, runs: str) -> None:
    """What they run is tested where it stands; here, that make knows the way to it."""
    command = [*shlex.split(line), "--dry-run", "--no-print-directory", "--old-file", ".venv/.installed"]
    # A make above this one would hand its own options down.
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ran = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=30
    )
    assert runs in ran.stdout


def test_the_package_that_is_installed_has_everything_it_needs(tmp_path: Path) -> None:
    """`pip install .` builds this wheel."""
    assert INSTALL == "pip install ."
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    (wheel,) = tmp_path.glob("otelc2c-*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    ).stdout
    held = {line.split()[0] for line in listed.splitlines()[1:]}
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "otelc2c").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here <= held
    assert "otelc2c/demo/templates/home.mako" in here
    assert not [name for name in held if name.startswith("tests")]


class Service(NamedTuple):
    """The service of the README on ports of this run."""

    server: Server
    web: int
    page: int

    def here(self, text: str) -> str:
        """A text of the README with the ports of this run."""
        return text.replace("8000", str(self.web)).replace("9464", str(self.page))

    def ask(self, line: str) -> str:
        """The bodies that a `curl -s` line of the README gets, one after the other."""
        addresses = [word for word in shlex.split(self.here(line))[1:] if not word.startswith("-")]
        return "".join(fetch(f"http://{address}") for address in addresses)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def serve(folder: Path, **more: str) -> Service:
    """What the README says to start, in `folder`."""
    web, page = free_port(), free_port()
    (folder / "shop.py").write_text(APPLICATION)
    words = shlex.split(SERVE.replace("8000", str(web)))
    given = dict(word.split("=", 1) for word in words[: words.index("opentelemetry-instrument")])
    command = words[words.index("opentelemetry-instrument") + 1 :]
    path = f"{folder}{os.pathsep}{ROOT}"
    environ = {"PYTHONPATH": path, "HOME": str(folder), "OTEL_EXPORTER_PROMETHEUS_PORT": str(page)}
    return Service(Server(command, folder, {**environ, **given, **more}, port=web), web, page)


@pytest.mark.process
def test_the_service_says_and_shows_what_the_readme_shows(tmp_path: Path) -> None:
    service = serve(tmp_path)
    with service.server:
        *requests, scrape = ASK
        until(service.server.page.ready, 10, "the page")
        for line in requests:
            assert service.ask(line) == '{"hello": "you"}' * 3
        # A count may come a moment after its answer.
        until(lambda: service.here(SAMPLE) in service.ask(scrape).splitlines(), 5, SAMPLE)
        said = next(line for line in service.server.printed().splitlines() if line.startswith("otelc2c:"))
    assert of_ours(said) == of_ours(service.here(START_LINE))


def of_ours(line: str) -> tuple[list[str], list[str]]:
    """Which instrumentations of ours the line at start names, and all that it says of other things.

    More libraries are installed here than where the README begins, so that more of ours are at work.
    """
    parts = line.split("; ")
    told = [part.partition(": ") for part in parts if part.startswith(("active: ", "absent: "))]
    names = [name for _, _, listed in told for name in listed.split(", ")]
    others = ("active: ", "absent: ", "replaced: ", "refused: ")
    return (
        sorted(name for name in names if name.startswith("otelc2c_")),
        [part for part in parts if not part.startswith(others)],
    )


@pytest.mark.process
def test_spans_and_numbers_go_to_the_endpoint_and_the_page_stays(tmp_path: Path) -> None:
    name, _, endpoint = EXPORT.removeprefix("export ").partition("=")
    with Sink() as sink:
        service = serve(tmp_path, **{name: endpoint.replace("http://localhost:4318", sink.address)})
        with service.server:
            until(service.server.page.ready, 10, "the page")
            service.ask(ASK[0])
            assert sink.wait(lambda: sink.span_counts.total() >= 9)
            names = [received.span.name for received in spans_of(sink.received())]
            until(lambda: service.here(SAMPLE) in service.ask(ASK[-1]), 5, SAMPLE)
    assert names.count("GET /hello/{name}") == 3


def test_the_doctor_finds_nothing_wrong() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "C2C"))}
    ran = subprocess.run(
        [str(Path(sys.executable).parent / "otelc2c"), *shlex.split(DOCTOR)[1:]],
        env={**environ, "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "otelc2c_pyramid" in ran.stdout


# -- the snippet with instruments -------------------------------------------------------------


def test_the_applications_own_instruments_are_those_of_the_api() -> None:
    names: dict[str, object] = {}
    exec(compile(INSTRUMENTS, "README.md", "exec"), names)  # the README's own text
    order = names["order"]
    assert callable(order)
    order("Assam")
