"""Run by `test_greenlets` in a process of its own: gevent replaces sockets after the instrumentation is on.

That is the order in which a launched gunicorn does it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from otelc2c import guard
from otelc2c.measure.outgoing.requests import RequestsInstrumentor

guard.strict(True)
RequestsInstrumentor().instrument(skip_dep_check=True)
assert not {"requests", "urllib3"} & sys.modules.keys()

from gevent import monkey  # noqa: E402

monkey.patch_all()

from collections import Counter  # noqa: E402

import gevent  # noqa: E402
import requests  # noqa: E402
from opentelemetry import trace  # noqa: E402

from tests.measure.kit import Kit  # noqa: E402
from tests.measure.outgoing.peer import Peer  # noqa: E402
from tests.measure.outgoing.test_requests import calls_of, counts, outcomes  # noqa: E402

PATHS = ("/", "/status/404", "/redirect/2", "/drop", "/cut")


def work(kit: Kit, url: str) -> int:
    """Calls of one greenlet, below a span of its own, whose id it returns."""
    with kit.provider.get_tracer("application").start_as_current_span("work") as span:
        with requests.Session() as session:
            session.trust_env = False
            for path in PATHS:
                try:
                    session.get(url + path)
                except requests.RequestException:
                    pass
            try:
                with gevent.Timeout(0.2):
                    session.post(f"{url}/slow")
            except gevent.Timeout:
                pass
        assert trace.get_current_span() is span
        return span.get_span_context().span_id


def main() -> None:
    with Peer() as peer, Kit() as kit:
        greenlets = [gevent.spawn(work, kit, peer.url) for _ in range(20)]
        gevent.joinall(greenlets, raise_error=True)
        expected = {
            ("GET", 200, None): 40,
            ("GET", 404, "404"): 20,
            ("GET", 302, None): 40,
            ("GET", None, "ConnectionError"): 20,
            ("GET", 200, "ChunkedEncodingError"): 20,
            ("POST", None, "Timeout"): 20,
        }
        assert counts(kit) == outcomes(kit) == expected, counts(kit)
        below = Counter(span.parent for span in calls_of(kit))
        assert below == {one.value.to_bytes(8, "big"): 8 for one in greenlets}, below
    print("as with threads")


if __name__ == "__main__":
    main()
