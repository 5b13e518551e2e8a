"""Clients of a cluster: one operation a call, at the node that answered, whatever redirections there were."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.measure.kit import Kit
from tests.measure.redis.work import names, operations
from tests.services.redis_server import HOST, RedisServer, cluster

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("instrumentor")]

KEYS = ("a", "b", "c")
"""Their slots are those of the third, the first and the second node."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def ports(kit: Kit) -> list[Any]:
    return [span.attributes.get("server.port") for span in kit.spans]


def test_a_command_is_told_at_its_node(nodes: list[RedisServer]) -> None:
    with redis.RedisCluster(host=HOST, port=nodes[0].port) as client, Kit() as kit:
        for key in KEYS:
            client.set(key, "value")
    assert names(kit) == ["SET"] * 3
    assert ports(kit) == [nodes[2].port, nodes[0].port, nodes[1].port]


def test_a_command_of_a_task_is_told_at_its_node(nodes: list[RedisServer]) -> None:
    """The nodes that were asked who the nodes are do not count."""

    async def main() -> None:
        async with redis.asyncio.RedisCluster(host=HOST, port=nodes[0].port) as client:
            await asyncio.gather(*(client.set(key, "value") for key in KEYS))

    with Kit() as kit:
        asyncio.run(main())
    assert names(kit) == ["SET"] * 3
    assert sorted(ports(kit)) == sorted(node.port for node in nodes)


def test_a_command_for_all_nodes_is_one_operation(nodes: list[RedisServer]) -> None:
    with redis.RedisCluster(host=HOST, port=nodes[0].port) as client, Kit() as kit:
        client.dbsize()
    assert operations(kit) == Counter({("DBSIZE", None): 1})


def moved(client: Any, key: str) -> None:
    """Let the client believe that a key is elsewhere."""
    slot = client.keyslot(key)
    right = client.get_node_from_key(key)
    wrong = next(node for node in client.get_primaries() if node != right)
    client.nodes_manager.slots_cache[slot] = [wrong]


def test_a_redirection_is_a_part_of_the_command(nodes: list[RedisServer]) -> None:
    with redis.RedisCluster(host=HOST, port=nodes[0].port) as client:
        client.set("a", "value")
        moved(client, "a")
        with Kit() as kit:
            assert client.get("a") == b"value"
    assert names(kit) == ["GET"]
    assert ports(kit) == [nodes[2].port]


def test_a_redirection_is_a_part_of_the_pipeline(nodes: list[RedisServer]) -> None:
    async def main() -> None:
        async with redis.asyncio.RedisCluster(host=HOST, port=nodes[0].port) as client:
            await client.initialize()
            moved(client, "a")
            pipe = client.pipeline()
            pipe.get("a").get("b")
            await pipe.execute()

    with redis.RedisCluster(host=HOST, port=nodes[0].port) as client:
        moved(client, "a")
        with Kit() as kit, client.pipeline() as pipe:
            pipe.get("a").get("b")
            pipe.execute()
            asyncio.run(main())
    assert names(kit) == ["PIPELINE GET"] * 2


def test_a_pipeline_has_the_address_of_its_node_if_there_is_one(nodes: list[RedisServer]) -> None:
    async def main() -> None:
        async with redis.asyncio.RedisCluster(host=HOST, port=nodes[0].port) as client:
            for keys in (KEYS[:1], KEYS):
                pipe = client.pipeline()
                for key in keys:
                    pipe.get(key)
                await pipe.execute()

    with redis.RedisCluster(host=HOST, port=nodes[0].port) as client, Kit() as kit:
        for keys in (KEYS[:1], KEYS):
            with client.pipeline() as pipe:
                for key in keys:
                    pipe.get(key)
                pipe.execute()
        asyncio.run(main())
    assert names(kit) == ["PIPELINE GET"] * 4
    assert ports(kit) == [nodes[2].port, None] * 2
    assert [span.attributes.get("db.operation.batch.size") for span in kit.spans] == [None, 3] * 2


def test_who_says_which_nodes_there_are_does_not_count(nodes: list[RedisServer]) -> None:
    async def main() -> None:
        client = redis.asyncio.RedisCluster(host=HOST, port=nodes[0].port)
        pipe = client.pipeline()
        pipe.get("a")
        await pipe.execute()
        await client.aclose()

    with Kit() as kit:
        asyncio.run(main())
    assert names(kit) == ["PIPELINE GET"]
    assert ports(kit) == [nodes[2].port]


def test_a_transaction_watches_and_is_told(nodes: list[RedisServer]) -> None:
    async def main() -> None:
        at = redis.asyncio.RedisCluster(host=HOST, port=nodes[0].port)
        async with at as client, client.pipeline(transaction=True) as pipe:
            await pipe.watch("{a}1")
            pipe.multi()
            pipe.set("{a}1", 1).set("{a}2", 2)
            await pipe.execute()

    with redis.RedisCluster(host=HOST, port=nodes[0].port) as client, Kit() as kit:
        with client.pipeline(transaction=True) as pipe:
            pipe.watch("{a}1")
            pipe.multi()
            pipe.set("{a}1", 1).set("{a}2", 2)
            pipe.execute()
        asyncio.run(main())
    assert names(kit) == ["WATCH", "MULTI SET"] * 2
    assert ports(kit) == [nodes[2].port] * 4


def test_failures_are_counted(nodes: list[RedisServer]) -> None:
    with redis.RedisCluster(host=HOST, port=nodes[0].port) as client:
        client.set("a", "text")
        with Kit() as kit:
            for _ in range(3):
                with pytest.raises(redis.ResponseError):
                    client.incr("a")
            with pytest.raises(redis.exceptions.RedisClusterException):
                client.mset({"a": 1, "b": 2})
            with client.pipeline() as pipe:
                assert pipe.execute() == []
    assert operations(kit) == Counter({("INCRBY", "ResponseError"): 3, ("MSET", "RedisClusterException"): 1})
