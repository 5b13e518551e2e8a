"""The order book: how many queries each way of reading it takes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from otelc2c.demo import database
from otelc2c.demo.goods import SHELF, SUPPLIERS


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("demo") / "book"
    database.make(path)
    engine = database.engine_at(path)
    yield engine
    engine.dispose()


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[str]]:
    """What was sent to the database."""
    seen: list[str] = []

    def look(connection: object, cursor: object, statement: str, *more: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", look)
    yield seen
    event.remove(engine, "before_cursor_execute", look)


def seen_of(orders: Sequence[database.Order]) -> list[tuple[int, str, str]]:
    return [(order.cups, order.tea.name, order.tea.supplier.place) for order in orders]


def test_a_new_book_is_full_and_may_be_written_while_it_is_read(tmp_path: Path) -> None:
    database.make(tmp_path / "book")
    engine = database.engine_at(tmp_path / "book")
    with engine.connect() as connection:
        for table, rows in (("teas", 24), ("suppliers", 8), ("orders", database.ORDERS)):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == rows
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


def test_reading_late_takes_a_query_for_each_tea_and_supplier(engine: Engine, statements: list[str]) -> None:
    with Session(engine) as session:
        late = seen_of(database.oldest(session))
    assert len(statements) == 1 + len(SHELF) + len(SUPPLIERS)
    statements.clear()
    with Session(engine) as session:
        assert seen_of(database.oldest_joined(session)) == late
    assert len(statements) == 1


def test_an_order_is_one_statement_and_is_there_for_others(engine: Engine, statements: list[str]) -> None:
    with Session(engine) as one, Session(engine) as other:
        before = database.cups_left(other, "Sencha")
        other.rollback()
        statements.clear()
        database.store(one, "Sencha", 5)
        assert [statement.split()[0] for statement in statements] == ["INSERT"]
        assert database.cups_left(other, "Sencha") == before - 5


def test_no_less_than_nothing_is_left(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "STOCK_CUPS", 1)
    with Session(engine) as session:
        assert database.cups_left(session, "Assam") == 0


def test_there_is_one_tea_for_each_of_the_oldest_orders() -> None:
    assert len({tea.name for tea in SHELF}) == len(SHELF) == database.SHOWN
    assert {tea.supplier for tea in SHELF} == set(SUPPLIERS)
