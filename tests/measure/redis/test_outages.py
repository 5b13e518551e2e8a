"""Redis frozen, killed, slow, absent: spans and metrics say so, and nothing of ours waits."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.measure.kit import Kit, Seen
from tests.measure.redis.work import client_of, names, operations
from tests.services.redis_server import RedisServer, free_port

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("instrumentor")]


def no_retries() -> Any:
    return redis.retry.Retry(redis.backoff.NoBackoff(), 0)


def failing(server: RedisServer, break_it: Callable[[], None], **options: Any) -> Seen:
    """The span of a command that fails when this was done to the server, and whose metric is the same."""
    with Kit() as kit, client_of(server, retry=no_retries(), **options) as client:
        client.ping()
        break_it()
        with pytest.raises(redis.RedisError):
            client.get("key")
    assert names(kit) == ["PING", "GET"]
    (kind,) = (error for name, error in operations(kit) if name == "GET")
    assert kit.spans[1].attributes["error.type"] == kind
    assert kit.spans[1].wire.status.code == 2
    return kit.spans[1]


def seconds(span: Seen) -> float:
    return (span.wire.end_time_unix_nano - span.wire.start_time_unix_nano) * 1e-9


def test_a_frozen_server_is_a_timeout_of_the_applications_length(server: RedisServer) -> None:
    """F-40, faults 0.13: redis-py waits as long as it was told to; nothing of ours waits."""
    span = failing(server, server.freeze, socket_timeout=0.2)
    assert span.attributes["error.type"] == "TimeoutError"
    assert 0.2 <= seconds(span) < 1


def test_a_server_that_was_killed_is_a_broken_connection(tmp_path: Path) -> None:
    """F-41."""
    with RedisServer(tmp_path) as own:
        span = failing(own, own.kill)
        assert span.attributes["error.type"] == "ConnectionError"
        own.start()
        with Kit() as kit, client_of(own) as client:
            client.get("key")
        assert operations(kit) == Counter({("GET", None): 1})


def test_a_slow_server_is_a_long_operation(server: RedisServer) -> None:
    with Kit() as kit, client_of(server) as client:
        client.ping()
        server.freeze()
        thaw = threading.Timer(0.2, server.thaw)
        thaw.start()
        client.get("key")
        thaw.join()
    assert 0.15 <= seconds(kit.spans[1]) < 2
    assert operations(kit) == Counter({("PING", None): 1, ("GET", None): 1})


def test_a_server_that_is_not_there_is_one_failure_whatever_redis_py_tries() -> None:
    """Attempts are redis-py's own; a call is one operation."""
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 3)
    with Kit() as kit:
        client = redis.Redis(port=free_port(), retry=retry)
        with pytest.raises(redis.ConnectionError):
            client.get("key")
    assert operations(kit) == Counter({("GET", "ConnectionError"): 1})


def test_a_task_that_is_cancelled_is_told(server: RedisServer) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis(port=server.port) as client:
            task = asyncio.create_task(client.blpop(["nothing"], timeout=30))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await client.ping()

    with Kit() as kit:
        asyncio.run(main())
    assert operations(kit) == Counter({("BLPOP", "CancelledError"): 1, ("PING", None): 1})


def test_after_a_timeout_answers_match_their_questions(server: RedisServer) -> None:
    """T45: the connection of a command that timed out is not used again."""
    with Kit() as kit, client_of(server, retry=no_retries(), socket_timeout=0.1) as client:
        client.set("one", 1)
        client.set("two", 2)
        server.freeze()
        with pytest.raises(redis.TimeoutError):
            client.get("one")
        server.thaw()
        assert client.get("two") == b"2"
    assert operations(kit)["GET", "TimeoutError"] == operations(kit)["GET", None] == 1
