"""redis-py is measured: each call once, with its error, its server and its parent."""

import asyncio
import contextvars
import functools
import inspect
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from opentelemetry.instrumentation.utils import suppress_instrumentation

from otelc2c import guard
from otelc2c.measure.redis import instrumentor as module
from otelc2c.measure.redis.instrumentor import RedisInstrumentor
from otelc2c.wsgi import Measured
from tests.measure.corpus import make_environ, observe
from tests.measure.kit import Kit, sampled_out
from tests.measure.redis.work import NAME, WORK, client_of, names, operations, times, work, work_in_a_task
from tests.services.redis_server import RedisServer

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("instrumentor")]

ROOT = Path(__file__).parents[3]


def test_each_operation_is_counted_once_with_its_error(server: RedisServer) -> None:
    """Success and failure by command (MT-06, MT-24)."""
    with Kit() as kit, client_of(server) as client:
        work(client, "key")
    assert operations(kit) == WORK
    assert len(kit.spans) == WORK.total()


def test_threads_count_exactly(server: RedisServer) -> None:
    with Kit() as kit, client_of(server) as client:
        threads = [
            threading.Thread(target=lambda number=number: [work(client, f"key-{number}") for _ in range(10)])
            for number in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert operations(kit) == times(60)
    assert len(kit.spans) == 60 * WORK.total()


def test_tasks_count_exactly(server: RedisServer) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis(port=server.port) as client:
            await asyncio.gather(*(work_in_a_task(client, f"key-{number}") for number in range(30)))

    with Kit() as kit:
        asyncio.run(main())
    assert operations(kit) == times(30)
    assert len(kit.spans) == 30 * WORK.total()


def test_gevent_counts_exactly(server: RedisServer) -> None:
    """In a process of its own, because gevent changes everything in it."""
    command = [sys.executable, "-m", "tests.measure.redis.in_greenlets", str(server.port)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{sorted(times(20).items(), key=str)} {20 * WORK.total()} spans, 20 parents\n"


def test_without_spans_the_numbers_are_the_same(server: RedisServer) -> None:
    with sampled_out() as kit, client_of(server) as client:
        work(client, "key")
    assert operations(kit) == WORK
    assert kit.spans == []


def test_nothing_is_counted_that_was_not_sent(server: RedisServer) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis(port=server.port) as client, client.pipeline() as pipe:
            assert await pipe.execute() == []

    with Kit() as kit, client_of(server) as client, client.pipeline() as pipe:
        assert pipe.execute() == []
        pipe.get("waiting")
        asyncio.run(main())
    assert kit.spans == []


def test_what_a_pipeline_asks_for_itself_is_a_part_of_it(server: RedisServer) -> None:
    """Scripts that it needs are loaded first; that is one call of the application's."""

    async def main() -> None:
        async with redis.asyncio.Redis(port=server.port) as client, client.pipeline() as pipe:
            await client.register_script("return 2")(client=pipe)
            assert await pipe.execute() == [2]

    with Kit() as kit, client_of(server) as client, client.pipeline() as pipe:
        client.register_script("return 1")(client=pipe)
        assert pipe.execute() == [1]
        asyncio.run(main())
    assert names(kit) == ["MULTI EVALSHA", "MULTI EVALSHA"]


def test_what_began_during_an_operation_is_measured_when_that_is_over(server: RedisServer) -> None:
    """A task or a thread keeps the context in which it was started."""
    kept: list[contextvars.Context] = []

    class Keeping(redis.client.Pipeline):
        def load_scripts(self) -> None:
            kept.append(contextvars.copy_context())
            super().load_scripts()

    with Kit() as kit, client_of(server) as client:
        pipe = Keeping(client.connection_pool, client.response_callbacks, True, None)
        client.register_script("return 1")(client=pipe)
        pipe.execute()
        kept[0].run(client.ping)
    assert names(kit) == ["MULTI EVALSHA", "PING"]


def test_locks_and_scripts_are_commands(server: RedisServer) -> None:
    with Kit() as kit, client_of(server) as client:
        client.script_load("return 1")
        assert client.register_script("return 1")() == 1
        with client.lock("secret-lock"):
            pass
    assert names(kit)[:3] == ["SCRIPT LOAD", "EVALSHA", "SET"]
    assert kit.spans[1].attributes["db.stored_procedure.name"] == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"


def test_a_watched_key_is_seen_and_its_loss_is_told(server: RedisServer) -> None:
    with Kit() as kit, client_of(server) as client, client.pipeline() as pipe:
        pipe.watch("key")
        pipe.get("key")
        client.set("key", "other")
        pipe.multi()
        pipe.set("key", "mine").set("key", "mine")
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert names(kit) == ["WATCH", "GET", "SET", "MULTI SET"]
    assert operations(kit)["MULTI SET", "WatchError"] == 1
    assert kit.spans[-1].attributes["db.operation.batch.size"] == 2
    assert kit.spans[-1].wire.status.code == 0


def test_errors_that_a_pipeline_returns_are_no_errors_of_it(server: RedisServer) -> None:
    """As contrib: the application asked for them as values."""
    with Kit() as kit, client_of(server) as client, client.pipeline(transaction=False) as pipe:
        pipe.set("key", "text").incr("key").get("key")
        done, error, text = pipe.execute(raise_on_error=False)
    assert (done, text) == (True, b"text")
    assert isinstance(error, redis.ResponseError)
    assert operations(kit) == Counter({("PIPELINE", None): 1})
    assert kit.span.attributes["db.query.text"] == "SET ? ?\nINCRBY ? ?\nGET ?"


def test_listening_is_left_alone(server: RedisServer) -> None:
    """F-41: subscribing, waiting for messages, and subscribing again after a break."""
    with Kit() as kit, client_of(server) as client, client.pubsub() as listener:
        listener.subscribe("channel")
        listener.get_message(timeout=1)
        client.publish("channel", "message")
        assert listener.get_message(timeout=1)["data"] == b"message"
        listener.connection.disconnect()
        listener.get_message(timeout=0.01)
    assert names(kit) == ["PUBLISH"]


def test_nothing_is_recorded_where_it_is_suppressed(server: RedisServer) -> None:
    """Health checks, and whoever asks for it."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        client.set("key", 1)
        with client.pipeline() as pipe:
            pipe.get("key").execute()
        start_response("200 OK", [])
        return [b""]

    with Kit() as kit, client_of(server) as client:
        observe(Measured(application), make_environ({"PATH_INFO": "/health_check"}))
        with suppress_instrumentation():
            application({}, lambda *_: None)
    assert kit.points(NAME) == {}
    assert kit.spans == []


# -- the application's side ---------------------------------------------------------------------------


def test_a_client_made_before_is_measured_and_one_left_over_is_not(
    server: RedisServer, instrumentor: RedisInstrumentor
) -> None:
    before = redis.Redis.execute_command
    with Kit() as kit, client_of(server) as client:
        client.ping()
        instrumentor.uninstrument()
        assert redis.Redis.execute_command is not before
        client.ping()
        instrumentor.instrument(skip_dep_check=True)
        client.ping()
    assert names(kit) == ["PING", "PING"]


def test_what_somebody_else_put_there_before_is_called(
    server: RedisServer, instrumentor: RedisInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    instrumentor.uninstrument()
    original = redis.Redis.execute_command
    seen: list[Any] = []

    @functools.wraps(original)
    def theirs(self: Any, *args: Any, **options: Any) -> Any:
        seen.append(args)
        return original(self, *args, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", theirs)
    instrumentor.instrument(skip_dep_check=True)
    with Kit() as kit, client_of(server) as client:
        client.ping()
    instrumentor.uninstrument()
    assert redis.Redis.execute_command is theirs
    instrumentor.instrument(skip_dep_check=True)
    assert (seen, names(kit)) == ([("PING",)], ["PING"])


def test_what_was_replaced_is_put_back(instrumentor: RedisInstrumentor) -> None:
    instrumentor.uninstrument()
    classes = [
        *(
            redis.client.Redis,
            redis.client.Pipeline,
            redis.cluster.RedisCluster,
            redis.cluster.ClusterPipeline,
        ),
        *(redis.asyncio.client.Redis, redis.asyncio.client.Pipeline, redis.asyncio.cluster.RedisCluster),
        *(redis.sentinel.SentinelManagedConnection, redis.asyncio.sentinel.SentinelManagedConnection),
    ]
    ours = [
        (made, name)
        for made in classes
        for name, value in vars(made).items()
        if inspect.isfunction(value) and "otelc2c" in value.__code__.co_filename
    ]
    assert ours == []


def test_coroutine_functions_stay_coroutine_functions() -> None:
    assert inspect.iscoroutinefunction(redis.asyncio.Redis.execute_command)
    assert inspect.iscoroutinefunction(redis.asyncio.client.Pipeline.execute)
    assert not inspect.iscoroutinefunction(redis.Redis.execute_command)


def test_without_a_measurer_everything_is_as_without_us(server: RedisServer) -> None:
    with client_of(server) as client:
        work(client, "key")


def test_a_failure_of_ours_never_reaches_the_application(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.strict(False)

    def fail(*_: Any) -> Any:
        raise OSError("ours")

    with Kit() as kit, client_of(server) as client:
        for name in ("code_of", "name_of", "place_of", "error_type"):
            monkeypatch.setattr(module, name, fail)
        for name in ("code_of", "name_of", "known_place", "batch_name"):
            monkeypatch.setattr(module.running, name, fail)
        client.connection_pool.__dict__.pop("_otelc2c_place", None)
        work(client, "key")
    assert guard.total() >= 5
    assert kit.points(NAME) == {}


def test_a_command_without_a_name_is_the_applications_mistake(server: RedisServer) -> None:
    with Kit() as kit, client_of(server) as client, pytest.raises(IndexError):
        client.execute_command()
    assert operations(kit) == Counter({("_OTHER", "IndexError"): 1})


def test_redis_py_is_not_loaded_before_the_application_wants_it(server: RedisServer) -> None:
    script = (
        "import sys; from tests.measure.kit import Kit\n"
        "from otelc2c.measure.redis.instrumentor import RedisInstrumentor\n"
        "RedisInstrumentor().instrument(); RedisInstrumentor().instrument()\n"
        "assert 'redis' not in sys.modules\n"
        "import redis\n"
        f"with Kit() as kit: redis.Redis(port={server.port}).ping()\n"
        "print(kit.span.name)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.returncode) == ("PING\n", 0), ended.stderr
