"""Spans of Redis commands: below what runs, as long as the call, at their server."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import redis
import redis.asyncio
from opentelemetry import trace

from otelc2c.wsgi import Measured
from tests.measure.corpus import make_environ, observe
from tests.measure.kit import Kit
from tests.measure.redis.work import NAME, client_of
from tests.services.redis_server import RedisServer

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("instrumentor")]


def test_spans_hang_under_what_runs(server: RedisServer) -> None:
    """Also those of a pipeline, whose servers are collected in the context; what they do is never current."""
    currents = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        client.set("key", 1)
        with trace.get_tracer("app", tracer_provider=kit.provider).start_as_current_span("part"):
            client.get("key")
            with client.pipeline() as pipe:
                pipe.get("key").execute()
            currents.append(trace.get_current_span().get_span_context().span_id)
        start_response("200 OK", [])
        return [b""]

    with Kit() as kit, client_of(server) as client:
        observe(Measured(application), make_environ({}))
    part, root = kit.named("part"), kit.server()
    assert currents == [int.from_bytes(part.id)]
    assert {span.name: span.parent for span in kit.spans} == {
        "SET": root.id,
        "GET": part.id,
        "MULTI GET": part.id,
        "part": root.id,
        root.name: b"",
    }
    assert root.attributes["otelc2c.redis.count"] == 3


def test_tasks_of_different_requests_keep_their_parents(server: RedisServer) -> None:
    tracer_of = trace.get_tracer

    async def one(client: Any, number: int) -> None:
        with tracer_of("app", tracer_provider=kit.provider).start_as_current_span(f"task {number}"):
            await client.set(f"key-{number}", 1)
            async with client.pipeline() as pipe:
                await pipe.get(f"key-{number}").execute()

    async def main() -> None:
        async with redis.asyncio.Redis(port=server.port) as client:
            await asyncio.gather(*(one(client, number) for number in range(20)))

    with Kit() as kit:
        asyncio.run(main())
    parents = {span.id: span.name for span in kit.spans if span.name.startswith("task")}
    children = Counter((parents[span.parent], span.name) for span in kit.spans if span.id not in parents)
    assert children == Counter(
        {(f"task {number}", name): 1 for number in range(20) for name in ("SET", "MULTI GET")}
    )


def test_a_span_lasts_as_long_as_the_call(server: RedisServer) -> None:
    with Kit() as kit, client_of(server) as client:
        client.blpop(["nothing"], timeout=0.05)
    span = kit.span.wire
    assert 0.05 <= (span.end_time_unix_nano - span.start_time_unix_nano) * 1e-9 < 5


@pytest.mark.parametrize("lasting", [True, False])
def test_the_server_is_told(server: RedisServer, lasting: bool) -> None:
    url = f"redis://127.0.0.1:{server.port}/3"
    with Kit() as kit, redis.Redis.from_url(url, single_connection_client=lasting) as client:
        client.ping()
    told = kit.span.attributes
    assert (told["server.address"], told["server.port"], told["db.namespace"]) == (
        "127.0.0.1",
        server.port,
        "3",
    )
    assert kit.points(NAME).keys() == {
        frozenset(
            {
                ("db.system.name", "redis"),
                ("db.operation.name", "PING"),
                ("db.namespace", "3"),
                ("server.address", "127.0.0.1"),
                ("server.port", server.port),
            }
        )
    }


def test_a_socket_is_told(server: RedisServer) -> None:
    path = server.say("CONFIG GET unixsocket").decode().split("\r\n")[4]
    with Kit() as kit, redis.Redis(unix_socket_path=path) as client:
        client.ping()
        with client.pipeline() as pipe:
            pipe.ping().execute()
    assert [span.attributes["server.address"] for span in kit.spans] == [path, path]
    assert [span.attributes["network.transport"] for span in kit.spans] == ["unix", "unix"]
