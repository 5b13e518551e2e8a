"""What tests do with Redis, and what must be counted of it."""

from collections import Counter
from typing import Any

import pytest
import redis

from tests.measure.kit import Kit
from tests.services.redis_server import RedisServer

NAME = "db.client.operation.duration"


def operations(kit: Kit) -> Counter[tuple[str, str | None]]:
    """How often the metric counts each operation with each error."""
    counted: Counter[tuple[str, str | None]] = Counter()
    for attributes, count in kit.points(NAME).items():
        told = dict(attributes)
        counted[told["db.operation.name"], told.get("error.type")] += count
    return counted


def names(kit: Kit) -> list[str]:
    return [span.name for span in kit.spans]


def client_of(server: RedisServer, **options: Any) -> "redis.Redis[Any]":
    return redis.Redis(port=server.port, **options)  # type: ignore[no-any-return]


def work(client: Any, key: str) -> None:
    """Twelve operations of seven kinds, five of which fail."""
    client.set(key, "text")
    client.get(key)
    for _ in range(2):
        with pytest.raises(redis.ResponseError):
            client.incr(key)
    with pytest.raises(redis.ResponseError):
        client.lpush(key, 1)
    with pytest.raises(redis.DataError):
        client.set(key, {"not": "possible"})
    with client.pipeline(transaction=False) as pipe:
        pipe.get(key).get(key)
        pipe.execute()
    with client.pipeline() as pipe:
        pipe.set(key, 1).incr(key)
        pipe.execute()
        pipe.lpush(key, 1)
        with pytest.raises(redis.ResponseError):
            pipe.execute()
    client.delete(key)
    client.publish("channel", "message")
    client.blpop([f"{key}-list"], timeout=0.01)


WORK = Counter(
    {
        ("SET", None): 1,
        ("GET", None): 1,
        ("INCRBY", "ResponseError"): 2,
        ("LPUSH", "ResponseError"): 1,
        ("SET", "DataError"): 1,
        ("PIPELINE GET", None): 1,
        ("MULTI", None): 1,
        ("MULTI LPUSH", "ResponseError"): 1,
        ("DEL", None): 1,
        ("PUBLISH", None): 1,
        ("BLPOP", None): 1,
    }
)


def times(count: int) -> Counter[tuple[str, str | None]]:
    return Counter({what: number * count for what, number in WORK.items()})


async def work_in_a_task(client: Any, key: str) -> None:
    """The same as `work`."""
    await client.set(key, "text")
    await client.get(key)
    for _ in range(2):
        with pytest.raises(redis.ResponseError):
            await client.incr(key)
    with pytest.raises(redis.ResponseError):
        await client.lpush(key, 1)
    with pytest.raises(redis.DataError):
        await client.set(key, {"not": "possible"})
    async with client.pipeline(transaction=False) as pipe:
        pipe.get(key).get(key)
        await pipe.execute()
    async with client.pipeline() as pipe:
        pipe.set(key, 1).incr(key)
        await pipe.execute()
        pipe.lpush(key, 1)
        with pytest.raises(redis.ResponseError):
            await pipe.execute()
    await client.delete(key)
    await client.publish("channel", "message")
    await client.blpop([f"{key}-list"], timeout=0.01)
