"""HTTP in the conventions' words: closed sets and bounded caches."""

from typing import Any

import pytest

from otelc2c.measure.http import Bounded, host_and_port, redacted, route_text, status_code, target
from otelc2c.settings import QueryPolicy


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("200 OK", 200),
        ("200", 200),
        ("200OK", 200),
        ("2000", None),
        ("20", None),
        ("099 x", None),
        ("", None),
        ("\u0662\u0660\u0660 x", None),
        ("OK", None),
        (None, None),
    ],
)
def test_a_status_code_is_three_digits(status: str | None, code: int | None) -> None:
    """With or without a reason."""
    assert status_code(status) == code


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.example", ("a.example", 80)),
        ("a.example:8080", ("a.example", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::1]", ("::1", 80)),
        ("a:", ("a:", None)),
        ("a:x", ("a:x", None)),
        ("a:999999", ("a:999999", None)),
        ("", ("", 80)),
    ],
)
def test_a_host_has_a_name_and_a_port(host: str, expected: tuple[str, int | None]) -> None:
    """Without a port it is the scheme's."""
    assert host_and_port(host, "http") == expected


def test_the_port_of_another_scheme_is_not_known() -> None:
    """443 for https, none for what is neither."""
    assert host_and_port("a", "https") == ("a", 443)
    assert host_and_port("a", "gopher") == ("a", None)


@pytest.mark.parametrize(
    ("query", "policy", "expected"),
    [
        ("a=1&b=2", QueryPolicy(), "a=REDACTED&b=REDACTED"),
        ("a=1=2&b&=3&", QueryPolicy(), "a=REDACTED&b&=REDACTED&"),
        ("a=1;b=2", QueryPolicy(), "a=REDACTED"),
        ("a=1&b=2", QueryPolicy(everything=False), "a=1&b=2"),
        ("a=1&b=2&%61=3", QueryPolicy(everything=True, names=frozenset("a")), "a=1&b=REDACTED&%61=3"),
        ("a=1&b=2&%61=3", QueryPolicy(everything=False, names=frozenset("a")), "a=REDACTED&b=2&%61=REDACTED"),
    ],
)
def test_values_of_a_query_are_redacted_by_the_policy(query: str, policy: QueryPolicy, expected: str) -> None:
    """T41: by default all of them."""
    assert redacted(query, policy) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"RAW_URI": "/a%20b?c"}, ("/a%20b", "c")),
        ({"REQUEST_URI": "/a?c?d"}, ("/a", "c?d")),
        ({"RAW_URI": "http://user:secret@h/a?b"}, ("/a", "b")),
        ({"RAW_URI": "http://h"}, ("/", "")),
        ({"RAW_URI": "http://[", "PATH_INFO": "/x"}, ("/x", "")),
        ({"RAW_URI": "*", "PATH_INFO": "*"}, ("*", "")),
        ({"SCRIPT_NAME": "/r", "PATH_INFO": "/\xc3\xa9 \xff", "QUERY_STRING": "q"}, ("/r/%C3%A9%20%FF", "q")),
        ({"PATH_INFO": "/\u2603"}, ("/%3F", "")),
        ({}, ("", "")),
    ],
)
def test_the_target_is_what_the_caller_sent(environ: dict[str, Any], expected: tuple[str, str]) -> None:
    """Or is put together from its parts, which WSGI has decoded as latin-1."""
    assert target(environ) == expected


@pytest.mark.parametrize(
    ("where", "root", "expected"),
    [(None, "/r", None), ("/a", None, "/a"), ("a", "", "/a"), ("/a", "/r", "/r/a"), ("a", "/r", "/r/a")],
)
def test_a_route_stands_below_its_root(where: str | None, root: str | None, expected: str | None) -> None:
    """And begins with a slash."""
    assert route_text(where, root) == expected


def test_a_full_cache_begins_anew() -> None:
    """And works on."""
    made: list[Any] = []
    cache: Bounded[int, int] = Bounded(lambda key: made.append(key) or key, 3)
    assert [cache[key] for key in (1, 1, 2, 3, 4, 1)] == [1, 1, 2, 3, 4, 1]
    assert made == [1, 2, 3, 4, 1]
    assert len(cache) == 2


def test_long_keys_are_not_kept() -> None:
    """Alone or as parts."""
    cache: Bounded[Any, int] = Bounded(lambda _key: 1)
    assert cache["x" * 1000] == cache[("a", "x" * 1000)] == cache["a"] == 1
    assert list(cache) == ["a"]
