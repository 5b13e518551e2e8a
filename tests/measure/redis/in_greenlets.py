"""Commands in greenlets: the counts and the parents that come of them. Run with the port of a server."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402 (everything is patched first)

import gevent  # noqa: E402
import redis  # noqa: E402
from opentelemetry import trace  # noqa: E402

from otelc2c import guard  # noqa: E402
from otelc2c.measure.redis.instrumentor import RedisInstrumentor  # noqa: E402
from tests.measure.kit import Kit  # noqa: E402
from tests.measure.redis.work import operations, work  # noqa: E402

GREENLETS = 20


def main(port: int) -> None:
    """Work in greenlets, each below a span of its own, and print what was recorded."""
    guard.strict(True)
    RedisInstrumentor().instrument(skip_dep_check=True)
    with Kit() as kit:
        client = redis.Redis(port=port)
        tracer = trace.get_tracer("greenlets", tracer_provider=kit.provider)

        def one(number: int) -> None:
            with tracer.start_as_current_span(f"greenlet {number}"):
                work(client, f"key-{number}")

        gevent.joinall([gevent.spawn(one, number) for number in range(GREENLETS)], raise_error=True)
        around = {span.id for span in kit.spans if span.name.startswith("greenlet ")}
        below = [span for span in kit.spans if span.id not in around]
        parents = {span.parent for span in below} & around
        print(f"{sorted(operations(kit).items(), key=str)} {len(below)} spans, {len(parents)} parents")


if __name__ == "__main__":
    main(int(sys.argv[1]))
