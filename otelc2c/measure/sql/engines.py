"""What is known of an engine, its connections and its failures, by the driver that it uses.

Everything here reads objects of SQLAlchemy and of drivers, and imports neither.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, Final

from otelc2c.measure.failures import error_type
from otelc2c.measure.sql.names import Facts
from otelc2c.measure.sql.tokens import STANDARD, SYNTAX, Syntax

NAME: Final = "c2c_name"
"""The attribute under which c2cwsgiutils keeps an engine's name."""
_MOST_NAME: Final = 255
_POSTGRESQL: Final = "postgresql"
_SQLSTATE: Final = 5
_MYSQL: Final = frozenset({"MySQLdb", "aiomysql", "asyncmy", "mariadb", "mysql", "pymysql"})
"""Packages whose exceptions begin with the server's number."""
_MOST_NUMBER: Final = 65_535


# -- the engine -----------------------------------------------------------------------------------


def engine_name(engine: Any, dialect: Any) -> str:
    """What an engine was called by c2cwsgiutils or in `create_engine`; else its server and database.

    The kind of the database where nothing else is known.
    """
    name = getattr(engine, NAME, None) or getattr(engine, "logging_name", None)
    if not isinstance(name, str):
        address, port, database = _place(engine)
        server = f"{address}:{port}" if address and port else address or ""
        name = "/".join(part for part in (server, database) if part) or str(dialect.name)
    return name[:_MOST_NAME]


def facts_of(engine: Any, dialect: Any, name: str, cursor: Any = None) -> Facts:
    """Database and server of an engine; of PostgreSQL also from a connection, if the URL is silent."""
    address, port, database = _place(engine)
    transport = None
    if not address and dialect.name == _POSTGRESQL:
        address, port, database, transport = _connected(cursor, database)
    user = getattr(engine.url, "username", None) if engine is not None else None
    return Facts(str(dialect.name), name, database or None, address or None, port, user, transport)


def _place(engine: Any) -> tuple[str | None, int | None, str | None]:
    url = getattr(engine, "url", None)
    return getattr(url, "host", None), getattr(url, "port", None), getattr(url, "database", None)


def _connected(cursor: Any, database: str | None) -> tuple[str | None, int | None, str | None, str | None]:
    """Server, port, database and transport of the connection that a cursor of psycopg belongs to."""
    info = getattr(getattr(cursor, "connection", None), "info", None)
    if info is None:
        return None, None, database, None
    host, port = info.host or None, int(info.port) if info.port else None
    database = info.dbname or database
    if host is not None and host.startswith("/"):
        # PostgreSQL gives its sockets this name.
        return (os.path.join(host, f".s.PGSQL.{port}") if port else host), None, database, "other"
    return host, port, database, "ip_tcp"


def syntax_of(dialect: Any) -> Syntax:
    """How its statements are written, as far as SQLAlchemy has asked the server."""
    syntax = SYNTAX.get(dialect.name, STANDARD)
    backslashes = getattr(dialect, "_backslash_escapes", None)
    if dialect.name == _POSTGRESQL and isinstance(backslashes, bool):
        return syntax._replace(backslashes=backslashes)
    return syntax


# -- transactions ---------------------------------------------------------------------------------


def _of_sqlite(connection: Any) -> bool:
    return bool(connection.in_transaction)


def _of_psycopg2(connection: Any) -> bool:
    return bool(connection.status != 1)


def _of_psycopg(connection: Any) -> bool:
    return bool(connection.pgconn.transaction_status != 0)


def _of_asyncpg(connection: Any) -> bool:
    return connection._transaction is not None


def _inside(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """The same for SQLAlchemy's own connection around one that is used in tasks."""

    def inside(connection: Any) -> bool:
        return test(connection._connection)

    return inside


_IN_TRANSACTION: Final[dict[tuple[str, bool], Callable[[Any], bool]]] = {
    ("pysqlite", False): _of_sqlite,
    ("psycopg2", False): _of_psycopg2,
    ("psycopg", False): _of_psycopg,
    ("psycopg", True): _inside(_of_psycopg),
    ("asyncpg", True): _of_asyncpg,
    ("aiosqlite", True): _inside(_of_sqlite),
}


def _always(connection: Any) -> bool:
    return True


def transaction_test(dialect: Any) -> Callable[[Any], bool]:
    """Whether a driver's connection has something to commit: others do not ask the server then.

    For an unknown driver every commit is taken for one.
    """
    return _IN_TRANSACTION.get((str(dialect.driver), bool(dialect.is_async)), _always)


# -- failures -------------------------------------------------------------------------------------


def failure_of(error: BaseException) -> tuple[str, str | None]:
    """Type of an exception, and the database's code in it. Its text is not looked at."""
    cause = error.__cause__
    if cause is not None and type(error).__qualname__.startswith("AsyncAdapt"):
        # SQLAlchemy's own around that of a driver for tasks: the first says more.
        error = cause
    return error_type(error), _code_of(error)


def _code_of(error: BaseException) -> str | None:
    """An SQLSTATE, SQLite's name of a result, or MySQL's number. Nothing that only looks like one."""
    for name in ("sqlstate", "pgcode"):
        code = getattr(error, name, None)
        if isinstance(code, str) and len(code) == _SQLSTATE and code.isascii() and code.isalnum():
            return code
    code = getattr(error, "sqlite_errorname", None)
    if isinstance(code, str):
        return code[:_MOST_NAME]
    number = error.args[0] if error.args else None
    package = type(error).__module__.partition(".")[0]
    return str(number) if type(number) is int and package in _MYSQL and 0 < number <= _MOST_NUMBER else None


# -- other instrumentations -----------------------------------------------------------------------

_BELOW: Final = {
    "psycopg2": ("psycopg2", "Psycopg2Instrumentor"),
    "psycopg": ("psycopg", "PsycopgInstrumentor"),
    "pysqlite": ("sqlite3", "SQLite3Instrumentor"),
    "aiosqlite": ("sqlite3", "SQLite3Instrumentor"),
    "asyncpg": ("asyncpg", "AsyncPGInstrumentor"),
    "pymysql": ("pymysql", "PyMySQLInstrumentor"),
    "mysqldb": ("mysqlclient", "MySQLClientInstrumentor"),
    "mysqlconnector": ("mysql", "MySQLInstrumentor"),
}


def is_measured_below(driver: str) -> bool:
    """Whether one of contrib's instrumentations measures the driver, so that it would make a second span."""
    package, name = _BELOW.get(driver, ("", ""))
    module = sys.modules.get(f"opentelemetry.instrumentation.{package}")
    kind = getattr(module, name, None)
    instance = getattr(kind, "_instance", None)
    return bool(getattr(instance, "_is_instrumented_by_opentelemetry", False))
