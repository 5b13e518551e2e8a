"""What spans and metrics say of Redis operations (conventions for Redis; contrib for those of before)."""

from typing import Any

import pytest

from otelc2c import catalog
from otelc2c.measure.conventions import Conventions
from otelc2c.measure.redis.names import (
    MOST_TEXT,
    Names,
    Place,
    batch_attributes,
    command_attributes,
    text_of,
    text_of_batch,
)
from otelc2c.record import wire

NEW = Conventions(old=False, new=True)
OLD = Conventions(old=True, new=False)
BOTH = Conventions(old=True, new=True)
HERE = Place("cache.example.com", 6380, unix=False, database="3")
SOCKET = Place("/run/redis.sock", None, unix=True, database="0")
NOWHERE = Place(None, None, unix=False, database="0")

WITH_NEW_NAMES = {
    "db.system.name": "redis",
    "db.operation.name": "SET",
    "db.namespace": "3",
    "db.query.text": "SET ? ?",
    "server.address": "cache.example.com",
    "server.port": 6380,
    "network.transport": "tcp",
}
WITH_OLD_NAMES = {
    "db.system": "redis",
    "db.statement": "SET ? ?",
    "db.redis.database_index": 3,
    "net.peer.name": "cache.example.com",
    "net.peer.port": 6380,
    "net.transport": "ip_tcp",
}


@pytest.mark.parametrize(
    ("conventions", "expected"),
    [(NEW, WITH_NEW_NAMES), (OLD, WITH_OLD_NAMES), (BOTH, WITH_NEW_NAMES | WITH_OLD_NAMES)],
)
def test_a_command_is_told_with_the_names_that_were_asked_for(
    conventions: Conventions, expected: dict[str, Any]
) -> None:
    described = Names(conventions).describe(("SET", 3, HERE, None, None))
    assert described.name == "SET"
    assert described.attributes == expected
    assert described.error is None


def test_the_metric_has_the_stable_names_whatever_was_asked_for() -> None:
    expected = ("redis", "GET", None, "3", "cache.example.com", 6380, None, "WRONGTYPE", "ResponseError")
    for conventions in (NEW, OLD, BOTH):
        described = Names(conventions).describe(("GET", 2, HERE, "ResponseError", "WRONGTYPE"))
        assert described.values == expected
        assert len(described.values) == len(catalog.DB_CLIENT_OPERATION_DURATION.attributes)


def test_a_failure_is_an_error_with_its_type_and_the_code_of_the_reply() -> None:
    described = Names(NEW).describe(("GET", 2, HERE, "ResponseError", "WRONGTYPE"))
    assert described.attributes["error.type"] == "ResponseError"
    assert described.attributes["db.response.status_code"] == "WRONGTYPE"
    assert described.error == ""


def test_a_transaction_that_somebody_was_faster_than_has_not_failed() -> None:
    """As contrib, which leaves the status unset; the metric tells how often it happens."""
    described = Names(NEW).describe(("MULTI SET", 0, HERE, "WatchError", None))
    assert described.error is None
    assert described.attributes["error.type"] == described.values[-1] == "WatchError"


def test_a_socket_is_an_address_without_a_port() -> None:
    told = Names(BOTH).describe(("PING", 1, SOCKET, None, None)).attributes
    assert told["server.address"] == told["net.peer.name"] == "/run/redis.sock"
    assert told["network.transport"] == "unix"
    assert told["net.transport"] == "other"
    assert not {"server.port", "net.peer.port"} & told.keys()


def test_an_address_that_is_not_known_is_left_out() -> None:
    told = Names(BOTH).describe(("PIPELINE", 0, NOWHERE, None, None)).attributes
    assert told.keys() == {
        "db.system.name",
        "db.operation.name",
        "db.namespace",
        "db.system",
        "db.redis.database_index",
    }


def test_a_name_that_is_none_of_redis_is_no_name_of_a_span() -> None:
    described = Names(NEW).describe(("_OTHER", 2, HERE, None, None))
    assert described.name == "redis"
    assert described.attributes["db.operation.name"] == "_OTHER"


def test_texts_of_single_commands_are_few() -> None:
    assert text_of("PING", 1) == "PING"
    assert text_of("GET", 2) == "GET ?"
    assert text_of("MGET", 1_000) == text_of("MGET", 8) == "MGET ? ? ? ? ? ? ?"


def test_the_text_of_a_batch_shows_commands_and_no_more() -> None:
    assert text_of_batch([("SET", "secret", "secret"), ("GET", "secret"), ("secret",)]) == (
        "SET ? ?\nGET ?\n_OTHER"
    )
    assert text_of_batch([("GET", number) for number in range(500)]) == "GET ?"
    assert text_of_batch([]) == ""
    long = text_of_batch([("SET", 1, 2), *[("GET", 1)] * 100_000])
    assert len(long) == MOST_TEXT
    assert long.endswith("...")


def test_a_batch_has_its_size_and_one_command_is_no_batch() -> None:
    two = [("GET", "a"), ("GET", "b")]
    assert wire.read_attributes(batch_attributes(NEW, two)) == {
        "db.query.text": "GET ?",
        "db.operation.batch.size": 2,
    }
    assert wire.read_attributes(batch_attributes(NEW, two[:1])) == {"db.query.text": "GET ?"}
    assert wire.read_attributes(batch_attributes(OLD, two[:1])) == {
        "db.statement": "GET ?",
        "db.redis.pipeline_length": 1,
    }


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (
            ("EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0),
            "e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
        ),
        (("EVALSHA_RO", b"e0e1f9", 0), "e0e1f9"),
        (("FCALL", "add_to_cart", 1, "secret"), "add_to_cart"),
        (("EVAL", "return 'secret'", 0), None),
        (("FCALL", "no name", 0), None),
        (("FCALL", "x" * 1000, 0), None),
        (("FCALL", 7, 0), None),
        (("FCALL",), None),
        (("GET", "secret"), None),
        ((), None),
    ],
)
def test_what_runs_in_the_server_is_named(command: tuple[Any, ...], name: str | None) -> None:
    told = wire.read_attributes(command_attributes(NEW, command))
    assert told == ({} if name is None else {"db.stored_procedure.name": name})


def test_the_number_of_words_is_told_under_its_old_name() -> None:
    assert wire.read_attributes(command_attributes(OLD, ("MGET", *range(20)))) == {"db.redis.args_length": 21}
