"""Spans from rings to exporters: at least once, in fair batches, whatever the receiver does."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from otelc2c import catalog, guard
from otelc2c.record import wire
from otelc2c.record.layout import HEADER_BYTES, R_SENT, R_TAIL, RECORD_SPAN, WORD
from otelc2c.record.points import Scope
from otelc2c.record.ring import RingWriter
from otelc2c.record.ring_reader import RingReader
from otelc2c.relay.http import HttpSender, Rejected, Retry
from otelc2c.relay.otlp import Delivered, OtlpSpans, Outcome, Spans
from otelc2c.relay.pump import SpanPump
from otelc2c.relay.state import Component, State
from tests.sink import Sink, spans_of

RING_WORDS = 8192

OTHER_KIND = 2
"""A record that is no span: the layout has room for others."""


class FakeWorker:
    """A process of which only the ring is real."""

    def __init__(self, name: str, words: int = RING_WORDS) -> None:
        self.name = name
        self.dead = False
        self.memory = memoryview(bytearray(HEADER_BYTES + words * WORD))
        self.writer = RingWriter()
        self.writer.use(self.memory, words)
        self.ring: RingReader | None = RingReader(self.memory)
        self.written = 0

    def scope(self, number: int) -> Scope:
        """Scopes are called after their number."""
        return Scope(f"scope {number}")

    def finish(self, count: int = 1) -> None:
        """Write `count` spans, numbered over the worker's life, with the worker's name."""
        for _ in range(count):
            self.written += 1
            payload = wire.span_identity(self.written.to_bytes(8), 1, 2) + wire.span_body(self.name, 1)
            assert self.writer.write(RECORD_SPAN, 1, wire.item(payload))

    def reopened(self) -> "FakeWorker":
        """The same files as another relay sees them."""
        self.ring = RingReader(self.memory)
        return self


class FakeRings:
    """Workers of which some may be removed."""

    def __init__(self, *names: str) -> None:
        self.present = [FakeWorker(name) for name in names]

    def workers(self) -> Sequence[FakeWorker]:
        """All of them."""
        return list(self.present)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else is there to hold anything back from."""
        yield


class FakeExporter:
    """Takes, or answers with what it was told to."""

    address = "somewhere"

    def __init__(self, *outcomes: Outcome, retries: bool = True) -> None:
        self.outcomes = list(outcomes)
        self.retries = retries
        self.component = Component("fake")
        self.batches: list[list[str]] = []
        self.closed = False

    def export(self, items: Spans, deadline: float | None = None) -> Outcome:
        """Note the batch as `worker:number`, then answer."""
        outcome = self.outcomes.pop(0) if self.outcomes else Delivered()
        if isinstance(outcome, Delivered):
            self.batches.append([described(payload) for _, payload in items])
        return outcome

    def close(self) -> None:
        """Remember it."""
        self.closed = True

    @property
    def taken(self) -> list[str]:
        """All spans in order."""
        return [span for batch in self.batches for span in batch]


def described(payload: bytes) -> str:
    """Name and number of a span."""
    found = {number: content for number, content in wire.fields(payload) if isinstance(content, bytes)}
    return f"{found[5].decode()}:{int.from_bytes(found[2])}"


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the operator was told."""
    lines: list[str] = []
    monkeypatch.setattr("otelc2c.guard.say", lines.append)
    return lines


def number(state: State, metric: catalog.Metric, **attributes: object) -> int:
    """The sum of a metric's points with these attributes."""
    return sum(
        int(str(point.value))
        for family in state.families()
        if family.instrument.name == metric.name
        for point in family.points
        if all(point.attributes.get(key.replace("__", ".")) == value for key, value in attributes.items())
    )


def moved(pump: SpanPump, steps: int = 50) -> None:
    """Let the pump work at once, as long as it has something to do."""
    for _ in range(steps):
        if pump.step(at_once=True) > 0:
            return


def test_each_span_is_delivered_once_and_given_back(clock: Clock) -> None:
    """Batches of the asked size, every span in one of them, and the rings empty after that."""
    rings, exporter, state = FakeRings("a", "b"), FakeExporter(), State()
    for worker in rings.present:
        worker.finish(25)
    moved(SpanPump(rings, [exporter], state, batch_size=10, clock=clock))
    assert Counter(exporter.taken) == {f"{name}:{n}": 1 for name in "ab" for n in range(1, 26)}
    assert [len(batch) for batch in exporter.batches] == [10] * 5
    assert all(worker.ring.empty for worker in rings.present if worker.ring)
    assert number(state, catalog.SDK_SPAN_PROCESSED) == 50
    assert number(state, catalog.SDK_SPAN_EXPORTED) == 50


def test_a_span_waits_no_longer_than_the_delay(clock: Clock) -> None:
    """OTEL_BSP_SCHEDULE_DELAY counts from the end of the span, looks at the rings included."""
    rings, exporter = FakeRings("a"), FakeExporter()
    pump = SpanPump(rings, [exporter], State(), delay=1.0, clock=clock)
    pump.step()
    rings.present[0].finish()
    finished = clock.now
    for _ in range(20):
        clock.now += pump.poll
        pump.step()
        if exporter.taken:
            break
    assert 0.5 < clock.now - finished <= 1.0


def test_a_full_batch_does_not_wait(clock: Clock) -> None:
    """Many spans are sent at once, before a ring fills up."""
    rings, exporter = FakeRings("a"), FakeExporter()
    pump = SpanPump(rings, [exporter], State(), batch_size=8, clock=clock)
    rings.present[0].finish(100)
    pump.step()
    assert exporter.taken == [f"a:{n}" for n in range(1, 9)]


def test_a_ring_that_fills_up_is_not_left_until_the_delay_is_over(clock: Clock) -> None:
    """A small ring with a long delay would drop what there is time to send."""
    rings, exporter = FakeRings("a"), FakeExporter()
    rings.present = [FakeWorker("a", words=128)]
    pump = SpanPump(rings, [exporter], State(), delay=60.0, clock=clock)
    rings.present[0].finish()
    pump.step()
    assert not exporter.taken
    rings.present[0].finish(4)
    pump.step()
    assert len(exporter.taken) == 5


def test_a_busy_worker_does_not_starve_the_others(clock: Clock) -> None:
    """Each ring has its share of a batch; what others do not need goes to the busy one."""
    rings, exporter = FakeRings("busy", "calm", "quiet"), FakeExporter()
    busy, calm, _ = rings.present
    busy.finish(100)
    calm.finish(3)
    SpanPump(rings, [exporter], State(), batch_size=12, clock=clock).step(at_once=True)
    assert Counter(span.partition(":")[0] for span in exporter.batches[0]) == {"busy": 9, "calm": 3}


def test_what_was_not_taken_is_offered_again(clock: Clock, said: list[str]) -> None:
    """F-20: the same batch, after a pause, until it is taken; said once at the start and once at the end."""
    rings, state = FakeRings("a"), State()
    exporter = FakeExporter(Retry("503", 3.0), Retry("timeout"))
    rings.present[0].finish(2)
    pump = SpanPump(rings, [exporter], state, clock=clock)
    assert pump.step(at_once=True) == pytest.approx(3.0)
    assert not exporter.taken
    assert pump.step(at_once=True) == pytest.approx(3.0)
    clock.now += 3.0
    pause = pump.step(at_once=True)
    assert 0 < pause <= 2.0
    assert number(state, catalog.SDK_SPAN_EXPORTED) == 0
    clock.now += pause
    moved(pump)
    assert exporter.taken == ["a:1", "a:2"]
    assert number(state, catalog.SDK_SPAN_EXPORTED) == 2
    assert len(said) == 2
    assert "503" in said[0]
    assert "again" in said[1]


def test_what_is_refused_for_good_is_counted_and_let_go(clock: Clock, said: list[str]) -> None:
    """A request that the receiver calls malformed would block all others."""
    rings, state = FakeRings("a"), State()
    exporter = FakeExporter(Rejected("400"), Delivered(1, "too old"))
    pump = SpanPump(rings, [exporter], state, batch_size=3, clock=clock)
    rings.present[0].finish(6)
    moved(pump)
    assert number(state, catalog.SDK_SPAN_EXPORTED, error__type="400") == 3
    assert number(state, catalog.SDK_SPAN_EXPORTED, error__type="rejected") == 1
    assert number(state, catalog.SDK_SPAN_EXPORTED, error__type=None) == 2
    assert rings.present[0].ring is not None
    assert rings.present[0].ring.empty
    assert len(said) == 1


def test_all_exporters_have_had_it_before_the_ring_is_free(clock: Clock) -> None:
    """One that waits does not make another receive a span twice."""
    rings, state = FakeRings("a"), State()
    slow, other = FakeExporter(Retry("503")), FakeExporter()
    pump = SpanPump(rings, [slow, other], state, clock=clock)
    rings.present[0].finish(2)
    pause = pump.step(at_once=True)
    rings.present[0].finish(1)
    assert (slow.taken, other.taken) == ([], ["a:1", "a:2"])
    assert rings.present[0].ring is not None
    assert not rings.present[0].ring.empty
    clock.now += pause
    moved(pump)
    assert slow.taken == other.taken == ["a:1", "a:2", "a:3"]


def test_a_failing_exporter_of_others_does_not_hold_up_the_rest(clock: Clock) -> None:
    """It is counted, and not asked again."""
    rings, state = FakeRings("a"), State()
    failing, other = FakeExporter(Retry("timeout"), retries=False), FakeExporter()
    rings.present[0].finish(2)
    moved(SpanPump(rings, [failing, other], state, clock=clock))
    assert (failing.taken, other.taken) == ([], ["a:1", "a:2"])
    assert number(state, catalog.SDK_SPAN_EXPORTED, error__type="timeout") == 2


def test_a_relay_that_is_killed_loses_nothing_and_its_follower_counts_what_may_be_doubled(
    clock: Clock,
) -> None:
    """Must hold 3: acknowledged spans are not sent again, those on their way are."""
    rings = FakeRings("a")
    worker = rings.present[0]
    first = FakeExporter(Delivered(), Retry("timeout"))
    pump = SpanPump(rings, [first], State(), batch_size=4, clock=clock)
    worker.finish(9)
    pump.step(at_once=True)
    pump.step(at_once=True)
    assert first.taken == ["a:1", "a:2", "a:3", "a:4"]
    # Killed here: the second batch may have arrived.
    worker.reopened()
    second, state = FakeExporter(), State()
    moved(SpanPump(rings, [second], state, batch_size=4, clock=clock))
    assert second.taken == [f"a:{n}" for n in range(5, 10)]
    assert number(state, catalog.RELAY_RESENT) == 4


def test_positions_in_the_file_say_what_is_sent_and_what_arrived(clock: Clock) -> None:
    """The two words by which possible duplicates are known."""
    rings = FakeRings("a")
    worker = rings.present[0]
    pump = SpanPump(rings, [FakeExporter(Retry("503"))], State(), clock=clock)
    worker.finish()
    pause = pump.step(at_once=True)
    q = worker.memory.cast("q")
    assert q[R_SENT] > q[R_TAIL] == 0
    clock.now += pause
    moved(pump)
    assert q[R_TAIL] == q[R_SENT]


def test_a_worker_that_was_removed_meanwhile_is_not_touched(clock: Clock) -> None:
    """Its files are gone; the batch with its spans is delivered all the same."""
    rings, exporter = FakeRings("a", "b"), FakeExporter(Retry("503"))
    for worker in rings.present:
        worker.finish()
    pump = SpanPump(rings, [exporter], State(), clock=clock)
    clock.now += pump.step(at_once=True)
    gone = rings.present.pop(0)
    assert gone.ring is not None
    gone.ring.close()
    moved(pump)
    assert sorted(exporter.taken) == ["a:1", "b:1"]


def test_records_that_are_no_spans_are_passed_by(clock: Clock) -> None:
    """Lines for others in the same ring do not reach an exporter, and do not stay."""
    rings, exporter = FakeRings("a"), FakeExporter()
    worker = rings.present[0]
    assert worker.writer.write(OTHER_KIND, 0, b"line")
    moved(SpanPump(rings, [exporter], State(), clock=clock))
    assert exporter.batches == []
    assert worker.ring is not None
    assert worker.ring.empty


def test_the_queue_is_told_in_spans(clock: Clock) -> None:
    """Waiting spans and room for spans, translated from bytes by the mean of those read."""
    rings, state = FakeRings("a"), State()
    pump = SpanPump(rings, [FakeExporter()], state, clock=clock)
    rings.present[0].finish(10)
    moved(pump)
    assert number(state, catalog.SDK_SPAN_QUEUE_SIZE) == 0
    rings.present[0].finish(10)
    pump.step()
    assert number(state, catalog.SDK_SPAN_QUEUE_SIZE) == 10
    assert number(state, catalog.SDK_SPAN_QUEUE_CAPACITY) > 500


def test_a_flush_ends_when_all_seen_is_delivered() -> None:
    """What is written later is not waited for."""
    rings, exporter = FakeRings("a"), FakeExporter()
    rings.present[0].finish(30)
    pump = SpanPump(rings, [exporter], State(), batch_size=7)
    assert pump.flush(time.monotonic() + 5)
    assert len(exporter.taken) == 30
    assert pump.flush(time.monotonic() + 5)


def test_a_flush_is_over_at_its_deadline() -> None:
    """F-21: a receiver that takes nothing holds nobody up."""
    rings = FakeRings("a")
    rings.present[0].finish(3)
    pump = SpanPump(rings, [FakeExporter(*[Retry("503")] * 50)], State())
    begun = time.monotonic()
    assert not pump.flush(begun + 0.2)
    # All fifty attempts would take minutes.
    assert time.monotonic() - begun < 2


def test_the_loop_delivers_in_the_background_until_it_is_stopped() -> None:
    """The whole way: ring, loop, connection, receiver."""
    rings = FakeRings("a", "b")
    with Sink() as sink:
        pump = SpanPump(rings, [OtlpSpans(HttpSender(sink.traces), b"")], State(), delay=0.05, batch_size=16)
        loop = threading.Thread(target=pump.run)
        loop.start()
        for worker in rings.present:
            worker.finish(40)
        assert sink.wait(lambda: sum(1 for _ in spans_of(sink.accepted)) == 80)
        pump.stop()
        loop.join(5)
        assert not loop.is_alive()
        pump.close()
        names = Counter((one.span.name, one.span.span_id) for one in spans_of(sink.received()))
    assert len(names) == 80
    assert set(names.values()) == {1}


def test_a_receiver_that_was_away_gets_everything() -> None:
    """F-20: down, then refusing, then back; nothing is lost as long as the rings hold it."""
    rings = FakeRings("a")
    with Sink() as away:
        port = away.port
    exporter = OtlpSpans(HttpSender(f"http://127.0.0.1:{port}/v1/traces"), b"")
    pump = SpanPump(rings, [exporter], State())
    rings.present[0].finish(5)
    assert not pump.flush(time.monotonic() + 0.1)
    with Sink("unavailable", port=port) as sink:
        assert not pump.flush(time.monotonic() + 0.1)
        rings.present[0].finish(5)
        sink.become("healthy")
        assert pump.flush(time.monotonic() + 5)
        assert set(sink.span_counts.values()) == {1}
        assert len(sink.span_counts) == 10
    pump.close()


def test_the_loop_survives_a_failure_of_ours() -> None:
    """It is counted by the guard, and the spans go out after it."""
    rings, exporter = FakeRings("a"), FakeExporter()
    rings.present[0].finish(3)
    failed = threading.Event()

    class Failing(State):
        """Fails at its first count."""

        def put(self, *arguments: Any) -> None:
            if not failed.is_set():
                failed.set()
                raise ArithmeticError("a mistake")
            super().put(*arguments)

    guard.strict(False)
    pump = SpanPump(rings, [exporter], Failing(), delay=0.01)
    loop = threading.Thread(target=pump.run)
    loop.start()
    until = time.monotonic() + 5
    while not exporter.taken and time.monotonic() < until:
        failed.wait(0.01)
    pump.stop()
    loop.join(5)
    assert exporter.taken == ["a:1", "a:2", "a:3"]
    assert guard.counts() == {"relay.pump": 1}
