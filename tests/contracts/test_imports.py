"""Imports point one way, and the environment is read in one place."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "otelc2c"
LEAVES = {"settings", "guard", "catalog", "context"}
MAY_IMPORT = {
    **dict.fromkeys(LEAVES, LEAVES),
    "record": LEAVES,
    "measure": {*LEAVES, "record", "wsgi"},
    "wsgi": {*LEAVES, "record", "measure"},
    "relay": {*LEAVES, "record"},
    "boot": {*LEAVES, "record", "measure", "wsgi", "relay"},
    "scripts": {*LEAVES, "record", "boot", "demo"},
    "demo": set[str](),
}
"""What each room may import besides itself. A file of its own beside the package is a room too."""

STARTS = {"boot/distro.py", "relay/main.py", "scripts/main.py", "scripts/demo.py", "demo/wsgi.py"}
"""Where a process starts: its environment is handed to the settings, once."""

FILES = sorted(PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything of ours that is imported anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "otelc2c")


def names_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(a.name in {"environ", "environb", "getenv"} for a in node.names)
    return (
        isinstance(node, ast.Attribute)
        and node.attr in {"environ", "environb", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    )


@pytest.mark.parametrize("path", FILES, ids=place)
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        allowed: set[str] = set()
    else:
        assert here in MAY_IMPORT, f"{here} is a new room: say what it may import"
        allowed = MAY_IMPORT[here] | {here}
    found = {name for name in imported(ast.parse(path.read_text())) if "." in name}
    rooms = {name.split(".")[1] for name in found} - {"__version__"}
    assert rooms <= allowed, f"{place(path)} imports {sorted(rooms - allowed)}"


@pytest.mark.parametrize("path", FILES, ids=place)
def test_the_environment_is_handed_over_where_a_process_starts_and_named_nowhere_else(path: Path) -> None:
    lines = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if names_environment(node)]
    most = 1 if place(path) in STARTS else 0
    assert len(lines) <= most, f"{place(path)} names the environment in lines {lines}"


def test_the_rules_see_what_they_forbid() -> None:
    source = "import os\nfrom otelc2c.relay import page\nimport otelc2c.boot.life\nos.environ['X']\n"
    tree = ast.parse(source)
    assert set(imported(tree)) == {"otelc2c.relay.page", "otelc2c.boot.life"}
    assert sum(names_environment(node) for node in ast.walk(tree)) == 1
    assert names_environment(ast.parse("from os import getenv").body[0])


def test_the_relay_starts_with_the_standard_library_alone() -> None:
    """It runs without site packages, so that it is small and starts fast."""
    script = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); import otelc2c.relay.main; "
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    foreign = set(ran.stdout.split()) - set(sys.stdlib_module_names) - {"otelc2c", "__main__"}
    assert not foreign


def test_the_sample_application_names_nothing_of_ours() -> None:
    """It stands for any service; only the command around it knows the package."""
    for name in ("app", "views", "wsgi"):
        tree = ast.parse((PACKAGE / "demo" / f"{name}.py").read_text())
        assert all(found.startswith("otelc2c.demo.") for found in imported(tree))
