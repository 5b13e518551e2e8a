"""Redis commands of real workers: each is counted once with its error, and hangs under its request."""

import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.process.receiver import Receiver
from tests.process.server import BIN, Server, free_port, telemetry
from tests.process.waiting import steady
from tests.services.redis_server import RedisServer

pytestmark = pytest.mark.services

REQUESTS = 60
OF_A_REQUEST = Counter(
    {
        ("SET", ""): 1,
        ("GET", ""): 1,
        ("INCRBY", "ResponseError"): 1,
        ("MULTI GET", ""): 1,
        ("MULTI", "ResponseError"): 1,
    }
)
COUNT = "db_client_operation_duration_seconds_count"


def counted(server: Server) -> Counter[tuple[str, str]]:
    """How often the page counts each operation with each error."""
    found: Counter[tuple[str, str]] = Counter()
    for (name, labels), value in server.page.samples().items():
        if name == COUNT:
            told = dict(labels)
            found[told["db_operation_name"], told.get("error_type", "")] += int(value)
    return found


def below(spans: list[Span]) -> list[Counter[str]]:
    """Names of the spans below each server span."""
    servers = {span.span_id for span in spans if span.kind == Span.SPAN_KIND_SERVER}
    return [Counter(span.name for span in spans if span.parent_span_id == one) for one in servers]


@pytest.mark.parametrize(
    ("worker", "path"), [("sync", ""), ("gthread", ""), ("gevent", ""), ("gthread", "task")]
)
def test_every_command_is_counted_and_hangs_under_its_request(
    tmp_path: Path, page_port: int, receiver: Receiver, worker: str, path: str
) -> None:
    port = free_port()
    command = [
        *(str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", "2", "--worker-class", worker),
        *(("--threads", "4") if worker == "gthread" else ()),
        "tests.process.cached:application",
    ]

    def ask(number: int) -> None:
        url = f"http://127.0.0.1:{port}/{path}{number}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert answer.read() == b"asked"

    with RedisServer(tmp_path) as cache:
        at = {"TEST_REDIS_URL": f"redis://127.0.0.1:{cache.port}/0", "HOME": str(tmp_path)}
        with Server(command, tmp_path, telemetry(page_port, receiver.address, **at), port=port) as server:
            with ThreadPoolExecutor(6) as clients:
                list(clients.map(ask, range(REQUESTS)))
            wanted = Counter({what: REQUESTS * number for what, number in OF_A_REQUEST.items()})
            assert steady(lambda: counted(server), wanted) == wanted
            server.end()
        of_one = Counter({name: number for (name, _), number in OF_A_REQUEST.items()})
        spans = [received.span for received in receiver.spans()]
    assert below(spans) == [of_one] * REQUESTS
    failed = Counter(span.name for span in spans if span.status.code == span.status.STATUS_CODE_ERROR)
    assert failed == Counter({"INCRBY": REQUESTS, "MULTI": REQUESTS})
