"""An application whose requests ask Redis five times each, and fail twice; TEST_REDIS_URL is where it is."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis
import redis.asyncio

URL = os.environ["TEST_REDIS_URL"]
client = redis.Redis.from_url(URL)


def ask(key: str) -> None:
    """Five operations, with a client of all threads."""
    client.set(key, "text")
    client.get(key)
    with suppress(redis.ResponseError):
        client.incr(key)
    with client.pipeline() as pipe:
        pipe.get(key).get(key).execute()
        pipe.set(key, "text").lpush(key, 1)
        with suppress(redis.ResponseError):
            pipe.execute()


async def ask_in_a_task(key: str) -> None:
    """The same, with a client of one loop."""
    async with redis.asyncio.Redis.from_url(URL) as own:
        await own.set(key, "text")
        await own.get(key)
        with suppress(redis.ResponseError):
            await own.incr(key)
        async with own.pipeline() as pipe:
            await pipe.get(key).get(key).execute()
            pipe.set(key, "text").lpush(key, 1)
            with suppress(redis.ResponseError):
                await pipe.execute()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Asks, in tasks below `/task`."""
    path = environ["PATH_INFO"]
    if path.startswith("/task"):
        asyncio.run(ask_in_a_task(path))
    else:
        ask(path)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"asked"]
