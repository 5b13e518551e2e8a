"""What is said of SQL statements, under the database conventions that were asked for.

Neither parameters nor the text of an exception are part of it: drivers write the values of parameters
into their messages.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from otelc2c import catalog
from otelc2c.measure.conventions import Conventions
from otelc2c.measure.leaves import Described
from otelc2c.measure.sql.statements import Statement

BATCH: Final = "BATCH"
QUERY_TEXT: Final = "db.query.text"
_SYSTEMS: Final = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}
"""Where the conventions have another name than SQLAlchemy's dialect."""


class Facts:
    """An engine and its database. Compared by identity, so there is one for each engine."""

    __slots__ = ("address", "dialect", "engine", "namespace", "port", "system", "transport", "user")

    def __init__(
        self,
        dialect: str,
        engine: str,
        namespace: str | None = None,
        address: str | None = None,
        port: int | None = None,
        user: str | None = None,
        transport: str | None = None,
    ) -> None:
        """`dialect` and `engine` are names; `transport` is the value that `net.transport` has."""
        self.dialect: Final = dialect
        self.system: Final = _SYSTEMS.get(dialect, dialect)
        self.engine: Final = engine
        self.namespace: Final = namespace
        self.address: Final = address
        self.port: Final = port
        self.user: Final = user
        self.transport: Final = transport


Key: TypeAlias = tuple[Facts, Statement, bool, str | None, str | None]
"""Engine, statement, whether it was executed with several sets of parameters, type of the exception and
the database's code where there was one."""


class Names:
    """SQL statements in spans and metrics."""

    def __init__(self, conventions: Conventions, *, text: bool = True) -> None:
        """`text` says whether spans have the statement's text, without literals."""
        self._old = conventions.old
        self._new = conventions.new
        self._text = text

    def describe(self, key: Key) -> Described:
        """What all operations of this key have in common."""
        facts, statement, many, error, code = key
        operation = _batched(statement.operation, many) or None
        summary = _batched(statement.summary, many) or None
        made: dict[str, Any] = {}
        if self._new:
            made |= _new(facts, operation, summary, code)
            made[QUERY_TEXT] = statement.text if self._text else None
        if self._old:
            made |= _old(facts, statement.operation)
            made["db.statement"] = statement.text if self._text else None
        made[catalog.ENGINE] = facts.engine
        made[catalog.ERROR_TYPE] = error
        values = (
            facts.system,
            operation,
            summary,
            facts.namespace,
            facts.address,
            facts.port,
            facts.engine,
            code,
            error,
        )
        name = (summary or facts.system) if self._new else _old_name(facts, statement)
        return Described(
            name,
            {key: value for key, value in made.items() if value not in (None, "")},
            values,
            None if error is None else "",
        )


def _batched(text: str, many: bool) -> str:
    return f"{BATCH} {text}".rstrip() if many else text


def _old_name(facts: Facts, statement: Statement) -> str:
    """The operation and the database's name, as before."""
    return " ".join(part for part in (statement.operation, facts.namespace) if part) or facts.dialect


def _new(facts: Facts, operation: str | None, summary: str | None, code: str | None) -> Mapping[str, Any]:
    return {
        catalog.DB_SYSTEM_NAME: facts.system,
        catalog.DB_OPERATION_NAME: operation,
        catalog.DB_QUERY_SUMMARY: summary,
        catalog.DB_NAMESPACE: facts.namespace,
        catalog.SERVER_ADDRESS: facts.address,
        catalog.SERVER_PORT: facts.port,
        catalog.DB_RESPONSE_STATUS_CODE: code,
    }


def _old(facts: Facts, operation: str) -> Mapping[str, Any]:
    return {
        "db.system": facts.dialect,
        "db.operation": operation,
        "db.name": facts.namespace,
        "db.user": facts.user,
        "net.peer.name": facts.address,
        "net.peer.port": facts.port,
        "net.transport": facts.transport,
    }
