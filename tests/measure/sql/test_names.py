"""What is said of a statement, by the conventions that were asked for."""

from typing import Any

import pytest

from otelc2c import catalog
from otelc2c.measure.conventions import Conventions
from otelc2c.measure.sql.names import Facts, Key, Names
from otelc2c.measure.sql.statements import Statement

NEW = Conventions(old=False, new=True)
OLD = Conventions(old=True, new=False)
BOTH = Conventions(old=True, new=True)
FACTS = Facts("postgresql", "main", "shop", "db.example.com", 5433, "anna", None)
SELECT = Statement("SELECT users", "SELECT", "SELECT * FROM users WHERE id = ?")

STABLE: dict[str, Any] = {
    "db.system.name": "postgresql",
    "db.operation.name": "SELECT",
    "db.query.summary": "SELECT users",
    "db.query.text": "SELECT * FROM users WHERE id = ?",
    "db.namespace": "shop",
    "server.address": "db.example.com",
    "server.port": 5433,
    "otelc2c.engine": "main",
}
BEFORE: dict[str, Any] = {
    "db.system": "postgresql",
    "db.operation": "SELECT",
    "db.statement": "SELECT * FROM users WHERE id = ?",
    "db.name": "shop",
    "db.user": "anna",
    "net.peer.name": "db.example.com",
    "net.peer.port": 5433,
    "otelc2c.engine": "main",
}


@pytest.mark.parametrize(
    ("conventions", "name", "attributes"),
    [
        (NEW, "SELECT users", STABLE),
        (OLD, "SELECT shop", BEFORE),
        (BOTH, "SELECT users", {**BEFORE, **STABLE}),
    ],
)
def test_names_are_those_of_the_conventions(
    conventions: Conventions, name: str, attributes: dict[str, Any]
) -> None:
    described = Names(conventions).describe((FACTS, SELECT, False, None, None))
    assert described.name == name
    assert described.attributes == attributes
    assert described.error is None


@pytest.mark.parametrize("conventions", [NEW, OLD, BOTH])
def test_the_metric_has_the_same_values_under_all_conventions(conventions: Conventions) -> None:
    described = Names(conventions).describe((FACTS, SELECT, False, "Timeout", "57014"))
    assert dict(zip(catalog.DB_CLIENT_OPERATION_DURATION.attributes, described.values, strict=True)) == {
        "db.system.name": "postgresql",
        "db.operation.name": "SELECT",
        "db.query.summary": "SELECT users",
        "db.namespace": "shop",
        "server.address": "db.example.com",
        "server.port": 5433,
        "otelc2c.engine": "main",
        "db.response.status_code": "57014",
        "error.type": "Timeout",
    }


def test_a_failure_has_type_and_code_and_no_text() -> None:
    described = Names(NEW).describe((FACTS, SELECT, False, "UniqueViolation", "23505"))
    assert described.attributes["error.type"] == "UniqueViolation"
    assert described.attributes["db.response.status_code"] == "23505"
    assert not described.error
    assert described.error is not None


def test_a_batch_says_so() -> None:
    described = Names(NEW).describe((FACTS, SELECT, True, None, None))
    assert described.name == "BATCH SELECT users"
    assert described.attributes["db.operation.name"] == "BATCH SELECT"
    assert described.attributes["db.query.summary"] == "BATCH SELECT users"


def test_a_statement_of_which_nothing_is_known_has_the_systems_name() -> None:
    key: Key = (Facts("mssql", "main"), Statement("", "", "foo"), False, None, None)
    described = Names(NEW).describe(key)
    assert described.name == "microsoft.sql_server"
    assert described.attributes == {
        "db.system.name": "microsoft.sql_server",
        "db.query.text": "foo",
        "otelc2c.engine": "main",
    }
    assert Names(OLD).describe(key).name == "mssql"
    assert Names(OLD).describe(key).attributes["db.system"] == "mssql"
    assert Names(NEW).describe((*key[:2], True, None, None)).name == "BATCH"


@pytest.mark.parametrize("conventions", [NEW, OLD, BOTH])
def test_the_text_can_be_left_out(conventions: Conventions) -> None:
    described = Names(conventions, text=False).describe((FACTS, SELECT, False, None, None))
    assert not {"db.query.text", "db.statement"} & set(described.attributes)
