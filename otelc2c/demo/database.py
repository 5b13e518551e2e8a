"""The order book of the tea room: three tables in an SQLite file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Engine, ForeignKey, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship

from otelc2c.demo.goods import SHELF, SUPPLIERS

ORDERS: Final = 200
"""Orders that are in a new book."""
SHOWN: Final = len(SHELF)
"""Orders on a page. In a new book the oldest are for one tea each, so none is loaded already."""
STOCK_CUPS: Final = 100_000
"""What there was of each tea before the first order."""


class Base(DeclarativeBase):
    """What the tables have in common."""


class Supplier(Base):
    """Who sends tea."""

    __tablename__ = "suppliers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    place: Mapped[str]


class Tea(Base):
    """Something that can be ordered."""

    __tablename__ = "teas"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    cents: Mapped[int]
    supplier_id: Mapped[int] = mapped_column(ForeignKey("suppliers.id"))
    supplier: Mapped[Supplier] = relationship()


class Order(Base):
    """Some cups of one tea."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    tea_id: Mapped[int] = mapped_column(ForeignKey("teas.id"))
    cups: Mapped[int]
    tea: Mapped[Tea] = relationship()


def engine_at(path: Path | str) -> Engine:
    """Connections to the book at `path`; none is opened yet."""
    return create_engine(URL.create("sqlite", database=str(path)))


def make(path: Path | str) -> None:
    """Make a book at `path`, where there is no file yet, and fill it.

    Whoever starts the service does it, once and before there are workers that could do it together.
    """
    engine = engine_at(path)
    with engine.connect() as connection:
        # One worker writes while others read; the file remembers it.
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    Base.metadata.create_all(engine)
    suppliers = {one: Supplier(name=one.name, place=one.place) for one in SUPPLIERS}
    teas = [Tea(name=tea.name, cents=tea.cents, supplier=suppliers[tea.supplier]) for tea in SHELF]
    with Session(engine) as session:
        session.add_all(Order(tea=teas[i % len(teas)], cups=1 + i * 7 % 9) for i in range(ORDERS))
        session.commit()
    engine.dispose()


def oldest(session: Session) -> Sequence[Order]:
    """The oldest orders, and nothing else: who looks at the tea of one sends a query for it."""
    return session.scalars(select(Order).order_by(Order.id).limit(SHOWN)).all()


def oldest_joined(session: Session) -> Sequence[Order]:
    """The same orders with their teas and suppliers, all of it in one query."""
    supplier = joinedload(Order.tea, innerjoin=True).joinedload(Tea.supplier, innerjoin=True)
    return session.scalars(select(Order).options(supplier).order_by(Order.id).limit(SHOWN)).all()


def store(session: Session, tea: str, cups: int) -> None:
    """Write down an order for a tea that is sold."""
    session.add(Order(tea_id=select(Tea.id).where(Tea.name == tea).scalar_subquery(), cups=cups))
    session.commit()


def cups_left(session: Session, tea: str) -> int:
    """What is left of a tea, from the tables alone, without objects."""
    orders, teas = Order.__table__, Tea.__table__
    ordered = (
        select(func.coalesce(func.sum(orders.c.cups), 0))
        .join_from(orders, teas, orders.c.tea_id == teas.c.id)
        .where(teas.c.name == tea)
    )
    return max(0, STOCK_CUPS - int(session.connection().execute(ordered).scalar_one()))
