"""SQLAlchemy on a real PostgreSQL with every driver: exact numbers, and servers that stop."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.measure.kit import Kit
from tests.measure.sql.kit import DURATION, TABLE, AnyEngine, counted, in_task, instrumented, run, spans
from tests.services.postgres_server import HOST, PostgresServer

pytestmark = pytest.mark.services

PASSWORD = "hunter2"
MARK = "s3cr3t"
DRIVERS = ["psycopg2", "psycopg", "async psycopg", "asyncpg"]
ROWS = "db.client.response.returned_rows"


@pytest.fixture(autouse=True)
def _instrumented() -> Iterator[None]:
    with instrumented():
        yield


def engine_of(server: PostgresServer, driver: str, **more: Any) -> AnyEngine:
    name = driver.removeprefix("async ")
    url = f"postgresql+{name}://postgres:{PASSWORD}@{HOST}:{server.port}/postgres"
    return create_async_engine(url, **more) if driver.startswith("a") else sa.create_engine(url, **more)


def failing(connection: sa.Connection, text: str, parameters: Any = None) -> None:
    with pytest.raises(sa.exc.DBAPIError), connection.begin_nested():
        connection.execute(sa.text(text), parameters)


def mixed(connection: sa.Connection) -> None:
    """Statements of every kind, failures among them."""
    connection.execute(sa.text("DROP TABLE IF EXISTS t"))
    connection.execute(sa.text(TABLE))
    connection.execute(sa.text("INSERT INTO t VALUES (:a, :b)"), [{"a": 1, "b": "x"}, {"a": 2, "b": MARK}])
    connection.commit()
    connection.commit()
    rows = connection.execute(sa.text("SELECT * FROM t WHERE a < :n OR b = 's3cr3t'"), {"n": 5}).all()
    assert [tuple(row) for row in rows] == [(1, "x"), (2, MARK)]
    failing(connection, "INSERT INTO t VALUES (1, 's3cr3t')")
    failing(connection, "INSERT INTO t VALUES (:a, :b)", {"a": 2, "b": MARK})
    failing(connection, "SELECT * FROM nowhere WHERE x = 's3cr3t'")
    streamed = connection.execution_options(stream_results=True).execute(sa.text("SELECT a FROM t"))
    assert streamed.fetchone() is not None
    streamed.close()
    connection.rollback()
    connection.rollback()


COUNTED = {
    ("DROP TABLE t", None): 1,
    ("CREATE TABLE t", None): 1,
    ("BATCH INSERT t", None): 1,
    ("COMMIT", None): 1,
    ("SELECT t", None): 2,
    ("SAVEPOINT", None): 3,
    ("INSERT t", "23505"): 2,
    ("SELECT nowhere", "42P01"): 1,
    ("ROLLBACK TO SAVEPOINT", None): 3,
    ("ROLLBACK", None): 1,
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_operation_is_counted_once_by_operation_and_error(
    postgres: PostgresServer, driver: str
) -> None:
    with Kit() as kit:
        with kit.provider.get_tracer("application").start_as_current_span("around") as around:
            run(engine_of(postgres, driver), mixed)
        parents = {span.parent for span in kit.spans if span.name != "around"}
        assert parents == {around.get_span_context().span_id.to_bytes(8)}
        assert {(name, code): number for (name, _, code), number in counted(kit).items()} == COUNTED
        assert spans(kit) == counted(kit)


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_type_of_an_error_is_the_drivers_own(postgres: PostgresServer, driver: str) -> None:
    with Kit() as kit:
        run(engine_of(postgres, driver), mixed)
        kinds = {kind for _, kind, _ in counted(kit) if kind is not None}
        assert kinds in (
            {"UniqueViolation", "UndefinedTable"},
            {"UniqueViolationError", "UndefinedTableError"},
        )


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("opt_in", ["", "database/dup"])
def test_secrets_are_nowhere(postgres: PostgresServer, driver: str, opt_in: str) -> None:
    """T42: literals, parameters, the password; messages of the server quote the values of a row."""
    with Kit({"OTEL_SEMCONV_STABILITY_OPT_IN": opt_in}) as kit:
        run(engine_of(postgres, driver), mixed)
        recorded = b"".join(kit.raw) + repr(kit._families()).encode()
        assert MARK.encode() not in recorded
        assert PASSWORD.encode() not in recorded


@pytest.mark.parametrize("driver", DRIVERS)
def test_rows_are_counted_where_the_driver_knows_them(postgres: PostgresServer, driver: str) -> None:
    with Kit() as kit:
        run(engine_of(postgres, driver), lambda c: c.execute(sa.text("SELECT generate_series(1, 7)")).all())
        assert kit.named("SELECT").attributes["db.response.returned_rows"] == 7
        assert list(kit.points(ROWS).values()) == [1]


@pytest.mark.parametrize("driver", DRIVERS)
def test_engine_and_server_are_said(postgres: PostgresServer, driver: str) -> None:
    with Kit() as kit:
        run(engine_of(postgres, driver, logging_name="main"), lambda c: c.execute(sa.text("SELECT 1")))
        said = kit.named("SELECT").attributes
        assert (said["server.address"], said["server.port"]) == (HOST, postgres.port)
        assert (said["db.namespace"], said["otelc2c.engine"]) == ("postgres", "main")
        assert said["db.system.name"] == "postgresql"


def test_a_url_that_says_nothing_is_made_up_for_by_the_connection(postgres: PostgresServer) -> None:
    import psycopg

    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(postgres.url))
    with Kit() as kit:
        run(engine, lambda c: c.execute(sa.text("SELECT 1")))
        said = kit.named("SELECT").attributes
        assert (said["server.address"], said["server.port"]) == (HOST, postgres.port)
        assert said["db.namespace"] == "postgres"


# -- servers that stop ----------------------------------------------------------------------------


def pid_of(connection: sa.Connection) -> int:
    return int(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_frozen_server_is_seen_in_span_and_metric(postgres: PostgresServer, driver: str) -> None:
    frozen_for = 0.3

    def work(connection: sa.Connection) -> None:
        pid = pid_of(connection)
        os.kill(pid, signal.SIGSTOP)
        thaw = threading.Timer(frozen_for, os.kill, (pid, signal.SIGCONT))
        # From when the statement is on its way; what comes before may take any time on a busy machine.
        sa.event.listen(connection, "before_cursor_execute", lambda *_: thaw.start())
        connection.execute(sa.text("SELECT 1 FROM pg_tables"))
        thaw.join()

    with Kit() as kit:
        run(engine_of(postgres, driver), work)
        frozen = kit.named("SELECT pg_tables").wire
        took = (frozen.end_time_unix_nano - frozen.start_time_unix_nano) / 1e9
        assert frozen_for / 2 < took < frozen_for + 5
        (point,) = (
            point.value
            for family in kit._families()
            if family.instrument.name == DURATION
            for point in family.points
            if point.attributes.get("db.query.summary") == "SELECT pg_tables"
        )
        assert point.sum == pytest.approx(took, rel=0.01)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_statement_that_the_server_cancels_has_its_code(postgres: PostgresServer, driver: str) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(sa.text("SET statement_timeout = 50"))
        with pytest.raises(sa.exc.DBAPIError):
            connection.execute(sa.text("SELECT pg_sleep(30) FROM pg_class"))

    with Kit() as kit:
        run(engine_of(postgres, driver), work)
        found = kit.named("SELECT pg_class")
        assert found.attributes["db.response.status_code"] == "57014"
        assert (found.wire.status.code, found.wire.status.message) == (2, "")
        assert ("SELECT pg_class", found.attributes["error.type"], "57014") in counted(kit)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_killed_server_is_a_failure_of_the_statement_that_ran(
    postgres: PostgresServer, driver: str
) -> None:
    def work(connection: sa.Connection) -> None:
        pid = pid_of(connection)
        killer = threading.Timer(0.2, os.kill, (pid, signal.SIGTERM))
        killer.start()
        begun = time.monotonic()
        with pytest.raises(sa.exc.DBAPIError) as caught:
            connection.execute(sa.text("SELECT pg_sleep(30) FROM pg_class LIMIT 1"))
        assert time.monotonic() - begun < 20
        assert caught.value.connection_invalidated
        killer.join()
        connection.invalidate()
        connection.rollback()
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1

    with Kit() as kit:
        run(engine_of(postgres, driver), work)
        (found,) = [span for span in kit.spans if span.name == "SELECT pg_class"]
        assert found.attributes["error.type"]
        failed = [key for key in counted(kit) if key[0] == "SELECT pg_class"]
        assert failed == [
            (
                "SELECT pg_class",
                found.attributes["error.type"],
                found.attributes.get("db.response.status_code"),
            )
        ]


@pytest.mark.parametrize("driver", ["async psycopg", "asyncpg"])
def test_a_statement_of_a_task_that_is_cancelled_is_counted(postgres: PostgresServer, driver: str) -> None:
    async def work() -> None:
        engine = engine_of(postgres, driver)
        assert isinstance(engine, AsyncEngine)
        async with engine.connect() as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await connection.execute(sa.text("SELECT pg_sleep(30) FROM pg_class"))
            await connection.invalidate()
        await engine.dispose()

    with Kit() as kit:
        asyncio.run(in_task(work))
        assert {key: number for key, number in counted(kit).items() if key[0] == "SELECT pg_class"} == {
            ("SELECT pg_class", "CancelledError", None): 1
        }


# -- an instrumentation below ---------------------------------------------------------------------


@pytest.fixture
def below() -> Iterator[InMemorySpanExporter]:
    """Contrib's instrumentation of psycopg, on a provider of its own."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = PsycopgInstrumentor()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    yield exporter
    instrumentor.uninstrument()


@pytest.mark.parametrize("driver", ["psycopg", "async psycopg"])
def test_an_instrumentation_of_the_driver_makes_no_second_span(
    postgres: PostgresServer, below: InMemorySpanExporter, driver: str
) -> None:
    def work(connection: sa.Connection) -> Any:
        seen: Callable[[], Any] = below.get_finished_spans
        connection.execute(sa.text("SELECT 1"))
        before = len(seen())
        for _ in range(3):
            connection.execute(sa.text("SELECT 2"))
        connection.commit()
        return len(seen()) - before

    with Kit() as kit:
        assert run(engine_of(postgres, driver), work) == 0
        assert counted(kit) == {("SELECT", None, None): 4, ("COMMIT", None, None): 1}
