"""Exponential histograms of several workers, as OTLP and as a page tell them."""

from pathlib import Path

import pytest

from tests.process.ledger import HELLO, Client
from tests.process.receiver import Receiver
from tests.process.server import gunicorn, kill, telemetry
from tests.process.waiting import steady
from tests.sink import metrics_of

DURATION = "http.server.request.duration"
REQUESTS = 60


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_requests_of_all_workers_are_in_one_histogram(
    tmp_path: Path, page_port: int, receiver: Receiver, temporality: str
) -> None:
    """Also those of a worker that was killed, which are in the fold."""
    variables = telemetry(
        page_port,
        receiver.address,
        OTEL_METRICS_EXPORTER="otlp,prometheus",
        OTEL_METRIC_EXPORT_INTERVAL="200",
        OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=temporality,
    )

    def told() -> list[int]:
        """How many requests each export speaks of."""
        metrics = [metric for _, _, metric in metrics_of(receiver.received()) if metric.name == DURATION]
        assert all(metric.WhichOneof("data") == "exponential_histogram" for metric in metrics)
        points = [metric.exponential_histogram.data_points for metric in metrics]
        assert all(
            sum(point.positive.bucket_counts) + point.zero_count == point.count
            for few in points
            for point in few
        )
        return [sum(point.count for point in few) for few in points]

    with gunicorn(tmp_path, variables, workers=2) as server:
        workers = server.wait_workers(2)
        client = Client(server.port)
        client.send(REQUESTS // 2, [HELLO])
        assert len(client.ledger.answers) == REQUESTS // 2, client.ledger.lost
        assert steady(lambda: server.page.total(f"{page(DURATION)}_count"), REQUESTS // 2) == REQUESTS // 2
        kill(workers[0])
        client.send(REQUESTS // 2, [HELLO])
        lost = len(client.ledger.lost)
        wanted = REQUESTS - lost
        assert steady(lambda: server.page.total(f"{page(DURATION)}_count"), wanted) == wanted
        whole = server.page.total(f"{page(DURATION)}_bucket", le="+Inf")
        server.end()
        counts = told()
    assert whole == wanted
    assert (sum(counts) if temporality == "delta" else counts[-1]) == wanted


def page(name: str) -> str:
    """What the page calls a metric of seconds."""
    return name.replace(".", "_") + "_seconds"
