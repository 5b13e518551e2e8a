"""What is known of engines, of their connections, and of what drivers raise."""

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from otelc2c.measure.sql.engines import (
    engine_name,
    facts_of,
    failure_of,
    is_measured_below,
    syntax_of,
    transaction_test,
)
from otelc2c.measure.sql.tokens import MYSQL, STANDARD

URL = "postgresql+psycopg2://anna:hunter2@db.example.com:5433/shop?sslmode=off"


def engine(url: str, **more: Any) -> Any:
    kind = sa.make_url(url).get_backend_name()
    return SimpleNamespace(url=sa.make_url(url), dialect=SimpleNamespace(name=kind), **more)


@pytest.mark.parametrize(
    ("url", "more", "name"),
    [
        (URL, {}, "db.example.com:5433/shop"),
        (URL, {"logging_name": "logged"}, "logged"),
        (URL, {"logging_name": "logged", "c2c_name": "named"}, "named"),
        (URL, {"c2c_name": object()}, "db.example.com:5433/shop"),
        ("postgresql://db/shop", {}, "db/shop"),
        ("postgresql://", {}, "postgresql"),
        ("sqlite:////data/x.db", {}, "/data/x.db"),
        ("sqlite://", {}, "sqlite"),
        ("postgresql://db/" + "x" * 400, {}, ("db/" + "x" * 400)[:255]),
    ],
)
def test_an_engine_has_the_name_it_was_given_or_that_of_its_database(
    url: str, more: dict[str, Any], name: str
) -> None:
    made = engine(url, **more)
    assert engine_name(made, made.dialect) == name


def test_the_password_is_not_among_the_facts() -> None:
    made = engine(URL)
    facts = facts_of(made, made.dialect, "x")
    values = {name: getattr(facts, name) for name in facts.__slots__}
    assert values == {
        "dialect": "postgresql",
        "system": "postgresql",
        "engine": "x",
        "namespace": "shop",
        "address": "db.example.com",
        "port": 5433,
        "user": "anna",
        "transport": None,
    }


@pytest.mark.parametrize(
    ("host", "address", "port", "transport"),
    [
        ("/run/postgresql", "/run/postgresql/.s.PGSQL.5432", None, "other"),
        ("10.1.2.3", "10.1.2.3", 5432, "ip_tcp"),
    ],
)
def test_a_silent_url_is_made_up_for_by_the_connection(
    host: str, address: str, port: int | None, transport: str
) -> None:
    info = SimpleNamespace(host=host, port=5432, dbname="shop")
    cursor = SimpleNamespace(connection=SimpleNamespace(info=info))
    made = engine("postgresql://")
    facts = facts_of(made, made.dialect, "x", cursor)
    assert (facts.address, facts.port, facts.namespace, facts.transport) == (address, port, "shop", transport)


def test_an_engine_that_is_gone_has_facts_all_the_same() -> None:
    dialect = SimpleNamespace(name="postgresql")
    assert facts_of(None, dialect, "x").namespace is None
    assert engine_name(None, dialect) == "postgresql"


class SqlstateError(Exception):
    """With a code."""

    def __init__(self, *args: object, **codes: object) -> None:
        super().__init__(*args)
        self.__dict__.update(codes)


class FromMysqlError(Exception):
    """As a driver of MySQL has them."""

    __module__ = "pymysql.err"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SqlstateError(sqlstate="23505"), ("SqlstateError", "23505")),
        (SqlstateError(pgcode="57014"), ("SqlstateError", "57014")),
        (SqlstateError(pgcode=None), ("SqlstateError", None)),
        (SqlstateError(sqlstate="my secret"), ("SqlstateError", None)),
        (SqlstateError(sqlite_errorname="SQLITE_BUSY"), ("SqlstateError", "SQLITE_BUSY")),
        (FromMysqlError(1062, "Duplicate entry 'secret'"), ("FromMysqlError", "1062")),
        (FromMysqlError("secret"), ("FromMysqlError", None)),
        (FromMysqlError(10**12), ("FromMysqlError", None)),
        # A number in an exception of the application's may be anything.
        (KeyError(4711), ("KeyError", None)),
        (KeyboardInterrupt(), ("KeyboardInterrupt", None)),
    ],
)
def test_a_failure_is_its_type_and_the_databases_code(
    error: BaseException, said: tuple[str, str | None]
) -> None:
    assert failure_of(error) == said


def test_an_unknown_driver_has_always_something_to_commit() -> None:
    assert transaction_test(SimpleNamespace(driver="new", is_async=False))(object())


@pytest.mark.parametrize(
    ("driver", "is_async", "idle", "busy"),
    [
        ("pysqlite", False, {"in_transaction": False}, {"in_transaction": True}),
        ("psycopg2", False, {"status": 1}, {"status": 2}),
        (
            "psycopg",
            False,
            {"pgconn": SimpleNamespace(transaction_status=0)},
            {"pgconn": SimpleNamespace(transaction_status=2)},
        ),
        ("asyncpg", True, {"_transaction": None}, {"_transaction": object()}),
        (
            "aiosqlite",
            True,
            {"_connection": SimpleNamespace(in_transaction=False)},
            {"_connection": SimpleNamespace(in_transaction=True)},
        ),
    ],
)
def test_drivers_know_whether_there_is_something_to_commit(
    driver: str, is_async: bool, idle: dict[str, Any], busy: dict[str, Any]
) -> None:
    test = transaction_test(SimpleNamespace(driver=driver, is_async=is_async))
    assert not test(SimpleNamespace(**idle))
    assert test(SimpleNamespace(**busy))


def test_the_syntax_is_the_servers() -> None:
    assert syntax_of(SimpleNamespace(name="mysql")) is MYSQL
    assert syntax_of(SimpleNamespace(name="unknown")) is STANDARD
    assert syntax_of(SimpleNamespace(name="postgresql", _backslash_escapes=True)).backslashes
    assert not syntax_of(SimpleNamespace(name="postgresql", _backslash_escapes=False)).backslashes


@pytest.mark.parametrize(
    ("instance", "measured"),
    [
        (SimpleNamespace(_is_instrumented_by_opentelemetry=True), True),
        (SimpleNamespace(_is_instrumented_by_opentelemetry=False), False),
        (None, False),
    ],
)
def test_an_instrumentation_below_is_known(
    monkeypatch: pytest.MonkeyPatch, instance: Any, measured: bool
) -> None:
    module: Any = ModuleType("opentelemetry.instrumentation.sqlite3")
    module.SQLite3Instrumentor = SimpleNamespace(_instance=instance)
    monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    assert is_measured_below("pysqlite") is measured
    assert is_measured_below("unknown") is False
