"""Our spans beside those of OpenTelemetry's own Redis instrumentation, attribute by attribute.

Every difference is listed with its reason; one that is not listed fails, and so does one that is listed
and is none any more. Contrib has no metric for Redis.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import redis
import redis.asyncio
from opentelemetry.instrumentation import _semconv
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability
from opentelemetry.instrumentation._semconv import _OpenTelemetryStabilitySignalType as Signal
from opentelemetry.instrumentation.redis import RedisInstrumentor as ContribRedis
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otelc2c.measure.redis.instrumentor import RedisInstrumentor
from tests.measure.kit import Kit
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.services

NEW_ONLY: Mapping[str, str] = {
    "db.operation.name": "required by the conventions, left out by contrib",
    "db.namespace": "required by the conventions where it is known, left out by contrib",
}
ARGS: Mapping[str, str] = {
    "db.redis.args_length": "a name of before, which contrib has with the stable names too; so have we where "
    "both are asked for"
}
SIZE: Mapping[str, str] = {"db.redis.pipeline_length": ARGS["db.redis.args_length"]}
ERRORS: Mapping[str, str] = {
    "error.type": "required by the conventions for failures, left out by contrib",
    "events": "contrib adds the exception with its text, which may hold keys and values (T42)",
}
CODE: Mapping[str, str] = {"db.response.status_code": "recommended by the conventions, left out by contrib"}
BATCH: Mapping[str, str] = {
    "name": "contrib's has every command, so a series for each length; the conventions' has one"
}
BATCH_SIZE: Mapping[str, str] = {
    "db.operation.batch.size": "recommended by the conventions, left out by contrib"
}
SAME_TEXT: Mapping[str, str] = {"text": "several commands that are the same are told once (conventions)"}
LONG_TEXT: Mapping[str, str] = {
    "text": "contrib shows up to 1,000 characters, so that there are as many texts as lengths"
}
UNKNOWN: Mapping[str, str] = {
    "name": "contrib shows whatever was sent",
    "text": "the same",
}
SEARCH: Mapping[str, str] = {"name": "contrib's own name for it; the conventions' is the command's"}


def fail(call: Callable[[], Any]) -> None:
    with pytest.raises(redis.RedisError):
        call()


def pipe(client: Any, *commands: tuple[Any, ...], transaction: bool = True) -> None:
    made = client.pipeline(transaction=transaction)
    for command in commands:
        made.execute_command(*command)
    made.execute()


CASES: dict[str, tuple[Callable[[Any], Any], Mapping[str, str], Mapping[str, str]]] = {
    "a command": (lambda client: client.set("key", "value"), {}, {}),
    "another database": (lambda client: client.get("key"), {}, {}),
    "a command of several words": (lambda client: client.execute_command("CONFIG GET", "port"), {}, {}),
    "a failure": (lambda client: fail(lambda: client.hset("text", "a", 1)), ERRORS, CODE),
    "no reply": (lambda client: fail(lambda: client.set("text", object)), ERRORS, {}),
    "a pipeline": (
        lambda client: pipe(client, ("SET", "a", 1), ("GET", "a"), transaction=False),
        BATCH,
        BATCH_SIZE,
    ),
    "a transaction": (lambda client: pipe(client, ("SET", "a", 1), ("GET", "a")), BATCH, BATCH_SIZE),
    "the same commands": (
        lambda client: pipe(client, ("GET", "a"), ("GET", "b")),
        {**BATCH, **SAME_TEXT},
        BATCH_SIZE,
    ),
    "a transaction of one": (lambda client: pipe(client, ("GET", "a")), BATCH, {}),
    "a pipeline that fails": (
        lambda client: fail(lambda: pipe(client, ("GET", "a"), ("INCR", "text"))),
        {**BATCH, **ERRORS},
        {**BATCH_SIZE, **CODE},
    ),
    "a long command": (lambda client: client.mget(range(20)), LONG_TEXT, {}),
    "no command": (
        lambda client: fail(lambda: client.execute_command("HUNTER2", 1)),
        {**UNKNOWN, **ERRORS},
        CODE,
    ),
    "a search": (lambda client: fail(lambda: client.ft("i").search("hunter2")), {**SEARCH, **ERRORS}, CODE),
}
"""What is done, and what is different beyond the lists of `expected`: always, and with stable names."""


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(params=["old", "new", "both"])
def names(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Contrib's conventions for databases and, as it takes addresses from there, for HTTP."""
    found: str = request.param
    mode = _semconv._StabilityMode
    http, database = {
        "old": (mode.DEFAULT, mode.DEFAULT),
        "new": (mode.HTTP, mode.DATABASE),
        "both": (mode.HTTP_DUP, mode.DATABASE_DUP),
    }[found]
    monkeypatch.setattr(Stability, "_initialized", True)
    modes = {Signal.HTTP: http, Signal.DATABASE: database}
    monkeypatch.setattr(Stability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", modes)
    return found


OPT_IN = {"old": "database/old", "new": "database", "both": "database/dup"}


TEXTS: Mapping[str, set[str]] = {
    "old": {"db.statement"},
    "new": {"db.query.text"},
    "both": {"db.statement", "db.query.text"},
}
"""Which attributes are called "text" in the lists above."""


def theirs(span: ReadableSpan) -> dict[str, Any]:
    return {
        **(span.attributes or {}),
        "name": span.name,
        "kind": span.kind.value,
        "status": span.status.status_code.value,
        "events": [event.name for event in span.events],
    }


def ours(kit: Kit) -> dict[str, Any]:
    span = kit.span
    return {
        **span.attributes,
        "name": span.name,
        "kind": span.wire.kind - 1,
        "status": span.wire.status.code,
        "events": [name for name, _ in span.events],
    }


def expected(names: str, any_names: Mapping[str, str], stable: Mapping[str, str], batch: bool) -> set[str]:
    different = {*any_names}
    if names != "old":
        different |= {*NEW_ONLY, *stable}
    if names == "new":
        different |= {*(SIZE if batch else ARGS)}
    return different - {"text"} | (TEXTS[names] if "text" in different else set())


def compared(
    run: Callable[[], Any], server: RedisServer, exporter: InMemorySpanExporter, names: str
) -> set[str]:
    """Names of what is different between contrib's span and ours, of the same call."""
    server.say("SET text words")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    contrib = ContribRedis()
    contrib.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        run()
    finally:
        contrib.uninstrument()
    (span,) = exporter.get_finished_spans()
    instrumentor = RedisInstrumentor()
    instrumentor.instrument(skip_dep_check=True)
    try:
        with Kit({"OTEL_SEMCONV_STABILITY_OPT_IN": OPT_IN[names]}) as kit:
            run()
    finally:
        instrumentor.uninstrument()
    mine, other = ours(kit), theirs(span)
    return {key for key in mine.keys() | other.keys() if mine.get(key) != other.get(key)}


@pytest.mark.parametrize("case", CASES)
def test_spans_are_those_of_contrib(
    server: RedisServer, exporter: InMemorySpanExporter, names: str, case: str
) -> None:
    call, any_names, stable = CASES[case]

    def run() -> None:
        with redis.Redis(port=server.port, db=3 if case == "another database" else 0) as client:
            call(client)

    batch = "name" in any_names and any_names["name"] == BATCH["name"]
    assert compared(run, server, exporter, names) == expected(names, any_names, stable, batch)


def test_spans_of_tasks_are_those_of_contrib(
    server: RedisServer, exporter: InMemorySpanExporter, names: str
) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis(port=server.port) as client:
            await client.set("key", "value")

    assert compared(lambda: asyncio.run(main()), server, exporter, names) == expected(
        names, {}, {}, batch=False
    )


def test_spans_over_a_socket_are_those_of_contrib(
    server: RedisServer, exporter: InMemorySpanExporter, names: str
) -> None:
    path = server.say("CONFIG GET unixsocket").decode().split("\r\n")[4]

    def run() -> None:
        with redis.Redis(unix_socket_path=path) as client:
            client.get("key")

    assert compared(run, server, exporter, names) == expected(names, {}, {}, batch=False)


def test_a_transaction_that_was_overtaken_is_no_error_for_either(
    server: RedisServer, exporter: InMemorySpanExporter, names: str
) -> None:
    with redis.Redis(port=server.port) as client, client.pipeline() as made:

        def run() -> None:
            server.say("SET key first")
            # Watched on the wire, so that the only call that is measured is the transaction.
            made.connection = client.connection_pool.get_connection()
            made.connection.send_command("WATCH", "key")
            made.connection.read_response()
            server.say("SET key second")
            made.watching = True
            made.multi()
            made.set("key", "third")
            with pytest.raises(redis.WatchError):
                made.execute()

        different = compared(run, server, exporter, names)
    assert different == expected(names, {**BATCH, "error.type": ERRORS["error.type"]}, {}, batch=True)
