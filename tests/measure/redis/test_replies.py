"""Codes of error replies, from the exceptions of redis-py's several releases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions
from redis.connection import DefaultParser

from otelc2c.measure.redis.replies import CODES, code_of


class ResponseError(Exception):
    """As redis-py before 7.2 has it: without the code."""


class AuthenticationError(Exception):
    """The same."""


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"),
        ("ERR value is not an integer or out of range", "ERR"),
        ("NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT"),
        ("NOAUTH Authentication required.", "NOAUTH"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("READONLY You can't write against a read only replica.", "READONLY"),
        ("MOVED 3999 127.0.0.1:6381", "MOVED"),
        ("LOADING Redis is loading the dataset in memory", "LOADING"),
        ("BUSYGROUP Consumer Group name already exists", "BUSYGROUP"),
        ("EXECABORT Transaction discarded because of previous errors.", "EXECABORT"),
        ("MYSCRIPT says hunter2", None),
    ],
)
def test_what_redis_py_makes_of_a_reply_has_its_code(reply: str, code: str | None) -> None:
    assert code_of(DefaultParser.parse_error(reply)) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ResponseError("value is not an integer or out of range"), "ERR"),
        (ResponseError("WRONGTYPE Operation against a key"), "WRONGTYPE"),
        (ResponseError("Command # 2 (INCR ERR) of pipeline caused error: WRONGTYPE Operation"), "WRONGTYPE"),
        (ResponseError("Command # 2 (INCR k) of pipeline caused error: no such key"), "ERR"),
        (ResponseError("MYSCRIPT says hunter2"), None),
        (ResponseError(), "ERR"),
        (AuthenticationError("Authentication required."), "NOAUTH"),
        (AuthenticationError("invalid username-password pair or user is disabled."), "WRONGPASS"),
    ],
)
def test_the_code_is_found_where_an_older_redis_py_does_not_keep_it(
    error: Exception, code: str | None
) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("Error 111 connecting to localhost:1."),
        exceptions.TimeoutError("Timeout reading from socket"),
        exceptions.WatchError("Watched variable changed."),
        exceptions.DataError("Invalid input of type: 'dict'."),
        ValueError("ERR no reply"),
        KeyboardInterrupt(),
    ],
)
def test_what_is_no_reply_has_no_code(error: BaseException) -> None:
    assert code_of(error) is None


@given(st.text(), st.sampled_from(["ResponseError", "AuthenticationError", "NoScriptError"]))
def test_codes_come_from_a_closed_set(text: str, name: str) -> None:
    """A reply's text may hold keys and values."""
    assert code_of(getattr(exceptions, name)(text)) in {*CODES, None}
    assert code_of(DefaultParser.parse_error(f"{text} secret")) in {*CODES, None}
    assert code_of(ResponseError(text)) in {*CODES, None}
