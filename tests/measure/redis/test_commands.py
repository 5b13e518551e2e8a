"""Which names of commands spans and metrics show."""

from hypothesis import given
from hypothesis import strategies as st

from otelc2c.measure.redis.commands import KNOWN, OTHER, name_of


def test_a_command_has_the_name_under_which_it_was_sent() -> None:
    """ "As provided by the application" (conventions for Redis)."""
    assert [name_of(sent) for sent in ("GET", "get", b"HSET", bytearray(b"zadd"))] == [
        "GET",
        "get",
        "HSET",
        "zadd",
    ]


def test_two_words_are_one_name_where_redis_has_it() -> None:
    assert name_of("CONFIG GET") == "CONFIG GET"
    assert name_of("SENTINEL GET-MASTER-ADDR-BY-NAME") == "SENTINEL GET-MASTER-ADDR-BY-NAME"
    assert name_of("CLUSTER secret") == "CLUSTER"


def test_mixed_letters_are_known_by_one_name_alone() -> None:
    assert {name_of("gEt"), name_of("Get"), name_of("GeT")} == {"GET"}


def test_what_is_no_command_is_not_shown() -> None:
    assert {
        name_of(sent) for sent in ("hunter2", "", "GET hunter2 x" * 9, b"\xff\xfe", 7, None, ["GET"])
    } == {OTHER}
    assert name_of() == OTHER


def test_commands_of_modules_and_of_newer_servers_are_known() -> None:
    assert {"JSON.SET", "FT.SEARCH", "TS.ADD", "BF.ADD", "VSIM", "HGETEX", "MSETEX"} <= KNOWN.keys()


@given(st.one_of(st.text(), st.binary(), st.sampled_from(sorted(KNOWN)), st.integers(), st.none()))
def test_names_come_from_a_closed_set(sent: object) -> None:
    assert name_of(sent) in {*KNOWN.values(), OTHER}
