"""Run by `test_threads` in a process of its own: gevent has replaced threads, locks and sockets."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import threading  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from contextvars import copy_context  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2]))

from otelc2c import guard  # noqa: E402
from otelc2c.measure.threads import ThreadingInstrumentor  # noqa: E402
from tests.measure.kit import Kit  # noqa: E402
from tests.measure.test_threads import assert_own_trace, in_a_thread, serve, worked  # noqa: E402


def main() -> None:
    guard.strict(True)
    instrumentor = ThreadingInstrumentor()
    instrumentor.instrument(skip_dep_check=True)
    with Kit() as kit, ThreadPoolExecutor(2) as pool:
        over = threading.Event()
        left = []

        def late(name: str) -> None:
            over.wait(10)
            worked(kit, name)

        def inside() -> None:
            in_a_thread(lambda: worked(kit, "thread")).join()
            pool.submit(worked, kit, "pool").result()
            gevent.spawn(copy_context().run, worked, kit, "greenlet").join()
            gevent.spawn(worked, kit, "alone").join()
            left.append(in_a_thread(lambda: late("late thread")))
            left.append(gevent.spawn(copy_context().run, late, "late greenlet"))
            pool.submit(late, "late pool")

        serve(inside)
        over.set()
        for one in left:
            one.join()
        pool.shutdown()
        server = kit.server()
        for name in ("thread", "pool", "greenlet"):
            assert kit.named(name).parent == server.id, name
            assert_own_trace(kit.named(f"late {name}"), server)
        # gevent itself hands no context on.
        assert not kit.named("alone").parent
        requests = [gevent.spawn(serve, lambda: worked(kit, "own")) for _ in range(20)]
        gevent.joinall(requests, raise_error=True)
        servers = {span.id for span in kit.spans if span.name == "GET"}
        assert len({span.parent for span in kit.spans if span.name == "own"} & servers) == 20
    print("as with threads")


if __name__ == "__main__":
    main()
