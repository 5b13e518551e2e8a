"""Statements of a Pyramid request: in a view, in a rendering, and in the request's totals."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from pyramid.config import Configurator
from pyramid.router import Router
from sqlalchemy.pool import StaticPool

from otelc2c.measure.pyramid import PyramidInstrumentor
from otelc2c.wsgi import measured
from tests.measure.corpus import make_environ, observe
from tests.measure.kit import Kit
from tests.measure.sql.kit import instrumented


@pytest.fixture(autouse=True)
def _instrumented() -> Iterator[None]:
    pyramid = PyramidInstrumentor()
    pyramid.instrument(skip_dep_check=True)
    with instrumented():
        yield
    pyramid.uninstrument()


def application() -> Router:
    """A view that asks once, and a renderer that asks twice."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})

    def ask(number: int) -> int:
        with engine.connect() as connection:
            return int(connection.execute(sa.text(f"SELECT {number} AS c{number}")).scalar_one())

    def view(_request: Any) -> dict[str, int]:
        return {"a": ask(1)}

    def factory(_info: Any) -> Callable[[Any, Any], str]:
        return lambda value, _system: str(value["a"] + ask(2) + ask(3))

    config = Configurator()
    config.add_renderer("asks", factory)
    config.add_route("page", "/page")
    config.add_view(view, route_name="page", renderer="asks")
    return config.make_wsgi_app()


def test_statements_are_below_the_view_and_the_rendering_that_ask_them() -> None:
    with Kit() as kit:
        observe(measured(application()), make_environ({"PATH_INFO": "/page"}))
        view, render, server = kit.named("view"), kit.named("render"), kit.server()
        below = {
            span.attributes["db.query.text"][-1]: span.parent for span in kit.spans if span.name == "SELECT"
        }
        assert below == {"1": view.id, "2": render.id, "3": render.id}
        assert server.attributes["otelc2c.sql.count"] == 3
        assert server.attributes["otelc2c.sql.duration"] > 0
        assert list(kit.points("db.client.operation.duration").values()) == [3]
