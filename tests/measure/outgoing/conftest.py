"""A service to call, and sessions that are measured."""

from collections.abc import Iterator

import pytest

from otelc2c.measure.outgoing.requests import RequestsInstrumentor
from tests.measure.outgoing.peer import Peer


@pytest.fixture(scope="session")
def _peer() -> Iterator[Peer]:
    with Peer() as running:
        yield running


@pytest.fixture
def peer(_peer: Peer) -> Iterator[Peer]:
    """A service in this process, that has received nothing."""
    _peer.clear()
    yield _peer
    _peer.released.set()


@pytest.fixture
def instrumentor() -> Iterator[RequestsInstrumentor]:
    """Switched on for one test."""
    made = RequestsInstrumentor()
    made.instrument(skip_dep_check=True)
    yield made
    made.uninstrument()
