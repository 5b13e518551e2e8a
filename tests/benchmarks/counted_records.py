"""The counted program: rounds of one histogram record with five attributes, made by one of the peers.

Run by `tests.benchmarks.record` under valgrind. Attributes are made anew for each record, as an
application does it.
"""

import os
import sys
from collections.abc import Callable
from typing import Final

from tests.benchmarks.callgrind import Counter

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def nothing() -> Callable[[float], object]:
    """The loop and the call, which are in all others too."""
    return lambda value: None


def own() -> Callable[[float], object]:
    """Our own instruments: the cell of a tuple of values in the declared order."""
    from otelc2c.catalog import HTTP_SERVER_REQUEST_DURATION
    from otelc2c.record.cells import Store
    from otelc2c.record.own import OwnHistogram

    store = Store()
    store.publish(f"{os.environ['BENCH_FOLDER']}/own.cells")
    cell = OwnHistogram(store, HTTP_SERVER_REQUEST_DURATION).cell
    return lambda value: cell(("GET", "https", "/a", 200, "1.1", None)).record(value)


def api() -> Callable[[float], object]:
    """OpenTelemetry's API on our provider."""
    from otelc2c.record.cells import Store
    from otelc2c.record.meter import MeterProvider

    store = Store()
    store.publish(f"{os.environ['BENCH_FOLDER']}/api.cells")
    return _through_api(MeterProvider(store))


def sdk() -> Callable[[float], object]:
    """OpenTelemetry's API on its SDK, with a reader that never collects."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    return _through_api(MeterProvider([InMemoryMetricReader()]))


def _through_api(provider: object) -> Callable[[float], object]:
    from opentelemetry.metrics import MeterProvider

    assert isinstance(provider, MeterProvider)
    record = (
        provider.get_meter("bench")
        .create_histogram("duration", "s", explicit_bucket_boundaries_advisory=BOUNDS)
        .record
    )
    return lambda value: record(
        value,
        {
            "http.request.method": "GET",
            "url.scheme": "https",
            "http.route": "/a",
            "http.response.status_code": 200,
            "network.protocol.version": "1.1",
        },
    )


def prometheus() -> Callable[[float], object]:
    """prometheus_client for several processes."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = os.environ["BENCH_FOLDER"]
    from prometheus_client import Histogram

    labels = Histogram(
        "duration", "d", ["method", "scheme", "route", "status", "version"], buckets=BOUNDS
    ).labels
    return lambda value: labels("GET", "https", "/a", 200, "1.1").observe(value)


RECORDERS: Final[dict[str, Callable[[], Callable[[float], object]]]] = {
    made.__name__: made for made in (nothing, own, api, sdk, prometheus)
}


def main(who: str, rounds: int, records: int) -> None:
    """Warm up with a round that is not counted, then mark each round."""
    counter = Counter()
    record = RECORDERS[who]()
    values = [0.003 * (1 + number % 50) for number in range(records)]
    for value in values:
        record(value)
    counter.start()
    for number in range(rounds):
        for value in values:
            record(value)
        counter.dump(f"records-{number}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
