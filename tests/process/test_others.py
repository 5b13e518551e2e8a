"""Instrumentations of others run on our providers, below our spans, and are quiet where ours measures."""

import http.client
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.receiver import Receiver
from tests.process.server import gunicorn, telemetry
from tests.process.waiting import steady
from tests.services.postgres_server import PostgresServer
from tests.sink import ReceivedSpan

ASKED = 5
THEIRS = "opentelemetry.instrumentation."
CALLS = "http_client_request_duration_seconds_count"
STATEMENTS = "db_client_operation_duration_seconds_count"
PAGE = b'{"answers": [200, 200, 200, 200], "rows": [[7], [8]]}'


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A database's address."""
    with PostgresServer() as server:
        yield server.url


def ask(port: int) -> bytes:
    """One page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/page")
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.parametrize("worker", ["gthread", "gevent"])
def test_they_make_spans_and_numbers_below_ours(
    tmp_path: Path, page_port: int, receiver: Receiver, database: str, worker: str
) -> None:
    """httpx, psycopg and urllib3 of other people, beside requests and threads of ours.

    The application calls itself, so that every call has a request on the other side, and its parent.
    """
    given = telemetry(
        page_port,
        receiver.address,
        OTEL_SEMCONV_STABILITY_OPT_IN="http,database",
        DATABASE_URL=database,
    )
    application = "tests.process.others:make_application()"
    with gunicorn(tmp_path, given, worker=worker, workers=1, application=application) as server:
        assert [ask(server.port) for _ in range(ASKED)] == [PAGE] * ASKED
        scopes = {"otelc2c": 2 * ASKED, f"{THEIRS}httpx": ASKED, f"{THEIRS}urllib3": ASKED}

        def numbers() -> dict[str, float]:
            return {scope: server.page.total(CALLS, otel_scope_name=scope) for scope in scopes}

        assert steady(numbers, scopes) == scopes
        for scope in ("otelc2c", f"{THEIRS}psycopg"):
            assert server.page.total(STATEMENTS, otel_scope_name=scope, db_operation_name="SELECT") == ASKED
        assert "S3CRET" not in server.page.text()
        server.end()
        said = next(line for line in server.printed().splitlines() if line.startswith("otelc2c:"))
    active = said.partition("active: ")[2].partition("; ")[0].split(", ")
    assert {"httpx", "otelc2c_requests", "otelc2c_threading"} <= set(active)
    assert "psycopg (quiet below otelc2c_sqlalchemy)" in active
    assert "urllib3 (quiet below otelc2c_requests)" in active
    assert "requests (by otelc2c_requests)" in said
    spans = receiver.spans()
    assert_each_is_below_its_request(spans)
    assert not any(b"S3CRET" in one.span.SerializeToString() for one in spans)


def assert_each_is_below_its_request(spans: list[ReceivedSpan]) -> None:
    """All of one page are one trace, and every span hangs where it was made."""
    by_id = {one.span.span_id: one for one in spans}
    made = Counter((one.scope.name, one.span.name, above(one, by_id)) for one in spans)
    view = "view tests.process.others.page"
    page, called = "GET /page", "GET /called"
    for key in (
        ("otelc2c", page, ""),
        ("otelc2c", view, page),
        ("otelc2c", "GET", view),
        (f"{THEIRS}httpx", "GET", view),
        (f"{THEIRS}urllib3", "GET", view),
        (f"{THEIRS}psycopg", "SELECT", view),
        ("otelc2c", "SELECT", view),
        ("application", "in a thread", view),
        ("otelc2c", "GET", "in a thread"),
    ):
        assert made[key] == ASKED, (key, made)
    assert made["otelc2c", called, "GET"] == 4 * ASKED
    assert len({one.span.trace_id for one in spans}) == ASKED
    # Nothing but these: urllib3 is quiet below requests, and psycopg below SQLAlchemy.
    assert sum(count for key, count in made.items() if key[0] == f"{THEIRS}psycopg") == ASKED
    calls = [one for one in spans if one.span.name == "GET"]
    assert len(calls) == 4 * ASKED


def above(one: ReceivedSpan, by_id: dict[bytes, ReceivedSpan]) -> str:
    """The name of the span above; nothing for the first of a trace."""
    return by_id[one.span.parent_span_id].span.name if one.span.parent_span_id else ""
