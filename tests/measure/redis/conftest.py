"""A Redis server to work with, and clients that are measured."""

from collections.abc import Iterator

import pytest

from otelc2c.measure.redis.instrumentor import RedisInstrumentor
from tests.services.redis_server import RedisServer


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder = tmp_path_factory.mktemp("redis")
    with RedisServer(folder, "--unixsocket", str(folder / "socket")) as running:
        yield running


@pytest.fixture
def server(_server: RedisServer) -> Iterator[RedisServer]:
    """A server that is empty, and that works again afterwards."""
    _server.say("FLUSHALL")
    yield _server
    _server.thaw()


@pytest.fixture
def instrumentor() -> Iterator[RedisInstrumentor]:
    """Switched on for one test."""
    made = RedisInstrumentor()
    made.instrument(skip_dep_check=True)
    yield made
    made.uninstrument()
