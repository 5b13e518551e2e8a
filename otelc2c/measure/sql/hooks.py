"""What stands in place of the methods by which an engine's dialect executes, commits and rolls back.

One object for each dialect, which an engine has for itself (hot-path 2: events of SQLAlchemy would cost
four times as much).
"""

import weakref
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

from otelc2c.guard import swallowed
from otelc2c.measure.http import Bounded
from otelc2c.measure.measurer import Measurer, installed
from otelc2c.measure.sql.comments import with_trace
from otelc2c.measure.sql.engines import (
    engine_name,
    facts_of,
    failure_of,
    is_measured_below,
    syntax_of,
    transaction_test,
)
from otelc2c.measure.sql.names import Facts
from otelc2c.measure.sql.statements import Statement, Statements
from otelc2c.record import wire
from otelc2c.record.own import Records

KEPT: Final = "_otelc2c_hooks"
"""Under which name a dialect keeps its `Hooks`."""
_WHERE: Final = "measure.sql"
_COMMIT: Final = Statement("COMMIT", "COMMIT", "")
_ROLLBACK: Final = Statement("ROLLBACK", "ROLLBACK", "")
_METHODS: Final = (
    "initialize",
    "do_execute",
    "do_executemany",
    "do_execute_no_params",
    "do_commit",
    "do_rollback",
)
_BATCH_SIZE: Final = wire.Key("db.operation.batch.size")
_ROWS: Final = wire.Key("db.response.returned_rows")


class Hooks:
    """The replaced methods of one dialect."""

    def __init__(self, engine: Any) -> None:
        """Of this engine, whose dialect is changed by `put`."""
        self.engine: Final = weakref.ref(engine)
        self._dialect = engine.dialect
        self._facts: Facts | None = None
        self._name = ""
        self._below = False
        self._rows_of: Measurer | None = None
        self._rows: Bounded[Statement, Records]
        self._statements = Statements(syntax_of(self._dialect))
        self._in_transaction = transaction_test(self._dialect)
        self._originals: dict[str, Any] = {name: getattr(self._dialect, name) for name in _METHODS}
        self._replacements: dict[str, Callable[..., Any]] = {
            "initialize": self._initialize(self._originals["initialize"]),
            "do_execute": self._executes(self._originals["do_execute"]),
            "do_executemany": self._executes(self._originals["do_executemany"], many=True),
            "do_execute_no_params": self._executes_alone(self._originals["do_execute_no_params"]),
            "do_commit": self._finishes(self._originals["do_commit"], _COMMIT),
            "do_rollback": self._finishes(self._originals["do_rollback"], _ROLLBACK),
        }

    def put(self) -> None:
        """Measure what the dialect does from now on."""
        self._dialect.__dict__.update(self._replacements)
        self._dialect.__dict__[KEPT] = self

    def remove(self) -> None:
        """Put the methods back. What somebody else has replaced since is left as it is."""
        values = self._dialect.__dict__
        for name, made in self._replacements.items():
            if values.get(name) is made:
                del values[name]
        if values.get(KEPT) is self:
            del values[KEPT]

    def name(self) -> str:
        """The engine's, looked at once: names are given to engines after they are made."""
        if not self._name:
            self._name = engine_name(self.engine(), self._dialect)
        return self._name

    def facts(self, cursor: Any = None) -> Facts:
        """What is known of the engine, looked at once."""
        found = self._facts
        if found is None:
            found = self._facts = facts_of(self.engine(), self._dialect, self.name(), cursor)
            self._below = is_measured_below(str(self._dialect.driver))
        return found

    # -- methods ------------------------------------------------------------------------------

    def _initialize(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """What SQLAlchemy asks for itself on its first connection is no statement of the application's."""
        quiet = tuple(name for name in _METHODS if name != "initialize")

        def initialize(connection: Any) -> Any:
            values = self._dialect.__dict__
            away = {name: values.pop(name) for name in quiet if values.get(name) is self._replacements[name]}
            try:
                return original(connection)
            finally:
                self._statements.syntax = syntax_of(self._dialect)
                values.update(away)

        return initialize

    def _executes(self, original: Callable[..., Any], *, many: bool = False) -> Callable[..., Any]:
        def execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:
            measurer = installed.measurer
            if measurer is None:
                return original(cursor, statement, parameters, context)
            if self._facts is None or self._below or measurer.sql_comments:
                size = len(parameters) if many else 0
                return self._otherwise(
                    measurer,
                    cursor,
                    statement,
                    size,
                    lambda text: original(cursor, text, parameters, context),
                )
            start_ns = perf_counter_ns()
            try:
                result = original(cursor, statement, parameters, context)
            except BaseException as error:
                self._failed(measurer, statement, len(parameters) if many else 0, start_ns, error)
                raise
            self._done(measurer, cursor, statement, len(parameters) if many else 0, start_ns)
            return result

        return execute

    def _executes_alone(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def execute(cursor: Any, statement: str, context: Any = None) -> Any:
            measurer = installed.measurer
            if measurer is None:
                return original(cursor, statement, context)
            return self._otherwise(
                measurer, cursor, statement, 0, lambda text: original(cursor, text, context)
            )

        return execute

    def _finishes(self, original: Callable[..., Any], statement: Statement) -> Callable[..., Any]:
        def finish(dbapi_connection: Any) -> Any:
            measurer = installed.measurer
            if measurer is None or not self._has_work(dbapi_connection):
                return original(dbapi_connection)
            start_ns = perf_counter_ns()
            token = self._quiet()
            try:
                result = original(dbapi_connection)
            except BaseException as error:
                end_ns = perf_counter_ns()
                self._loud(token)
                self._tell(measurer, statement, start_ns, end_ns, error)
                raise
            end_ns = perf_counter_ns()
            self._loud(token)
            self._tell(measurer, statement, start_ns, end_ns)
            return result

        return finish

    # -- what they share ----------------------------------------------------------------------

    def _has_work(self, connection: Any) -> bool:
        if type(connection).__name__ == "_AdhocProxiedConnection":
            # SQLAlchemy ends its own first questions so.
            return False
        try:
            # What is around the driver's connection is the pool's; without one the call must fail.
            inner = getattr(connection, "dbapi_connection", connection)
            return inner is None or self._in_transaction(inner)
        except Exception as error:
            swallowed(_WHERE, error)
            return False

    def _quiet(self) -> Any:
        """Keep an instrumentation of the driver from making a second span; None where there is none."""
        if not self._below:
            return None
        return otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))

    @staticmethod
    def _loud(token: Any) -> None:
        if token is not None:
            otel_context.detach(token)

    def _otherwise(
        self, measurer: Measurer, cursor: Any, statement: str, size: int, call: Callable[[str], Any]
    ) -> Any:
        """The rarer ways: the first statement, a comment in it, an instrumentation below."""
        span, text, known = None, statement, None
        start_ns = perf_counter_ns()
        try:
            facts = self.facts(cursor)
            if measurer.sql_comments:
                known = self._statements[statement]
                span = measurer.sql.begin((facts, known, size > 0, None, None), start_ns)
                text = with_trace(statement, span)
        except Exception as error:
            swallowed(_WHERE, error)
        token = self._quiet()
        try:
            result = call(text)
        except BaseException as error:
            self._loud(token)
            self._failed(measurer, statement, size, start_ns, error, span)
            raise
        self._loud(token)
        self._done(measurer, cursor, statement, size, start_ns, span)
        return result

    def _done(
        self, measurer: Measurer, cursor: Any, text: str, size: int, start_ns: int, span: Any = None
    ) -> None:
        end_ns = perf_counter_ns()
        try:
            facts = self._facts or self.facts(cursor)
            statement = self._statements[text]
            extra = b""
            if size > 1:
                extra = _BATCH_SIZE.integer(size) if measurer.conventions_db.new else b""
            elif statement.gives_rows and (rows := cursor.rowcount) >= 0:
                if self._rows_of is not measurer:
                    self._count_rows(measurer)
                self._rows[statement].record(rows)
                extra = _ROWS.integer(rows) if measurer.conventions_db.new else b""
            key = (facts, statement, size > 1, None, None)
            if span is None:
                measurer.sql.write(key, start_ns, end_ns, extra)
            else:
                measurer.sql.end(span, key, start_ns, end_ns, extra)
        except Exception as error:
            swallowed(_WHERE, error)

    def _count_rows(self, measurer: Measurer) -> None:
        """The histogram's cells by statement, for the rows that each returns."""
        facts = self.facts()
        where = (facts.namespace, facts.address, facts.port, facts.engine)

        def cell(statement: Statement) -> Records:
            return measurer.rows.cell((facts.system, statement.operation, statement.summary, *where))

        self._rows = Bounded(cell)
        self._rows_of = measurer

    def _failed(
        self,
        measurer: Measurer,
        text: str,
        size: int,
        start_ns: int,
        error: BaseException,
        span: Any = None,
    ) -> None:
        end_ns = perf_counter_ns()
        try:
            statement = self._statements[text]
            extra = _BATCH_SIZE.integer(size) if size > 1 and measurer.conventions_db.new else b""
            key = (self.facts(), statement, size > 1, *failure_of(error))
            measurer.sql.end(span, key, start_ns, end_ns, extra)
        except Exception as failure:
            swallowed(_WHERE, failure)

    def _tell(
        self,
        measurer: Measurer,
        statement: Statement,
        start_ns: int,
        end_ns: int,
        error: BaseException | None = None,
    ) -> None:
        try:
            failure = (None, None) if error is None else failure_of(error)
            measurer.sql.write((self.facts(), statement, False, *failure), start_ns, end_ns)
        except Exception as failed:
            swallowed(_WHERE, failed)
