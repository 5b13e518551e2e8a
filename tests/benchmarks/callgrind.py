"""User-space instructions of a stretch of Python, counted by valgrind's callgrind.

Two sides: the counted program builds a `Counter` and marks its rounds; the program that
wants the figures calls `count`, which runs the other one under valgrind and reads the dumps.
"""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LIBRARY = "OTELC2C_BENCH_COUNTER"


class NotCounted(RuntimeError):
    """The counted program failed, or wrote no dump."""


class Counter:
    """The counted program's side. Outside of valgrind every mark is ignored."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ[LIBRARY])
        self._library.dump.argtypes = [ctypes.c_char_p]

    def start(self) -> None:
        """Count from now on; what ran before went at valgrind's quick pace."""
        self._library.start()
        self._library.zero()

    def zero(self) -> None:
        """Forget what was counted."""
        self._library.zero()

    def dump(self, name: str) -> None:
        """Write down what was counted since the last mark, under a name."""
        self._library.dump(name.encode())
        self._library.zero()


def build_counter(folder: Path) -> Path:
    """The C library that talks to callgrind, compiled into `folder`."""
    library = folder / "counter.so"
    if not library.exists():
        subprocess.run(
            ["gcc", "-O1", "-shared", "-fPIC", "-o", str(library), str(HERE / "counter.c")], check=True
        )
    return library


def count(folder: Path, module: str, arguments: Sequence[str], environ: Mapping[str, str]) -> dict[str, int]:
    """Instructions by mark of `python -m module arguments`, run on one core.

    `environ` is the whole environment. Raises NotCounted with the program's last words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *("taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))),
        *("valgrind", "--tool=callgrind", "--quiet", "--instr-atstart=no", "--collect-jumps=no"),
        f"--callgrind-out-file={folder}/dump.%p",
        *(sys.executable, "-m", module, *arguments),
    ]
    environ = {**environ, "PYTHONHASHSEED": "0", LIBRARY: str(build_counter(folder.parent))}
    ended = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    counted = dict(_dumps(folder))
    if ended.returncode or not counted:
        raise NotCounted(f"{module} {' '.join(arguments)}: {ended.stdout[-2000:]}{ended.stderr[-4000:]}")
    return counted


def _dumps(folder: Path) -> list[tuple[str, int]]:
    """Name and instructions of each dump that a mark asked for, in the order of the marks."""
    found = []
    for path in sorted(folder.glob("dump.*.*"), key=lambda path: int(path.suffix[1:])):
        text = path.read_text(errors="replace")
        name = re.search(r"^desc: Trigger: Client Request: (.+)$", text, re.MULTILINE)
        total = re.search(r"^totals: (\d+)", text, re.MULTILINE)
        if name and total:
            found.append((name[1], int(total[1])))
    return found
