"""What an application gets from redis-py is what it gets without us: results, exceptions, tracebacks."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from otelc2c.measure.redis.instrumentor import RedisInstrumentor
from tests.measure.kit import Kit
from tests.services.redis_server import RedisServer, free_port

pytestmark = pytest.mark.services

OURS = str(Path(__file__).parents[3] / "otelc2c")


def observed(result: Any, error: BaseException | None) -> tuple[Any, ...]:
    """A result, or what an application can see of an exception, but for our frames and line numbers."""
    if error is None:
        return type(result), [repr(each) for each in result] if isinstance(result, list) else repr(result)
    frames = [
        frame.name
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(OURS) or frame.name == "execute_command"
    ]
    # Ours stands before redis-py's of the same name, or in its place.
    frames = [name for name, _ in groupby(frames)]
    chain = []
    seen: BaseException | None = error
    while seen is not None:
        chain.append((type(seen), str(seen), seen.__suppress_context__, type(seen.__cause__)))
        seen = seen.__cause__ or seen.__context__
    return (*chain, *frames)


def pipe(client: Any, *commands: tuple[Any, ...], transaction: bool = True, **options: Any) -> Any:
    made = client.pipeline(transaction=transaction)
    for command in commands:
        made.execute_command(*command)
    return made.execute(**options)


def overtaken(client: Any) -> Any:
    """Somebody else changes the key that is watched."""
    with client.pipeline() as made:
        made.watch("key")
        client.set("key", "other")
        made.multi()
        made.set("key", "mine")
        return made.execute()


CALLS: dict[str, Callable[[Any], Any]] = {
    "a value": lambda client: client.get("text"),
    "nothing": lambda client: client.get("nothing"),
    "a dictionary": lambda client: client.hgetall("hash"),
    "words": lambda client: client.execute_command("MGET", "text", "nothing"),
    "a command in small letters": lambda client: client.execute_command("get", "text"),
    "bytes": lambda client: client.execute_command(b"GET", b"text"),
    "bytes that may change": lambda client: client.execute_command(bytearray(b"GET"), "text"),
    "an option": lambda client: client.execute_command("GET", "text", NEVER_DECODE=True),
    "the wrong type": lambda client: client.lpush("text", 1),
    "no number": lambda client: client.incr("text"),
    "no command": lambda client: client.execute_command("NOTHING", "x"),
    "too few words": lambda client: client.execute_command("SET", "x"),
    "no word at all": lambda client: client.execute_command(),
    "a word of no type": lambda client: client.set("text", object),
    "no script": lambda client: client.evalsha("0" * 40, 0),
    "a script that fails": lambda client: client.eval("return redis.error_reply('MYERR x')", 0),
    "a pipeline": lambda client: pipe(client, ("GET", "text"), ("GET", "nothing"), transaction=False),
    "a transaction": lambda client: pipe(client, ("GET", "text"), ("SET", "new", 1)),
    "an empty pipeline": pipe,
    "a pipeline with an error": lambda client: pipe(
        client, ("GET", "text"), ("INCR", "text"), ("GET", "text"), transaction=False
    ),
    "a pipeline with errors as values": lambda client: pipe(
        client, ("GET", "text"), ("INCR", "text"), transaction=False, raise_on_error=False
    ),
    "a transaction with an error": lambda client: pipe(client, ("SET", "new", 1), ("INCR", "text")),
    "a transaction with errors as values": lambda client: pipe(
        client, ("INCR", "text"), ("GET", "text"), raise_on_error=False
    ),
    "a transaction that is refused": lambda client: pipe(client, ("GET", "text"), ("SET", "x")),
    "a pipeline with a word of no type": lambda client: pipe(client, ("SET", "x", object)),
    "a pipeline with a wrong argument": lambda client: pipe(client, ("GET", "x"), unknown=1),
    "a transaction that was overtaken": overtaken,
    "a function in a transaction": lambda client: client.transaction(lambda made: made.set("x", 1), "key"),
    "a lock that is lost": lambda client: client.lock("text", blocking=False).release(),
}


async def pipe_in_a_task(
    client: Any, *commands: tuple[Any, ...], transaction: bool = True, **options: Any
) -> Any:
    made = client.pipeline(transaction=transaction)
    for command in commands:
        made.execute_command(*command)
    return await made.execute(**options)


async def overtaken_in_a_task(client: Any) -> Any:
    """As `overtaken`."""
    async with client.pipeline() as made:
        await made.watch("key")
        await client.set("key", "other")
        made.multi()
        made.set("key", "mine")
        return await made.execute()


CALLS_IN_A_TASK: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "a value": lambda client: client.get("text"),
    "a dictionary": lambda client: client.hgetall("hash"),
    "the wrong type": lambda client: client.lpush("text", 1),
    "no command": lambda client: client.execute_command("NOTHING", "x"),
    "no word at all": lambda client: client.execute_command(),
    "a word of no type": lambda client: client.set("text", object),
    "a pipeline": lambda client: pipe_in_a_task(client, ("GET", "text"), ("SET", "x", 1), transaction=False),
    "a pipeline with an error": lambda client: pipe_in_a_task(client, ("GET", "text"), ("INCR", "text")),
    "a pipeline with errors as values": lambda client: pipe_in_a_task(
        client, ("INCR", "text"), raise_on_error=False
    ),
    "a pipeline with a wrong argument": lambda client: pipe_in_a_task(client, ("GET", "x"), unknown=1),
    "a transaction that was overtaken": overtaken_in_a_task,
}


@pytest.fixture
def instrumentor() -> Iterator[RedisInstrumentor]:
    """Not switched on yet."""
    made = RedisInstrumentor()
    yield made
    if made.is_instrumented_by_opentelemetry:
        made.uninstrument()


def prepared(server: RedisServer) -> None:
    server.say("FLUSHALL")
    server.say("SET text words")
    server.say("HSET hash field value")


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    try:
        return observed(call(), None)
    except Exception as error:
        return observed(None, error)


def both_ways(instrumentor: RedisInstrumentor, call: Callable[[], Any], measured: int = 1) -> None:
    """The same call without us and with us."""
    without = outcome(call)
    with Kit() as kit:
        instrumentor.instrument(skip_dep_check=True)
        assert outcome(call) == without
    assert len(kit.spans) >= measured


@pytest.mark.parametrize("name", CALLS)
def test_an_application_sees_no_difference(
    server: RedisServer, instrumentor: RedisInstrumentor, name: str
) -> None:
    def call() -> Any:
        prepared(server)
        with redis.Redis(port=server.port) as client:
            return CALLS[name](client)

    both_ways(instrumentor, call, measured=name not in {"an empty pipeline", "a lock that is lost"})


@pytest.mark.parametrize("name", CALLS_IN_A_TASK)
def test_an_application_in_tasks_sees_no_difference(
    server: RedisServer, instrumentor: RedisInstrumentor, name: str
) -> None:
    async def main() -> Any:
        async with redis.asyncio.Redis(port=server.port) as client:
            return await CALLS_IN_A_TASK[name](client)

    def call() -> Any:
        prepared(server)
        return asyncio.run(main())

    both_ways(instrumentor, call)


def test_a_server_that_refuses_is_refused_as_without_us(instrumentor: RedisInstrumentor) -> None:
    port = free_port()
    both_ways(instrumentor, lambda: redis.Redis(port=port, retry=None).get("key"))


def test_a_timeout_is_a_timeout_as_without_us(server: RedisServer, instrumentor: RedisInstrumentor) -> None:
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 1)

    def call() -> Any:
        with redis.Redis(port=server.port, socket_timeout=0.05, retry=retry) as client:
            return client.get("key")

    server.freeze()
    both_ways(instrumentor, call)


def test_a_password_that_is_missing_is_asked_for_as_without_us(
    tmp_path: Path, instrumentor: RedisInstrumentor
) -> None:
    with RedisServer(tmp_path, "--requirepass", "hunter2") as closed:
        both_ways(instrumentor, lambda: redis.Redis(port=closed.port).get("key"))
        assert redis.Redis(port=closed.port, password="hunter2").ping()
