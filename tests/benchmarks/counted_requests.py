"""The counted program: rounds of requests of one subject, each round ended by a flush.

Run by `tests.benchmarks.requests` under valgrind, with the start of a case on the path.
"""

import sys
from collections.abc import Callable
from typing import Final

from tests.benchmarks.application import PATHS, call, make_application
from tests.benchmarks.callgrind import Counter

SLOWER: Final = 40
"""How many times longer a program takes under valgrind, about."""


def flush_of(who: str) -> Callable[[], None]:
    """What ends a round: everything recorded so far is at the receiver afterwards."""
    if who == "plain":
        return lambda: None
    if who == "otelc2c":
        from tests.benchmarks.relay_here import RelayHere

        return RelayHere().pump
    return flush_peer


def stretch_time() -> None:
    """Stretch what is decided by the clock as much as valgrind stretches time."""
    from otelc2c.record import cells, span

    span.TOGETHER_NS *= SLOWER  # type: ignore[misc]
    cells.EXEMPLAR_EVERY_NS *= SLOWER


def flush_peer() -> None:
    """The SDK's own flush, of spans and of metrics."""
    from opentelemetry import metrics, trace

    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        flush = getattr(provider, "force_flush", None)
        if flush is not None and not flush():
            raise AssertionError(f"{provider} did not flush")


def main(who: str, rounds: int, requests: int, subject: str) -> None:
    """Warm up with a round that is not counted, then mark each round."""
    counter = Counter()
    application, path = make_application(subject), PATHS[subject]
    flush = flush_of(who)
    if who == "otelc2c":
        stretch_time()
    for _ in range(requests):
        call(application, path)
    flush()
    counter.start()
    for number in range(rounds):
        for _ in range(requests):
            call(application, path)
        counter.dump(f"requests-{number}")
        flush()
        counter.dump(f"flush-{number}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
