"""Write the reference into README.md: `python -m otelc2c.scripts.reference`, in the project's folder.

A section stands between `<!-- NAME -->` and `<!-- /NAME -->`, and is made anew from what the
code declares: variables from the settings, metrics from the catalogue. `speed` is the page that
`make bench` writes.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from otelc2c import catalog
from otelc2c.settings import Row, reference

RESULTS: Final = Path("tests/benchmarks/results.md")
_SECTION: Final = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


class NoSection(RuntimeError):
    """A marked section cannot be filled; the message says which and why."""


def filled(text: str, sections: Mapping[str, Callable[[], str]]) -> str:
    """`text` with every marked section made anew. Raises NoSection for one that nobody makes."""

    def make(found: re.Match[str]) -> str:
        head, name, tail = found.groups()
        if name not in sections:
            raise NoSection(f"nothing makes a section {name!r}")
        return f"{head}\n{sections[name]().strip()}\n\n{tail}"

    return _SECTION.sub(make, text)


def sections(folder: Path) -> dict[str, Callable[[], str]]:
    """What fills each section, for the project in `folder`."""
    return {"settings": settings, "metrics": metrics, "speed": lambda: speed(folder)}


def settings() -> str:
    """The table of all variables. Options that exist for each signal are one row."""
    rows: dict[tuple[object, ...], list[str]] = {}
    said: dict[tuple[object, ...], Row] = {}
    for row in reference():
        same = row[1:]
        rows.setdefault(same, []).extend(row.variables)
        said.setdefault(same, row)
    return table(
        ("Variable", "Takes", "Default", "Meaning"),
        (
            (names(variables), said[same].takes, said[same].default, said[same].says)
            for same, variables in rows.items()
        ),
    )


def names(variables: Iterable[str]) -> str:
    """Variables of one option, special ones before those that they win over, each once."""
    unique = dict.fromkeys(variables)
    shared = [name for name in unique if list(variables).count(name) > 1]
    return "<br>".join(f"`{name}`" for name in [*(n for n in unique if n not in shared), *shared])


def metrics() -> str:
    """The table of all metrics of ours."""
    return table(
        ("Metric", "Kind", "Unit", "Attributes", "Meaning"),
        (
            (f"`{name}`", kind.replace("_", " "), f"`{unit}`", code_list(attributes), says)
            for name, kind, unit, attributes, says in catalog.reference()
        ),
    )


def code_list(text: str) -> str:
    """A comma list with each element as code."""
    return ", ".join(f"`{part}`" for part in text.split(", ") if part)


def speed(folder: Path) -> str:
    """The figures of the last whole run of the benchmarks. Raises NoSection where there are none."""
    page = folder / RESULTS
    if not page.exists():
        raise NoSection(f"there is no {RESULTS}: run `make bench`")
    _title, _, rest = page.read_text().partition("\n")
    # Its sections stand one level lower here.
    return re.sub(r"^(#+ )", r"#\1", rest, flags=re.MULTILINE).strip()


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; bars within a cell are kept."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = (re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the page that is named. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="otelc2c.scripts.reference", description=__doc__)
    parser.add_argument("page", nargs="?", type=Path, default=Path("README.md"))
    asked = parser.parse_args(arguments)
    try:
        asked.page.write_text(filled(asked.page.read_text(), sections(asked.page.parent)))
    except (OSError, NoSection) as why:
        print(f"reference: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
