"""Messages of HTTP/1.1 as the page of the pod needs them: heads of requests in, framed answers out."""

import re
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import urlsplit


class Request(NamedTuple):
    """The head of a request."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in small letters; the values of repeated headers joined by commas."""
    keep_alive: bool
    chunked: bool
    """Whether the client understands a body sent in chunks (HTTP/1.1)."""


class Answer(NamedTuple):
    """What to send back. A body that is an iterator is sent while it is made."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    body: bytes | Iterator[bytes]


def text_answer(status: HTTPStatus, sentence: str, *headers: tuple[str, str]) -> Answer:
    """A short answer in plain text."""
    content_type = ("Content-Type", "text/plain; charset=utf-8")
    return Answer(status, (content_type, *headers), sentence.encode() + b"\n")


class BadRequest(Exception):
    """The head is no HTTP; holds the status to answer with."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION: Final = re.compile(r"HTTP/(\d)\.\d")


def parsed(head: bytes) -> Request:
    """The request whose head this is, without its empty line. Raises BadRequest."""
    line, *fields = head.decode("latin-1").lstrip("\r\n").split("\r\n")
    words = line.split(" ")
    if len(words) != 3 or not _TOKEN.fullmatch(words[0]):
        raise BadRequest(HTTPStatus.BAD_REQUEST)
    method, target, version = words
    known = _VERSION.fullmatch(version)
    if known is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST)
    if known[1] != "1":
        raise BadRequest(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    headers = _headers(fields)
    modern = version != "HTTP/1.0"
    # Bodies are not read, and what follows one could not be told from the next request.
    body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    keep_alive = not body and "close" not in options and (modern or "keep-alive" in options)
    try:
        url = urlsplit(target)
    except ValueError:
        raise BadRequest(HTTPStatus.BAD_REQUEST) from None
    return Request(method, url.path, url.query, headers, keep_alive, modern)


def _headers(fields: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.partition(":")
        name = name.lower()
        if not colon or not _TOKEN.fullmatch(name):
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        value = value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def framed(answer: Answer, *, close: bool, chunked: bool = False, body: bool = True) -> Iterator[bytes]:
    """The bytes of an answer, its head first; a body that is an iterator is taken step by step.

    Such a body goes out in chunks, or ends with the connection where the client knows no
    chunks. Without `body` (HEAD) only the head is made, and the body is not touched.
    """
    headers = [*answer.headers, ("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()))]
    if isinstance(answer.body, bytes):
        headers.append(("Content-Length", str(len(answer.body))))
    elif chunked:
        headers.append(("Transfer-Encoding", "chunked"))
    if close:
        headers.append(("Connection", "close"))
    lines = [f"HTTP/1.1 {answer.status.value} {answer.status.phrase}", *(f"{k}: {v}" for k, v in headers)]
    yield "\r\n".join([*lines, "", ""]).encode("latin-1")
    if not body:
        return
    if isinstance(answer.body, bytes):
        yield answer.body
        return
    for part in answer.body:
        if part:
            yield b"%x\r\n%b\r\n" % (len(part), part) if chunked else part
    if chunked:
        yield b"0\r\n\r\n"
