"""Heads of requests in, framed answers out."""

from http import HTTPStatus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelc2c.relay.http_messages import Answer, BadRequest, framed, parsed

lines = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [b"GET / HTTP/1.1", b"HEAD /metrics?a=b HTTP/1.0", b"GET //[ HTTP/1.1", b"Connection: close"]
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(lines, max_size=5))
def test_any_bytes_are_a_request_or_a_bad_one(head: list[bytes]) -> None:
    """Nothing else is raised, whatever arrives."""
    status = HTTPStatus.OK
    method = ""
    try:
        method = parsed(b"\r\n".join(head)).method
    except BadRequest as bad:
        status = bad.status
    assert bool(method) == (status is HTTPStatus.OK)
    assert status in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED}


@pytest.mark.parametrize(
    ("head", "keep_alive", "chunked"),
    [
        (b"GET / HTTP/1.1", True, True),
        (b"GET / HTTP/1.1\r\nConnection: Close", False, True),
        (b"GET / HTTP/1.1\r\nConnection: upgrade, close", False, True),
        (b"GET / HTTP/1.0", False, False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive", True, False),
        # A body is not read, so that nothing after it may be taken for a request.
        (b"GET / HTTP/1.1\r\nContent-Length: 5", False, True),
        (b"GET / HTTP/1.1\r\nContent-Length: 0, 5", False, True),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked", False, True),
        (b"GET / HTTP/1.1\r\nContent-Length: 0", True, True),
        (b"\r\nGET / HTTP/1.1", True, True),
    ],
)
def test_what_follows_a_request(head: bytes, keep_alive: bool, chunked: bool) -> None:
    request = parsed(head)
    assert (request.keep_alive, request.chunked) == (keep_alive, chunked)


def test_target_and_headers() -> None:
    """Also the target that a proxy sends; repeated headers are one."""
    request = parsed(b"GET http://pod:9464/metrics?name[]=x HTTP/1.1\r\nAccept: a\r\nACCEPT:\tb \r\nX:")
    assert (request.method, request.path, request.query) == ("GET", "/metrics", "name[]=x")
    assert request.headers == {"accept": "a, b", "x": ""}


def test_a_streamed_body_comes_in_chunks() -> None:
    """A part without bytes would end the body, and is left out."""
    answer = Answer(HTTPStatus.OK, (("A", "b"),), iter([b"x" * 17, b"", b"y"]))
    head, *body = framed(answer, close=False, chunked=True)
    assert head.startswith(b"HTTP/1.1 200 OK\r\nA: b\r\nDate: ")
    assert b"Transfer-Encoding: chunked\r\n" in head
    assert b"".join(body) == b"11\r\n" + b"x" * 17 + b"\r\n1\r\ny\r\n0\r\n\r\n"


def test_without_body_nothing_is_made() -> None:
    """HEAD: the body is not touched."""
    answer = Answer(HTTPStatus.OK, (), iter([b"x"]))
    assert len(list(framed(answer, close=True, chunked=True, body=False))) == 1
    assert next(iter(answer.body)) == b"x"
