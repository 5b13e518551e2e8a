"""The OTLP receiver as a process of its own, which outlives the servers and can misbehave."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from tests.process.ledger import numbers_of
from tests.process.waiting import steady
from tests.sink import Received, ReceivedSpan, become_at, read_received, spans_of

ROOT = Path(__file__).parents[2]


class Receiver:
    """A receiver at `address`, ended with the block.

    It speaks OTLP over HTTP, or over gRPC where `program` is `tests.process.grpc_sink`, which always
    behaves.
    """

    def __init__(self, folder: Path, program: str = "tests.sink") -> None:
        """Start `program`, which keeps what it gets in `folder`."""
        self._file = folder / "received"
        self._process = subprocess.Popen(
            [sys.executable, "-m", program, "--file", str(self._file)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def become(self, behaviour: str, **changes: float | str) -> None:
        """Answer like this from now on."""
        become_at(self.address, behaviour, **changes)

    def received(self) -> list[Received]:
        """Every request that was accepted so far."""
        return read_received(self._file)

    def spans(self) -> list[ReceivedSpan]:
        """Every span so far, duplicates too."""
        return list(spans_of(self.received()))

    def numbers(self) -> Counter[int]:
        """How often a server span of each numbered request came."""
        return numbers_of(self.spans())

    def wait_numbers(self, wanted: Iterable[int], seconds: float = 5.0) -> Counter[int]:
        """The same, once all `wanted` are there, or when the time is over."""
        wanted = set(wanted)
        steady(lambda: wanted <= self.numbers().keys(), True, seconds)
        return self.numbers()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
