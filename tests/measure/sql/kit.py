"""Engines that are measured, and what was recorded of them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from otelc2c.measure.sql import sqlalchemy
from otelc2c.measure.sql.sqlalchemy import SqlalchemyInstrumentor
from tests.measure.kit import Kit

DURATION = "db.client.operation.duration"
TABLE = "CREATE TABLE t (a INTEGER PRIMARY KEY, b VARCHAR(30) UNIQUE)"
AnyEngine = Engine | AsyncEngine


@contextmanager
def instrumented() -> Iterator[None]:
    """Engines are measured, and their connections closed at the end."""
    instrumentor = SqlalchemyInstrumentor()
    instrumentor.instrument(skip_dep_check=True)
    try:
        yield
    finally:
        # From Python 3.13 on a connection that nobody closes is complained of.
        for hooks in list(sqlalchemy._hooked):
            engine = hooks.engine()
            if engine is not None and not engine.dialect.is_async:
                engine.dispose()
        instrumentor.uninstrument()


def counted(kit: Kit) -> dict[tuple[str, str | None, str | None], int]:
    """How many operations the metric has, by summary, type of the error and code."""
    found: Counter[tuple[str, str | None, str | None]] = Counter()
    for attributes, number in kit.points(DURATION).items():
        by_name = dict(attributes)
        name = by_name.get("db.query.summary", by_name["db.system.name"])
        key = name, by_name.get("error.type"), by_name.get("db.response.status_code")
        found[key] += number
    return dict(found)


def spans(kit: Kit) -> dict[tuple[str, str | None, str | None], int]:
    """The same of spans."""
    return dict(
        Counter(
            (span.name, span.attributes.get("error.type"), span.attributes.get("db.response.status_code"))
            for span in kit.spans
            if "db.system.name" in span.attributes
        )
    )


def run(engine: AnyEngine, work: Callable[[Any], Any]) -> Any:
    """`work` with a connection of `engine`, whose pool is thrown away afterwards; for tasks in one."""
    if isinstance(engine, Engine):
        try:
            with engine.connect() as connection:
                return work(connection)
        finally:
            engine.dispose()

    async def task() -> Any:
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(in_task(task))


async def in_task(work: Callable[[], Awaitable[Any]]) -> Any:
    """The outcome of `work`."""
    return await work()
