"""Clients that a sentinel sends to their server: its address is told, before and after a failover."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.measure.kit import Kit, Seen
from tests.measure.redis.work import operations
from tests.process.waiting import until
from tests.services.redis_server import HOST, SECONDS, SERVICE, Watched, watched

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("instrumentor")]


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("sentinel")) as made:
        yield made


def port_of(span: Seen) -> Any:
    assert span.attributes.get("server.address", HOST) == HOST
    return span.attributes.get("server.port")


def told(kit: Kit) -> list[tuple[str, Any]]:
    return [(span.name, port_of(span)) for span in kit.spans]


def test_the_masters_and_the_replicas_address_are_told(system: Watched) -> None:
    """What is asked of the sentinel on the way is a part of the command."""
    sentinel = redis.Sentinel([(HOST, system.sentinel.port)])
    with Kit() as kit, sentinel.master_for(SERVICE) as master, sentinel.slave_for(SERVICE) as replica:
        master.set("key", "value")
        replica.get("key")
        with master.pipeline() as pipe:
            pipe.watch("key")
            pipe.multi()
            pipe.get("key").execute()
    assert told(kit) == [
        ("SET", system.master.port),
        ("GET", system.replica.port),
        ("WATCH", system.master.port),
        ("MULTI GET", system.master.port),
    ]
    for each in sentinel.sentinels:
        each.close()


def test_the_masters_and_the_replicas_address_are_told_in_tasks(system: Watched) -> None:
    async def main() -> None:
        sentinel = redis.asyncio.Sentinel([(HOST, system.sentinel.port)])
        async with sentinel.master_for(SERVICE) as master, sentinel.slave_for(SERVICE) as replica:
            await asyncio.gather(*(master.set(f"key-{number}", "value") for number in range(5)))
            await replica.get("key")
            async with master.pipeline() as pipe:
                await pipe.get("key").get("key").execute()
        for each in sentinel.sentinels:
            await each.aclose()

    with Kit() as kit:
        asyncio.run(main())
    assert told(kit) == [
        *[("SET", system.master.port)] * 5,
        ("GET", system.replica.port),
        ("MULTI GET", system.master.port),
    ]


def test_what_the_application_asks_a_sentinel_is_a_command(system: Watched) -> None:
    sentinel = redis.Sentinel([(HOST, system.sentinel.port)])
    with Kit() as kit:
        assert sentinel.discover_master(SERVICE) == (HOST, system.master.port)
    assert told(kit) == [("SENTINEL MASTERS", system.sentinel.port)]
    for each in sentinel.sentinels:
        each.close()


def test_after_a_failover_the_new_masters_address_is_told(system: Watched) -> None:
    """Failures in between are counted at the old one."""
    sentinel = redis.Sentinel([(HOST, system.sentinel.port)])
    old, new = system.master.port, system.replica.port
    with Kit() as kit, sentinel.master_for(SERVICE) as master:
        master.set("key", "value")
        system.master.kill()
        with pytest.raises(redis.ConnectionError):
            master.get("key")
        until(system.replica_is_master, SECONDS, "the replica is the master")
        master.set("key", "value")
    assert told(kit) == [("SET", old), ("GET", old), ("SET", new)]
    assert operations(kit)["GET", "ConnectionError"] == 1
    for each in sentinel.sentinels:
        each.close()


def test_without_a_sentinel_no_address_is_told(system: Watched) -> None:
    system.sentinel.kill()
    once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    sentinel = redis.Sentinel([(HOST, system.sentinel.port)], sentinel_kwargs={"retry": once})
    master = sentinel.master_for(SERVICE, retry=once)
    with Kit() as kit, master, pytest.raises(redis.ConnectionError):
        master.get("key")
    assert told(kit) == [("GET", None)]
    assert operations(kit)["GET", "MasterNotFoundError"] == 1
    for each in sentinel.sentinels:
        each.close()
