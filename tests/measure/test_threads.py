"""Threads, pools and tasks belong to the request that started them, as long as that runs."""

import asyncio
import concurrent.futures.thread as pools
import gc
import importlib
import subprocess
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled, suppress_instrumentation

from otelc2c.measure.threads import ThreadingInstrumentor
from otelc2c.record.cells import Store
from otelc2c.record.meter import MeterProvider
from otelc2c.wsgi import measured
from tests.measure.corpus import make_environ, observe
from tests.measure.kit import Kit, Seen

GREENLETS = Path(__file__).with_name("greenlets.py")


@pytest.fixture
def instrumentor() -> Iterator[ThreadingInstrumentor]:
    """Switched on for one test."""
    made = ThreadingInstrumentor()
    made.instrument(skip_dep_check=True)
    yield made
    made.uninstrument()


@pytest.fixture
def kit(instrumentor: ThreadingInstrumentor) -> Iterator[Kit]:
    with Kit() as made:
        yield made


def serve(inside: Callable[[], object], **environ: Any) -> None:
    """One request that does `inside`."""

    def application(_environ: Any, start_response: Any) -> list[bytes]:
        inside()
        start_response("200 OK", [])
        return [b""]

    list(measured(application)(make_environ(environ), lambda *_args: lambda _data: None))


def worked(kit: Kit, name: str = "work") -> None:
    """What a thread does: one span."""
    with kit.provider.get_tracer("application").start_as_current_span(name):
        return


def in_a_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


class Overrides(threading.Thread):
    """The way in which a thread is usually written."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__()
        self.work = work

    def run(self) -> None:
        self.work()


def start_by_run_of_its_own(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread()
    thread.run = work  # type: ignore[method-assign]
    thread.start()
    assert thread.run is work
    return thread


def start_own_class(work: Callable[[], object]) -> threading.Thread:
    thread = Overrides(work)
    thread.start()
    return thread


def start_timer(work: Callable[..., object]) -> threading.Thread:
    timer = threading.Timer(0.001, work)
    timer.start()
    return timer


def start_in_a_pool(work: Callable[[], object]) -> Any:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return types.SimpleNamespace(join=lambda: future.result(10))


def start_by_map(work: Callable[[], object]) -> Any:
    pool = ThreadPoolExecutor(1)
    results = pool.map(lambda _: work(), [1])
    pool.shutdown(wait=False)
    return types.SimpleNamespace(join=lambda: list(results))


def start_by_asyncio(work: Callable[[], object]) -> Any:
    asyncio.run(asyncio.to_thread(work))
    return types.SimpleNamespace(join=lambda: None)


def start_in_its_executor(work: Callable[[], object]) -> Any:
    async def run() -> None:
        await asyncio.get_running_loop().run_in_executor(None, work)

    asyncio.run(run())
    return types.SimpleNamespace(join=lambda: None)


STARTS: dict[str, Callable[[Callable[[], object]], Any]] = {
    "thread": in_a_thread,
    "own class": start_own_class,
    "own run": start_by_run_of_its_own,
    "timer": start_timer,
    "pool": start_in_a_pool,
    "map": start_by_map,
    "to_thread": start_by_asyncio,
    "run_in_executor": start_in_its_executor,
}


@pytest.mark.parametrize("start", STARTS)
def test_what_a_thread_does_in_a_request_is_below_it(kit: Kit, start: str) -> None:
    """However it is started; baggage goes along."""
    seen: list[Any] = []

    def work() -> None:
        seen.append(baggage.get_baggage("tenant"))
        worked(kit)

    def inside() -> None:
        token = context.attach(baggage.set_baggage("tenant", "a"))
        STARTS[start](work).join()
        context.detach(token)

    serve(inside)
    server, span = kit.server(), kit.named("work")
    assert span.parent == server.id
    assert span.wire.trace_id == server.wire.trace_id
    assert not span.wire.links
    assert seen == ["a"]


@pytest.mark.parametrize("start", ["thread", "own class", "pool", "timer"])
def test_what_begins_behind_the_response_is_a_trace_of_its_own(kit: Kit, start: str) -> None:
    """It is linked to the request, and what is below it is not."""
    over = threading.Event()
    threads = []

    def work() -> None:
        assert over.wait(10)
        tracer = kit.provider.get_tracer("application")
        with tracer.start_as_current_span("work"):
            worked(kit, "inner")

    serve(lambda: threads.append(STARTS[start](work)))
    over.set()
    threads[0].join()
    server, span, inner = kit.server(), kit.named("work"), kit.named("inner")
    assert_own_trace(span, server)
    assert (inner.wire.trace_id, inner.parent) == (span.wire.trace_id, span.id)
    assert not inner.wire.links


def assert_own_trace(span: Seen, server: Seen) -> None:
    """The span is the first of a trace that is linked to a request's."""
    assert span.wire.trace_id != server.wire.trace_id
    assert not span.parent
    ((trace_id, span_id),) = [(link.trace_id, link.span_id) for link in span.wire.links]
    assert (trace_id, span_id) == (server.wire.trace_id, server.id)


def test_what_goes_on_behind_the_response_is_divided(kit: Kit) -> None:
    """What began before the end stays where it was, with all that is below it; what begins then is new."""
    began, over = threading.Event(), threading.Event()

    def work() -> None:
        worked(kit, "during")
        with kit.provider.get_tracer("application").start_as_current_span("across"):
            began.set()
            assert over.wait(10)
        worked(kit, "after")
        worked(kit, "later")

    threads: list[threading.Thread] = []

    def inside() -> None:
        threads.append(in_a_thread(work))
        assert began.wait(10)

    serve(inside)
    over.set()
    threads[0].join()
    server = kit.server()
    for name in ("during", "across"):
        assert kit.named(name).parent == server.id
    for name in ("after", "later"):
        assert_own_trace(kit.named(name), server)


def test_an_open_span_of_the_request_is_the_parent_and_a_closed_one_too_while_the_request_runs(
    kit: Kit,
) -> None:
    """A task that waits for a place in its pool belongs where it was handed in."""
    gate = threading.Event()
    tracer = kit.provider.get_tracer("application")

    def inside() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(gate.wait, 10)
            with tracer.start_as_current_span("handed in"):
                pool.submit(worked, kit)
            gate.set()

    serve(inside)
    assert kit.named("work").parent == kit.named("handed in").id
    assert kit.named("handed in").parent == kit.server().id


def test_statements_and_calls_behind_the_response_are_linked_too(kit: Kit) -> None:
    """Leaves, which have no span around them there."""
    over = threading.Event()
    futures: list[Future[None]] = []
    key = ("GET", "http", "shop", 80, 200, "1.1", None)

    def work() -> None:
        assert over.wait(10)
        kit.measurer.http.write(key, 1, 2)

    with ThreadPoolExecutor(1) as pool:
        serve(lambda: futures.append(pool.submit(work)))
        over.set()
    futures[0].result()
    leaf = next(span for span in kit.spans if span.attributes.get("server.address") == "shop")
    assert_own_trace(leaf, kit.server())


def test_a_thread_of_a_pool_belongs_to_no_request(kit: Kit) -> None:
    """It is made by the first task and serves all: one that comes from nowhere has no parent."""
    with ThreadPoolExecutor(1) as pool:
        serve(lambda: pool.submit(worked, kit, "first").result(10))
        pool.submit(worked, kit, "second").result(10)
        serve(lambda: pool.submit(worked, kit, "third").result(10))
    first, second, third = (kit.named(name) for name in ("first", "second", "third"))
    servers = [span.id for span in kit.spans if span.name == "GET"]
    assert [first.parent, second.parent, third.parent] == [servers[0], b"", servers[1]]
    assert not second.wire.links


def test_each_of_many_requests_has_its_own_work(kit: Kit) -> None:
    """One pool, many requests at once: every span is below the request that asked for it."""
    with ThreadPoolExecutor(4) as pool:

        def inside() -> None:
            above = trace.get_current_span().get_span_context().span_id
            name = trace.format_span_id(above)
            for future in [pool.submit(worked, kit, name) for _ in range(5)]:
                future.result(10)

        threads = [threading.Thread(target=serve, args=(inside,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    spans = [span for span in kit.spans if span.name != "GET"]
    assert len(spans) == 40
    assert all(span.parent.hex() == span.name for span in spans)


# -- asyncio ----------------------------------------------------------------------------------


def test_tasks_keep_their_context_by_themselves(kit: Kit) -> None:
    """And what a task does behind the response is a trace of its own."""

    async def main() -> None:
        over = asyncio.Event()

        async def work() -> None:
            worked(kit, "during")
            await over.wait()
            worked(kit, "after")

        tasks: list[asyncio.Task[None]] = []
        began = asyncio.Event()
        asyncio.get_running_loop().call_soon(began.set)
        serve(lambda: tasks.append(asyncio.get_running_loop().create_task(work())))
        over.set()
        await tasks[0]

    asyncio.run(main())
    assert_own_trace(kit.named("after"), kit.server())


def test_several_tasks_of_one_request_are_below_it(kit: Kit) -> None:
    async def main() -> None:
        async def work(number: int) -> None:
            with kit.provider.get_tracer("application").start_as_current_span(f"work {number}"):
                await asyncio.sleep(0)
                await asyncio.to_thread(worked, kit, f"inner {number}")

        await asyncio.gather(*(work(number) for number in range(5)))

    serve(lambda: asyncio.run(main()))
    server = kit.server()
    for number in range(5):
        span = kit.named(f"work {number}")
        assert span.parent == server.id
        assert kit.named(f"inner {number}").parent == span.id


# -- nothing else is changed ------------------------------------------------------------------


def test_results_and_failures_are_those_without_us(kit: Kit) -> None:
    """Of tasks, and of what cannot be started."""

    def inside() -> None:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda *args, **more: (args, more), 1, b=2).result() == ((1,), {"b": 2})
            assert pool.submit(
                lambda self, context, fn: (self, context, fn), 1, context=2, fn=3
            ).result() == (
                1,
                2,
                3,
            )
            failed = pool.submit(int, "x").exception()
            assert type(failed) is ValueError
            with pytest.raises(TypeError, match="fn"):
                pool.submit()  # type: ignore[call-arg]
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(int)
        thread = threading.Thread()
        thread.start()
        with pytest.raises(RuntimeError, match="only be started once"):
            thread.start()
        thread.join()
        assert "run" not in vars(thread)

    before = pools.ThreadPoolExecutor.submit.__name__
    serve(inside)
    assert before == "submit"
    assert not kit.active


def test_a_failure_of_a_thread_goes_where_it_went(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the hook for exceptions of threads."""
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda given: told.append((given.exc_type, given.thread)))
    threads: list[threading.Thread] = []
    serve(lambda: threads.append(in_a_thread(lambda: int("x"))))
    threads[0].join()
    assert told == [(ValueError, threads[0])]


def test_a_request_is_not_kept_alive_by_what_it_started(kit: Kit) -> None:
    """A thread and a pool that go on hold a span, and nothing of the request's objects."""

    class Held:
        """Something of the request."""

    go, objects, threads = threading.Event(), [], []
    pool = ThreadPoolExecutor(1)

    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["held"] = held = Held()
        objects.append(weakref.ref(held))
        threads.append(in_a_thread(lambda: go.wait(10)))
        pool.submit(go.wait, 10)
        start_response("200 OK", [])
        return [b""]

    observe(measured(application), make_environ({}))
    gc.collect()
    try:
        assert objects[0]() is None
        assert threads[0].is_alive()
    finally:
        go.set()
        pool.shutdown()
        threads[0].join()


def test_outside_of_any_request_nothing_is_carried(kit: Kit) -> None:
    """And nothing is wrapped."""
    thread = threading.Thread(target=worked, args=(kit,))
    thread.start()
    thread.join()
    assert not kit.span.parent


def test_silence_goes_along_into_a_pool_and_not_into_a_thread(kit: Kit) -> None:
    """A thread that a probe starts may serve all others later."""
    said: list[bool] = []

    def ask() -> None:
        said.append(is_instrumentation_enabled())

    with suppress_instrumentation():
        start_in_a_pool(ask).join()
        in_a_thread(ask).join()
    assert said == [False, True]


# -- switching on and off ---------------------------------------------------------------------


def test_uninstrument_puts_everything_back(instrumentor: ThreadingInstrumentor) -> None:
    instrumentor.uninstrument()
    assert not hasattr(threading.Thread.start, "__wrapped__")
    assert not hasattr(ThreadPoolExecutor.submit, "__wrapped__")
    instrumentor.instrument(skip_dep_check=True)
    assert hasattr(threading.Thread.start, "__wrapped__")


def test_pools_are_not_imported_by_us(
    instrumentor: ThreadingInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gevent must have replaced locks before."""
    instrumentor.uninstrument()
    monkeypatch.delitem(sys.modules, pools.__name__)
    monkeypatch.setattr(instrumentor, "_waiting", False)
    instrumentor.instrument(skip_dep_check=True)
    assert pools.__name__ not in sys.modules
    module = importlib.import_module(pools.__name__)
    assert hasattr(module.ThreadPoolExecutor.submit, "__wrapped__")


def test_a_library_that_is_not_as_known_stays_as_it_is(instrumentor: ThreadingInstrumentor) -> None:
    """Said through the guard, which raises in tests."""
    with pytest.raises(AttributeError):
        instrumentor._loaded(types.ModuleType(pools.__name__))


def test_no_dependency_is_asked_for() -> None:
    assert ThreadingInstrumentor().instrumentation_dependencies() == ()


def test_greenlets_are_as_threads() -> None:
    """With everything replaced by gevent: threads, pools, and greenlets that are given a context."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(GREENLETS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "as with threads\n"


def test_the_thread_that_observes_belongs_to_no_request(kit: Kit) -> None:
    """It is started when an application registers its first callback, which may be in a request."""
    seen: list[Any] = []
    asked = threading.Event()

    def look(_options: Any) -> list[Any]:
        seen.append(trace.get_current_span())
        asked.set()
        return []

    provider = MeterProvider(Store.open_private(), observe_interval=0.01)

    def inside() -> None:
        provider.get_meter("application").create_observable_gauge("now", [look])
        assert asked.wait(10)

    serve(inside)
    provider.shutdown()
    assert seen[0] is trace.INVALID_SPAN
