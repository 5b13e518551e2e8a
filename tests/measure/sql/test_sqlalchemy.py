"""SQLAlchemy on SQLite: statements, transactions, flushes, failures; in threads and in tasks."""

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from otelc2c import guard
from otelc2c.measure.sql import hooks
from otelc2c.measure.sql.sqlalchemy import SqlalchemyInstrumentor, measure_engine
from tests.measure.kit import Kit, sampled_out
from tests.measure.sql.kit import DURATION, TABLE, AnyEngine, counted, in_task, instrumented, run, spans

MARK = "s3cr3t"


class Base(DeclarativeBase):
    """Of the mapped class."""


class Item(Base):
    """A mapped class."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@pytest.fixture(autouse=True)
def _instrumented() -> Iterator[None]:
    with instrumented():
        yield


def shared(**more: Any) -> sa.Engine:
    """An engine whose threads share one database."""
    options = {"connect_args": {"check_same_thread": False}, "poolclass": StaticPool, **more}
    return sa.create_engine("sqlite://", **options)


ENGINES: list[Callable[..., AnyEngine]] = [
    shared,
    lambda **more: create_async_engine("sqlite+aiosqlite://", **more),
]
IDS = ["threads", "tasks"]


def failing(connection: sa.Connection, text: str, *parameters: Any) -> None:
    with pytest.raises(sa.exc.DBAPIError), connection.begin_nested():
        connection.execute(sa.text(text), *parameters)


def mixed(connection: sa.Connection) -> None:
    """Statements of every kind, failures among them."""
    connection.execute(sa.text(TABLE))
    connection.execute(sa.text("INSERT INTO t VALUES (:a, :b)"), [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    connection.execute(sa.text("INSERT INTO t VALUES (:a, :b)"), {"a": 3, "b": "z"})
    connection.commit()
    assert len(connection.execute(sa.text("SELECT * FROM t WHERE a < 3")).all()) == 2
    failing(connection, "INSERT INTO t VALUES (1, 'q')")
    failing(connection, "SELECT * FROM nowhere")
    connection.execute(sa.text("DELETE FROM t"))
    connection.rollback()


COUNTED = {
    ("CREATE TABLE t", None, None): 1,
    ("BATCH INSERT t", None, None): 1,
    ("INSERT t", None, None): 1,
    ("COMMIT", None, None): 1,
    ("SELECT t", None, None): 1,
    ("SAVEPOINT", None, None): 2,
    ("INSERT t", "IntegrityError", "SQLITE_CONSTRAINT_PRIMARYKEY"): 1,
    ("SELECT nowhere", "OperationalError", "SQLITE_ERROR"): 1,
    ("ROLLBACK TO SAVEPOINT", None, None): 2,
    ("DELETE t", None, None): 1,
    ("ROLLBACK", None, None): 1,
}


@pytest.mark.parametrize("make", ENGINES, ids=IDS)
def test_every_operation_is_one_span_and_one_in_the_metric(make: Callable[..., AnyEngine]) -> None:
    """None for the pool, and none for commits that have nothing to commit."""
    with Kit() as kit:
        run(make(), mixed)
        assert counted(kit) == COUNTED
        assert spans(kit) == COUNTED


def test_without_a_sampled_trace_the_metric_is_the_same() -> None:
    with sampled_out() as kit:
        run(shared(), mixed)
        assert counted(kit) == COUNTED
        assert kit.spans == []


@pytest.mark.parametrize("make", ENGINES, ids=IDS)
def test_statements_are_below_the_span_that_is_current(make: Callable[..., AnyEngine]) -> None:
    with Kit() as kit:
        tracer = kit.provider.get_tracer("application")
        with tracer.start_as_current_span("around") as around:
            run(make(), mixed)
        below = [span for span in kit.spans if span.name != "around"]
        assert len(below) == sum(COUNTED.values())
        assert {span.parent for span in below} == {around.get_span_context().span_id.to_bytes(8)}


def test_what_a_span_says() -> None:
    with Kit() as kit:
        run(shared(), lambda connection: connection.execute(sa.text("SELECT 7, :a"), {"a": MARK}))
        assert kit.span.name == "SELECT"
        assert kit.span.attributes == {
            "db.system.name": "sqlite",
            "db.operation.name": "SELECT",
            "db.query.summary": "SELECT",
            "db.query.text": "SELECT ?, ?",
            "otelc2c.engine": "sqlite",
        }


def test_the_size_of_a_batch_is_said_where_there_is_one() -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(sa.text(TABLE))
        for size in (3, 1):
            rows = [{"a": size * 10 + number} for number in range(size)]
            connection.execute(sa.text("INSERT INTO t (a) VALUES (:a)"), rows)

    with Kit() as kit:
        run(shared(), work)
        found = {span.name: span.attributes.get("db.operation.batch.size") for span in kit.spans}
        assert found["BATCH INSERT t"] == 3
        assert found["INSERT t"] is None


@pytest.mark.parametrize(("value", "said"), [("sanitized", "SELECT ?"), ("off", None)])
def test_the_text_of_a_statement_can_be_left_out(value: str, said: str | None) -> None:
    with Kit({"OTELC2C_QUERY_TEXT": value}) as kit:
        run(shared(), lambda connection: connection.execute(sa.text("SELECT 'x'")))
        assert kit.span.attributes.get("db.query.text") == said


def test_engines_are_told_apart_by_their_names() -> None:
    with Kit() as kit:
        named, logged, other = shared(), shared(logging_name="logged"), shared()
        named.c2c_name = "from c2cwsgiutils"  # type: ignore[attr-defined]
        for engine in (named, logged, other):
            run(engine, lambda connection: connection.execute(sa.text("SELECT 1")))
        assert [span.attributes["otelc2c.engine"] for span in kit.spans] == [
            "from c2cwsgiutils",
            "logged",
            "sqlite",
        ]


def test_an_engine_that_was_there_before_is_measured() -> None:
    SqlalchemyInstrumentor().uninstrument()
    engine = shared()
    SqlalchemyInstrumentor().instrument(skip_dep_check=True)
    with Kit() as kit:
        run(engine, mixed)
        assert counted(kit) == COUNTED


def test_an_engine_is_measured_once() -> None:
    engine = shared()
    measure_engine(engine)
    with Kit() as kit:
        run(engine.execution_options(a=1), lambda connection: connection.execute(sa.text("SELECT 1")))
        assert len(kit.spans) == 1


def test_engines_from_a_configuration_are_measured() -> None:
    with Kit() as kit:
        engine = sa.engine_from_config({"sqlalchemy.url": "sqlite://"})
        run(engine, lambda connection: connection.execute(sa.text("SELECT 1")))
        assert len(kit.spans) == 1


def test_afterwards_everything_is_as_it_was() -> None:
    engine = shared()
    assert hooks.KEPT in engine.dialect.__dict__
    SqlalchemyInstrumentor().uninstrument()
    assert not {
        name for name in engine.dialect.__dict__ if name.startswith(("do_", "_otelc2c", "initialize"))
    }
    with Kit() as kit:
        run(engine, mixed)
        assert kit.spans == []
        assert counted(kit) == {}


def test_an_engine_can_go() -> None:
    engine = shared()
    kept = engine.dialect.__dict__[hooks.KEPT].engine
    run(engine, mixed)
    del engine
    gc.collect()
    assert kept() is None


def test_nothing_is_measured_without_a_measurer() -> None:
    run(shared(), mixed)


def test_nothing_is_measured_where_instrumentation_is_suppressed() -> None:
    with Kit() as kit:
        token = otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            run(shared(), mixed)
        finally:
            otel_context.detach(token)
        assert kit.spans == []
        assert counted(kit) == {}


def test_streamed_results_are_one_span_that_ends_with_the_execution() -> None:
    def work(connection: sa.Connection) -> None:
        streamed = connection.execution_options(stream_results=True, yield_per=1)
        result = streamed.execute(sa.text("SELECT 1 UNION SELECT 2 UNION SELECT 3"))
        assert len(kit.spans) == 1
        assert len(result.all()) == 3

    with Kit() as kit:
        run(shared(), work)
        assert len(kit.spans) == 1


# -- flushes --------------------------------------------------------------------------------------


def test_a_flush_is_visible_with_its_statements_below() -> None:
    with Kit() as kit:
        engine = shared()
        Base.metadata.create_all(engine)
        kit.raw.clear()
        with (
            kit.provider.get_tracer("application").start_as_current_span("around"),
            Session(engine) as session,
        ):
            session.add(Item(name=MARK))
            session.commit()
            session.flush()
            session.scalars(sa.select(Item)).all()
            session.commit()
        around, flush, insert, select = (
            kit.named(start) for start in ("around", "flush", "INSERT", "SELECT")
        )
        assert (flush.parent, insert.parent, select.parent) == (around.id, flush.id, around.id)
        assert kit.named("COMMIT").parent == around.id
        assert MARK not in repr(kit.spans)


def test_a_flush_in_a_task_is_visible() -> None:
    async def work() -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        kit.raw.clear()
        with kit.provider.get_tracer("application").start_as_current_span("around"):
            async with AsyncSession(engine) as session:
                session.add(Item(name="a"))
                await session.commit()
        await engine.dispose()

    with Kit() as kit:
        asyncio.run(in_task(work))
        assert kit.named("INSERT").parent == kit.named("flush").id
        assert kit.named("flush").parent == kit.named("around").id


def test_a_flush_that_fails_says_so() -> None:
    with Kit() as kit:
        engine = shared()
        Base.metadata.create_all(engine)
        with (
            kit.provider.get_tracer("application").start_as_current_span("around"),
            Session(engine) as session,
        ):
            session.add(Item(id=1, name="a"))
            session.commit()
            kit.raw.clear()
            session.add(Item(id=1, name="b"))
            with pytest.raises(sa.exc.IntegrityError):
                session.flush()
        engine.dispose()
        flush = kit.named("flush")
        assert flush.attributes == {"error.type": "IntegrityError"}
        assert flush.wire.status.code == 2
        assert not flush.wire.status.message


# -- threads, tasks -------------------------------------------------------------------------------


def test_no_statement_of_several_threads_is_lost(tmp_path: Any) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'db'}")
    with Kit() as kit:
        tracer = kit.provider.get_tracer("application")
        own: dict[bytes, int] = {}

        def work() -> None:
            with tracer.start_as_current_span("thread") as span, engine.connect() as connection:
                for _ in range(50):
                    connection.execute(sa.text("SELECT 1"))
                own[span.get_span_context().span_id.to_bytes(8)] = 50

        threads = [threading.Thread(target=contextvars.Context().run, args=(work,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        engine.dispose()
        below = [span.parent for span in kit.spans if span.name == "SELECT"]
        assert {parent: below.count(parent) for parent in own} == own
        assert sum(kit.points(DURATION).values()) == 400


def test_statements_of_tasks_are_below_their_own_spans(tmp_path: Any) -> None:
    async def work() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'db'}")

        async def one(number: int) -> None:
            with kit.provider.get_tracer("application").start_as_current_span(f"task {number}"):
                async with engine.connect() as connection:
                    for _ in range(10):
                        await connection.execute(sa.text(f"SELECT {number} AS c{number}"))

        await asyncio.gather(*(one(number) for number in range(4)))
        await engine.dispose()

    with Kit() as kit:
        asyncio.run(in_task(work))
        parents = {span.id: span.name for span in kit.spans if span.name.startswith("task")}
        found = [
            (parents[span.parent][-1], span.attributes["db.query.text"][-1])
            for span in kit.spans
            if span.name == "SELECT"
        ]
        assert len(found) == 40
        assert all(of_task == of_statement for of_task, of_statement in found)


GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, sqlalchemy as sa
from tests.measure.kit import Kit
from tests.measure.sql.kit import counted, instrumented
with instrumented(), Kit() as kit:
    engine = sa.create_engine("sqlite:///" + {path!r})
    def work(number):
        with kit.provider.get_tracer("x").start_as_current_span("g"), engine.connect() as connection:
            for _ in range(10):
                connection.execute(sa.text("SELECT 1"))
                gevent.sleep(0)
    gevent.joinall([gevent.spawn(work, number) for number in range(5)], raise_error=True)
    ids = {{span.id for span in kit.spans if span.name == "g"}}
    below = [span.parent for span in kit.spans if span.name == "SELECT"]
    assert sorted(below.count(each) for each in ids) == [10] * 5, below
    assert counted(kit) == {{("SELECT", None, None): 50}}
"""


@pytest.mark.process
def test_greenlets_of_gevent_lose_nothing(tmp_path: Any) -> None:
    program = GEVENT.format(path=str(tmp_path / "db"))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


# -- what the application sees --------------------------------------------------------------------


def bad_parameters(connection: sa.Connection) -> Any:
    return connection.execute(sa.text("SELECT :a"), {"b": 1})


def unsupported_value(connection: sa.Connection) -> Any:
    return connection.execute(sa.text("SELECT :a"), {"a": object()})


def twice(connection: sa.Connection) -> Any:
    connection.execute(sa.text(TABLE))
    connection.execute(sa.text("INSERT INTO t VALUES (1, 'x')"))
    return connection.execute(sa.text("INSERT INTO t VALUES (1, 'x')"))


def batch_fails(connection: sa.Connection) -> Any:
    connection.execute(sa.text(TABLE))
    return connection.execute(sa.text("INSERT INTO t VALUES (:a, 'x')"), [{"a": 1}, {"a": 1}])


def no_table(connection: sa.Connection) -> Any:
    return connection.execute(sa.text("SELECT * FROM nowhere"))


def no_sql(connection: sa.Connection) -> Any:
    return connection.exec_driver_sql("selec 'x")


def two_statements(connection: sa.Connection) -> Any:
    return connection.exec_driver_sql("SELECT 1; SELECT 2")


def closed_connection(connection: sa.Connection) -> Any:
    connection.connection.dbapi_connection.close()  # type: ignore[union-attr]
    return connection.exec_driver_sql("SELECT 1")


def interrupted(connection: sa.Connection) -> Any:
    def stop(*_args: Any) -> int:
        raise KeyboardInterrupt

    sa.event.listen(connection, "before_cursor_execute", stop)
    return connection.exec_driver_sql("SELECT 1")


def good(connection: sa.Connection) -> Any:
    return connection.execute(sa.text("SELECT 1, 'x' UNION SELECT 2, 'y'")).all()


def changed(connection: sa.Connection) -> Any:
    connection.execute(sa.text(TABLE))
    return connection.execute(sa.text("INSERT INTO t VALUES (1, 'x')")).rowcount


CORPUS = [
    bad_parameters,
    unsupported_value,
    twice,
    batch_fails,
    no_table,
    no_sql,
    two_statements,
    closed_connection,
    interrupted,
    good,
    changed,
]


def seen(work: Callable[[sa.Connection], Any]) -> Any:
    """Result, or the exception with its causes and the frames of its traceback that are not ours."""
    engine = sa.create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            return work(connection)
    except BaseException as error:
        frames = [
            (frame.name, frame.line)
            for frame in traceback.extract_tb(error.__traceback__)
            if "otelc2c/measure" not in frame.filename
        ]
        original = getattr(error, "orig", None)
        return (
            type(error),
            [repr(part)[:60] for part in error.args],
            type(original),
            frames,
            type(error.__cause__),
        )
    finally:
        engine.dispose()


@pytest.mark.parametrize("work", CORPUS)
@pytest.mark.parametrize("environ", [{}, {"OTELC2C_SQL_COMMENTS": "true"}], ids=["plain", "comments"])
def test_results_and_exceptions_are_those_without_us(
    work: Callable[[sa.Connection], Any], environ: dict[str, str]
) -> None:
    SqlalchemyInstrumentor().uninstrument()
    expected = seen(work)
    SqlalchemyInstrumentor().instrument(skip_dep_check=True)
    with Kit(environ):
        assert seen(work) == expected


def test_a_failure_of_ours_does_not_reach_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever of it is broken, statements are executed, once."""
    guard.strict(False)
    monkeypatch.setattr(hooks.Hooks, "facts", None)
    monkeypatch.setattr(hooks.Hooks, "_quiet", lambda _self: None)
    with Kit() as kit:
        run(shared(), mixed)
        assert guard.total() >= sum(COUNTED.values())
        assert counted(kit) == {}


# -- secrets --------------------------------------------------------------------------------------


def secret(connection: sa.Connection) -> None:
    """A secret in every place that a statement has."""
    connection.execute(sa.text(TABLE))
    connection.execute(sa.text(f"INSERT INTO t VALUES (1, '{MARK}')"))
    connection.execute(sa.text("SELECT * FROM t WHERE b = :b"), {"b": MARK})
    connection.execute(sa.text(f"SELECT 1 /* {MARK} */ -- {MARK}"))
    connection.commit()
    failing(connection, f"INSERT INTO t VALUES (2, '{MARK}')")
    failing(connection, "INSERT INTO t VALUES (3, :b)", {"b": MARK})
    failing(connection, "INSERT INTO t VALUES (:a, :b)", [{"a": 4, "b": MARK}])
    failing(connection, f"SELECT '{MARK}")


@pytest.mark.parametrize("make", ENGINES, ids=IDS)
@pytest.mark.parametrize("opt_in", ["", "database/dup", "database/old"])
def test_no_literal_and_no_parameter_is_recorded(make: Callable[..., AnyEngine], opt_in: str) -> None:
    """T42, T44: the text of an exception has them, too."""
    with Kit({"OTEL_SEMCONV_STABILITY_OPT_IN": opt_in}) as kit:
        run(make(), secret)
        assert len(kit.spans) > 10
        assert not any(MARK.encode() in raw for raw in kit.raw)
        assert MARK not in repr(kit._families())


# -- comments -------------------------------------------------------------------------------------


def test_a_comment_names_the_span_of_the_statement_where_that_is_wanted() -> None:
    sent: list[str] = []
    engine = shared()
    inner = engine.dialect.__dict__[hooks.KEPT]
    with Kit({"OTELC2C_SQL_COMMENTS": "true"}) as kit:
        with engine.connect() as connection:
            connection.connection.dbapi_connection.set_trace_callback(sent.append)  # type: ignore[union-attr]
            connection.execute(sa.text("SELECT 1;"))
            connection.execute(sa.text("SELECT :a"), {"a": 1})
        first, second = kit.spans
        trace, span = first.wire.trace_id.hex(), first.id.hex()
        assert sent[0] == f"SELECT 1 /*traceparent='00-{trace}-{span}-03'*/;"
        assert sent[1].endswith(f"{second.id.hex()}-03'*/")
        assert first.attributes["db.query.text"] == "SELECT ?;"
        assert sum(kit.points(DURATION).values()) == 2
    assert inner is engine.dialect.__dict__[hooks.KEPT]
    engine.dispose()
