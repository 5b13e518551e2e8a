"""One destination's story: when to try again, what was counted, and what is said of it."""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from otelc2c import catalog, guard
from otelc2c.catalog import Metric
from otelc2c.relay.http import Backoff, Retry
from otelc2c.relay.otlp import Delivered, Outcome
from otelc2c.relay.state import Component, State

SAY_EVERY: Final = 60.0
"""Seconds between two lines about rejected items of one destination."""


class Exporter(Protocol):
    """Something that takes batches of spans, or of metrics."""

    component: Component
    address: str
    """What it is called in a line for the operator; holds no secret."""
    retries: bool
    """Whether what it did not take is offered again. Otherwise it is counted as failed."""

    def export(self, items: Any, deadline: float | None = None) -> Outcome:
        """Make one attempt that ends before `deadline`. Never raises."""

    def close(self) -> None:
        """Let go of connections."""


class Delivery:
    """Tries one exporter, counts, waits between failures, and tells the operator when they begin and end."""

    def __init__(
        self,
        exporter: Exporter,
        state: State,
        *,
        what: str = "spans",
        exported: Metric = catalog.SDK_SPAN_EXPORTED,
        inflight: Metric = catalog.SDK_SPAN_INFLIGHT,
        clock: Callable[[], float] = time.monotonic,
        backoff: Backoff | None = None,
    ) -> None:
        """Deliver to `exporter` what the operator knows as `what`, counting in `state`."""
        self.exporter = exporter
        self.not_before = 0.0
        """When the next attempt makes sense, on `clock`."""
        self._state = state
        self._what = what
        self._exported = exported
        self._inflight = inflight
        self._say = guard.say
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._failing_since: float | None = None
        self._said_rejected: float | None = None
        self._last_reason = ""

    def attempt(self, items: Any, count: int, deadline: float | None = None) -> bool:
        """Offer `count` items once. Whether this exporter is done with them, taken or not."""
        component = self.exporter.component
        attributes = component.attributes()
        self._state.add(self._inflight, count, attributes)
        begun = self._clock()
        try:
            outcome = self.exporter.export(items, deadline)
        finally:
            self._state.add(self._inflight, -count, attributes)
        reason = "" if isinstance(outcome, Delivered) else outcome.reason
        self._state.record(catalog.SDK_EXPORT_DURATION, self._clock() - begun, component.attributes(reason))
        if isinstance(outcome, Retry) and self.exporter.retries:
            self._wait(outcome)
            return False
        self._count(outcome, count)
        self._tell(outcome, count)
        return True

    def give_up(self, count: int) -> None:
        """Count `count` items as failed that will not be offered again, for the last attempt's reason."""
        self._state.add(self._exported, count, self.exporter.component.attributes(self._last_reason))

    def _wait(self, outcome: Retry) -> None:
        now = self._clock()
        self._last_reason = outcome.reason
        self.not_before = now + self._backoff.pause(outcome.after)
        if self._failing_since is None:
            self._failing_since = now
            self._say(f"{self.exporter.address} does not take {self._what} ({outcome.reason}); trying again")

    def _count(self, outcome: Outcome, count: int) -> None:
        component = self.exporter.component
        rejected, reason = count, "rejected"
        if isinstance(outcome, Delivered):
            rejected = outcome.rejected
        else:
            reason = outcome.reason
        if count > rejected:
            self._state.add(self._exported, count - rejected, component.attributes())
        if rejected:
            self._state.add(self._exported, rejected, component.attributes(reason))

    def _tell(self, outcome: Outcome, count: int) -> None:
        now = self._clock()
        self._backoff.reset()
        self.not_before = 0.0
        if isinstance(outcome, Delivered) and self._failing_since is not None:
            away = now - self._failing_since
            self._failing_since = None
            self._say(f"{self.exporter.address} takes {self._what} again, after {away:.0f} s")
        lost, reason = count, "" if isinstance(outcome, Delivered) else outcome.reason
        if isinstance(outcome, Delivered):
            lost, reason = outcome.rejected, outcome.message
        if not lost and not reason:
            return
        if self._said_rejected is None or now - self._said_rejected >= SAY_EVERY:
            self._said_rejected = now
            self._say(f"{self.exporter.address} did not take {lost} of {count} {self._what}: {reason}")
