"""One PostgreSQL for all tests that want it."""

from collections.abc import Iterator

import pytest

from tests.services.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that runs as long as the tests."""
    with PostgresServer() as server:
        yield server
