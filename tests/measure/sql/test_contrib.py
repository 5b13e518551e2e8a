"""Our spans beside those of OpenTelemetry's own SQLAlchemy instrumentation, attribute by attribute.

Every difference is listed with its reason; one that is not listed fails, and so does one that is listed
and is none any more. Contrib has no metric of durations. It refuses SQLAlchemy 2.1, with which it works.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from opentelemetry.instrumentation import _semconv
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability
from opentelemetry.instrumentation._semconv import _OpenTelemetryStabilitySignalType as Signal
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor as ContribSqlalchemy
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.measure.kit import Kit, Seen
from tests.measure.sql.kit import TABLE, instrumented
from tests.services.postgres_server import HOST, PostgresServer

Mode = _semconv._StabilityMode
MODES: Mapping[str, tuple[str, Any, Any]] = {
    "old": ("database/old", Mode.DEFAULT, Mode.DEFAULT),
    "new": ("", Mode.DATABASE, Mode.HTTP),
    "dup": ("database/dup", Mode.DATABASE_DUP, Mode.HTTP_DUP),
}
"""What asks us for it, and contrib; contrib asks the conventions of HTTP for the server's names."""
ALWAYS: Mapping[str, str] = {
    "otelc2c.engine": "tells several engines apart; contrib cannot",
}
NEW: Mapping[str, str] = {
    "db.query.summary": "recommended by the conventions, left out by contrib",
    "db.operation.name": "contrib has its span's name here, which is operation and database",
    "name": "the conventions' name is the summary",
}
OLD: Mapping[str, str] = {"db.operation": "as db.operation.name"}
ROWS: Mapping[str, str] = {"db.response.returned_rows": "of the conventions, left out by contrib"}
TEXT: Mapping[str, str] = {"text": "contrib records statements with their literals (T42)"}
LISTS: Mapping[str, str] = {"text": "lists of values are told as one, whose texts are few"}
FAILED: Mapping[str, str] = {
    "error.type": "required by the conventions for failures, left out by contrib",
    "message": "contrib's is the exception's text, which has the values of a row (T42)",
}
CODE: Mapping[str, str] = {"db.response.status_code": "required by the conventions, left out by contrib"}
BATCH: Mapping[str, str] = {
    "db.operation.batch.size": "recommended by the conventions, left out by contrib",
}


def select(connection: sa.Connection) -> Any:
    return connection.execute(sa.text("SELECT * FROM t WHERE a = :a"), {"a": 1}).all()


def literal(connection: sa.Connection) -> Any:
    return connection.execute(sa.text("SELECT * FROM t WHERE b = 'x'")).all()


def batch(connection: sa.Connection) -> Any:
    return connection.execute(
        sa.text("INSERT INTO t VALUES (:a, :b)"), [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    )


def no_table(connection: sa.Connection) -> Any:
    with pytest.raises(sa.exc.DBAPIError):
        connection.execute(sa.text("SELECT * FROM nowhere"))


Case = tuple[Callable[[sa.Connection], Any], Mapping[str, str], Mapping[str, str]]
"""What is done; further differences; and those of the new names alone."""
CASES: dict[str, Case] = {
    "a statement": (select, {}, {}),
    "a literal": (literal, TEXT, {}),
    "a batch": (batch, LISTS, BATCH),
    "a failure": (no_table, FAILED, CODE),
}


@pytest.fixture
def contrib(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(Stability, "_initialized", True)
    _, database, http = MODES[request.param]
    modes = {Signal.DATABASE: database, Signal.HTTP: http}
    monkeypatch.setattr(Stability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", modes)
    return exporter


def theirs_of(
    exporter: InMemorySpanExporter, make: Callable[[], sa.Engine], work: Callable[..., Any]
) -> ReadableSpan:
    """Contrib's only span of the work, but for those that it makes for taking a connection."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    engine = make()
    instrumentor = ContribSqlalchemy()
    instrumentor.instrument(engine=engine, tracer_provider=provider, skip_dep_check=True)
    try:
        _prepared(engine, work, exporter.clear)
    finally:
        instrumentor.uninstrument()
    (found,) = [span for span in exporter.get_finished_spans() if span.name != "connect"]
    return found


def ours_of(make: Callable[[], sa.Engine], work: Callable[..., Any], opt_in: str) -> Seen:
    """Our only span of the work."""
    with Kit({"OTEL_SEMCONV_STABILITY_OPT_IN": opt_in}) as kit, instrumented():
        _prepared(make(), work, kit.raw.clear)
        (found,) = [span for span in kit.spans if not span.name.startswith("ROLLBACK")]
        return found


def _prepared(engine: sa.Engine, work: Callable[..., Any], begin: Callable[[], Any]) -> None:
    with engine.connect() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS t"))
        connection.execute(sa.text(TABLE))
        connection.commit()
        begin()
        work(connection)
    engine.dispose()


def differences(ours: Seen, theirs: ReadableSpan) -> dict[str, tuple[Any, Any]]:
    mine: dict[str, Any] = {
        **ours.attributes,
        "name": ours.name,
        "kind": ours.wire.kind - 1,
        "status": ours.wire.status.code,
        "message": ours.wire.status.message or None,
        "events": [name for name, _ in ours.events],
    }
    other: dict[str, Any] = {
        **(theirs.attributes or {}),
        "name": theirs.name,
        "kind": theirs.kind.value,
        "status": theirs.status.status_code.value,
        "message": theirs.status.description,
        "events": [event.name for event in theirs.events],
    }
    for values in (mine, other):
        texts = {values.pop(key) for key in ("db.statement", "db.query.text") if key in values}
        values["text"] = texts
    keys = mine.keys() | other.keys()
    return {key: (mine.get(key), other.get(key)) for key in keys if mine.get(key) != other.get(key)}


def expected(mode: str, name: str, *, rows: bool) -> set[str]:
    _, more, stable = CASES[name]
    listed = {*ALWAYS, *more}
    if mode != "old":
        listed |= {*NEW, *stable, *(ROWS if rows and name in ("a statement", "a literal") else ())}
    if mode != "new":
        listed |= set(OLD)
    return listed


@pytest.mark.parametrize(("contrib", "mode"), [(mode, mode) for mode in MODES], indirect=["contrib"])
@pytest.mark.parametrize("name", CASES)
def test_sqlite_spans_are_those_of_contrib(
    contrib: InMemorySpanExporter, tmp_path: Path, mode: str, name: str
) -> None:
    def make() -> sa.Engine:
        return sa.create_engine(f"sqlite:///{tmp_path / 'db'}")

    work = CASES[name][0]
    found = differences(ours_of(make, work, MODES[mode][0]), theirs_of(contrib, make, work))
    assert set(found) == expected(mode, name, rows=False), found


@pytest.mark.services
@pytest.mark.parametrize(("contrib", "mode"), [(mode, mode) for mode in MODES], indirect=["contrib"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_postgresql_spans_are_those_of_contrib(
    contrib: InMemorySpanExporter, postgres: PostgresServer, mode: str, name: str, driver: str
) -> None:
    def make() -> sa.Engine:
        return sa.create_engine(f"postgresql+{driver}://postgres:hunter2@{HOST}:{postgres.port}/postgres")

    work = CASES[name][0]
    found = differences(ours_of(make, work, MODES[mode][0]), theirs_of(contrib, make, work))
    assert set(found) == expected(mode, name, rows=True), found
