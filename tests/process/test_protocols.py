"""OTLP over gRPC and over HTTP to real receivers: the same spans and numbers, for each signal its own way."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.process.ledger import Client
from tests.process.page import Request
from tests.process.receiver import Receiver
from tests.process.server import free_port, gunicorn, telemetry
from tests.process.waiting import steady, until
from tests.sink import METRICS, TRACES, Received, metrics_of

GRPC = "tests.process.grpc_sink"
DURATION = "http.server.request.duration"
EXIT_LIMIT = 3.0
MARGIN = 0.5
"""What the server needs by itself, on a machine that others use too."""
INTERVAL = "400"
"""Milliseconds between two pushes of numbers: several in a test."""


def pushed(received: Sequence[Received]) -> list[Counter[Request]]:
    """The requests that each push counted since the start, in order."""
    pushes = []
    for one in received:
        counted: Counter[Request] = Counter()
        for _, _, metric in metrics_of([one]):
            for point in metric.histogram.data_points if metric.name == DURATION else ():
                has = {each.key: each.value for each in point.attributes}
                key = Request(
                    has["http.route"].string_value,
                    has["http.request.method"].string_value,
                    str(has["http.response.status_code"].int_value),
                )
                counted[key] += point.count
        pushes.append(counted)
    return [each for each in pushes if each]


def paths(receiver: Receiver) -> set[str]:
    """The kinds of signals that came."""
    return {one.path for one in receiver.received()}


def grown(pushes: Sequence[Counter[Request]]) -> bool:
    """Whether no push said less than the one before it."""
    return all(not before - after for before, after in pairwise(pushes))


def test_spans_and_numbers_arrive_by_grpc(tmp_path: Path, page_port: int) -> None:
    with Receiver(tmp_path, GRPC) as receiver:
        variables = telemetry(
            page_port,
            receiver.address,
            OTEL_METRICS_EXPORTER="otlp,prometheus",
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            OTEL_METRIC_EXPORT_INTERVAL=INTERVAL,
        )
        with gunicorn(tmp_path, variables, workers=2) as server:
            client = Client(server.port)
            ledger = client.send(60)
            assert set(receiver.wait_numbers(ledger.numbers())) == ledger.numbers()
            assert steady(lambda: pushed(receiver.received())[-1:], [ledger.counted()]) == [ledger.counted()]
            client.send(40)
            assert server.page.requests() == ledger.counted()
            assert server.end() < EXIT_LIMIT
            until(lambda: server.processes() == [], EXIT_LIMIT, "the relay ends too")
        received = receiver.numbers()
        assert set(received) == ledger.numbers()
        assert max(received.values()) == 1
        pushes = pushed(receiver.received())
        assert pushes[-1] == ledger.counted()
        assert grown(pushes)


def test_a_grpc_receiver_that_is_away_delays_no_end(tmp_path: Path, page_port: int) -> None:
    """OpenTelemetry's exporter waits by itself before it tries again: the relay does not wait for it."""
    variables = telemetry(
        page_port,
        f"http://127.0.0.1:{free_port()}",
        OTEL_METRICS_EXPORTER="otlp,prometheus",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_METRIC_EXPORT_INTERVAL=INTERVAL,
    )
    with gunicorn(tmp_path, variables, workers=2) as server:
        ledger = Client(server.port).send(60)
        assert server.page.requests() == ledger.counted()
        assert server.end() < EXIT_LIMIT + MARGIN
        until(lambda: server.processes() == [], EXIT_LIMIT, "the relay ends too")


def test_each_signal_goes_its_own_way(tmp_path: Path, page_port: int, receiver: Receiver) -> None:
    (tmp_path / "grpc").mkdir()
    with Receiver(tmp_path / "grpc", GRPC) as spans:
        variables = telemetry(
            page_port,
            OTEL_TRACES_EXPORTER="otlp",
            OTEL_METRICS_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=spans.address,
            OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{receiver.address}{METRICS}",
            OTEL_METRIC_EXPORT_INTERVAL=INTERVAL,
        )
        with gunicorn(tmp_path, variables, workers=2) as server:
            ledger = Client(server.port).send(60)
            assert len(ledger.answers) == 60
            assert server.end() < EXIT_LIMIT
        assert spans.numbers() == Counter(ledger.numbers())
        assert pushed(receiver.received())[-1] == ledger.counted()
        assert paths(spans) == {TRACES}
        assert paths(receiver) == {METRICS}
