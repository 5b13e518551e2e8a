"""Numbers pushed at a fixed interval: collect, encode, send, try again until the next interval."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from otelc2c import catalog, guard
from otelc2c.record.points import Family
from otelc2c.relay.delivery import Delivery, Exporter
from otelc2c.relay.http import HttpSender
from otelc2c.relay.otlp import Outcome, deliver
from otelc2c.relay.otlp_metrics import count_points, encode_metrics
from otelc2c.relay.state import Component, State
from otelc2c.relay.temporality import Baseline, Window


class Numbers(NamedTuple):
    """One collection, ready for an exporter."""

    families: list[Family]
    window: Window


class OtlpMetrics:
    """Sends collections by OTLP/HTTP."""

    retries = True

    def __init__(self, sender: HttpSender, resource: bytes, number: int = 0, schema_url: str = "") -> None:
        """Send under `resource`, a `Resource` message. `number` tells exporters of one type apart."""
        self._sender = sender
        self._resource = resource
        self._schema_url = schema_url
        self.component = Component("otlp_http_metric_exporter", number, sender.host, sender.port)
        self.address = sender.address

    def export(self, items: Numbers, deadline: float | None = None) -> Outcome:
        """Make one attempt, which ends before `deadline` (of `time.monotonic`)."""
        body = encode_metrics(items.families, self._resource, items.window, self._schema_url)
        return deliver(self._sender, body, count_points(items.families), deadline)

    def close(self) -> None:
        """End the connection."""
        self._sender.close()


class MetricPush:
    """One destination of numbers. `run` loops in a thread; `push` may be called from others.

    A destination with an `attach` method collects by itself, when it likes; then there is no
    interval.
    """

    def __init__(
        self,
        collect: Callable[[], Iterable[Family]],
        exporter: Exporter,
        baseline: Baseline,
        state: State,
        *,
        interval: float = 60.0,
        timeout: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Push what `collect` gives each `interval` seconds, taking at most `timeout` each time.

        These are OTEL_METRIC_EXPORT_INTERVAL and OTEL_METRIC_EXPORT_TIMEOUT.
        """
        self._collect = collect
        self._baseline = baseline
        self._state = state
        self._interval = interval
        self._timeout = timeout
        self._clock = clock
        self._reader = Component("periodic_metric_reader", exporter.component.number)
        self._delivery = Delivery(
            exporter,
            state,
            what="metrics",
            exported=catalog.SDK_DATA_POINT_EXPORTED,
            inflight=catalog.SDK_DATA_POINT_INFLIGHT,
            clock=clock,
        )
        self._working = threading.Lock()
        self._stopped = threading.Event()
        attach = getattr(exporter, "attach", None)
        self._pulled = attach is not None
        if attach is not None:
            attach(self._collected)

    def run(self) -> None:
        """Push at each interval until `stop` is called. Failures of ours are counted."""
        if self._pulled:
            self._stopped.wait()
        while not self._stopped.wait(self._interval):
            with guard.guard("relay.metric_push"):
                self.push(self._clock() + self._timeout)

    def stop(self) -> None:
        """Let `run` return after the push it is making."""
        self._stopped.set()

    def close(self) -> None:
        """End the connection."""
        self._delivery.exporter.close()

    def push(self, deadline: float) -> bool:
        """Collect and deliver before `deadline` (of the clock). Whether the numbers went out.

        Numbers that did not go are part of the next push: nothing is kept for them here.
        """
        if self._pulled:
            now = time.time_ns()
            return self._delivery.attempt(Numbers([], Window(now, now, now)), 0, deadline)
        if not self._working.acquire(timeout=max(0.0, deadline - self._clock())):
            return False
        try:
            return self._push(deadline)
        finally:
            self._working.release()

    def _collected(self) -> Numbers:
        """What whoever collects by itself gets, which has arrived with that."""
        with self._working:
            numbers = self._numbers()
            self._baseline.arrived()
            return numbers

    def _numbers(self) -> Numbers:
        begun = self._clock()
        families, window = self._baseline.since_last(self._collect(), time.time_ns())
        self._state.record(catalog.SDK_COLLECTION_DURATION, self._clock() - begun, self._reader.attributes())
        return Numbers(families, window)

    def _push(self, deadline: float) -> bool:
        families, window = self._numbers()
        count = count_points(families)
        if not count:
            return True
        final = self._stopped.is_set()
        while not self._delivery.attempt(Numbers(families, window), count, deadline):
            now = self._clock()
            pause = max(0.0, self._delivery.not_before - now)
            if now + pause >= deadline or self._interrupted(pause, final):
                self._delivery.give_up(count)
                return False
        self._baseline.arrived()
        return True

    def _interrupted(self, pause: float, final: bool) -> bool:
        """Wait; whether `stop` was called meanwhile, which leaves the rest to the final push."""
        if final:
            time.sleep(pause)
            return False
        return self._stopped.wait(pause)
