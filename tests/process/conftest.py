"""What the process tests share; all of them carry the marker `process`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.receiver import Receiver
from tests.process.server import free_port

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.process)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A healthy OTLP receiver in a process of its own."""
    with Receiver(tmp_path) as started:
        yield started


@pytest.fixture
def page_port() -> int:
    """A port for the metrics page."""
    return free_port()
