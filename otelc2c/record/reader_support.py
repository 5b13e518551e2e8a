"""The SDK's metric readers on our cells: each collects the numbers of this process.

The pod's numbers leave through the relay. A reader is for an application or a test that wants
the SDK's `MetricsData` in its own process, with the temporality that the reader prefers.
"""

import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from otelc2c.record.attribute_sets import SetKey, key_of
from otelc2c.record.cells import Store
from otelc2c.record.exponential import since
from otelc2c.record.merging import families_of
from otelc2c.record.observer import Observer
from otelc2c.record.points import GAUGE_KINDS, Distribution, Exponential, Family, Instrument

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData
    from opentelemetry.sdk.resources import Resource

_Value: TypeAlias = int | float | Distribution | Exponential

_logger: Final = logging.getLogger(__name__)


class Readers:
    """The readers of a provider and what each of them has seen."""

    def __init__(self, store: Store, resource: "Resource | None", observer: Observer) -> None:
        """Serve the numbers in `store`, observed by `observer`, as those of `resource`."""
        self._store = store
        self._resource = resource
        self._observer = observer
        self._start_ns = time.time_ns()
        self._seen: dict[MetricReader, Seen] = {}

    def add(self, reader: "MetricReader", provider: Any) -> None:
        """Serve `reader` from now on; a second time is a warning."""
        if reader in self._seen:
            _logger.warning("MetricReader '%s' has been registered already!", reader)
            return
        private: Any = reader
        from otelc2c.record.readable_metrics import delta_kinds  # loads the SDK's metrics

        if any(type(wanted).__name__ != "DefaultAggregation" for wanted in _aggregations(private)):
            _logger.warning("The preferred aggregations of %s are not applied: use views.", reader)
        self._seen[reader] = Seen(self._start_ns, delta_kinds(private._instrument_class_temporality))
        private._set_collect_callback(self.collect)
        # Newer SDKs let a reader measure itself.
        if hasattr(private, "_set_meter_provider"):
            private._set_meter_provider(provider)

    def remove(self, reader: "MetricReader") -> None:
        """Shut `reader` down and forget it."""
        if reader not in self._seen:
            _logger.warning("MetricReader '%s' has not been registered!", reader)
            return
        private: Any = reader
        private._set_collect_callback(None)
        reader.shutdown()
        del self._seen[reader]

    def collect(self, reader: "MetricReader", timeout_millis: float = 10_000) -> "MetricsData | None":
        """What `reader` is to receive: all numbers of this process, observed just now."""
        self._observer.observe_now(timeout_millis / 1000)
        from otelc2c.record.readable_metrics import metrics_data

        private: Any = reader
        seen = self._seen[reader]
        now = time.time_ns()
        since, families = seen.take(families_of(self._store), now)
        if not families:
            return None
        temporality = private._instrument_class_temporality
        return metrics_data(families, self._resource, since, now, temporality, start_ns=self._start_ns)

    def flush(self, timeout_millis: float) -> float:
        """Have every reader collect and deliver; milliseconds that are left of the time."""
        return self._each("force_flush", timeout_millis)

    def shutdown(self, timeout_millis: float) -> float:
        """End every reader; milliseconds that are left of the time."""
        return self._each("shutdown", timeout_millis)

    def _each(self, call: str, timeout_millis: float) -> float:
        deadline = time.monotonic() + timeout_millis / 1000
        failed = []
        for reader in list(self._seen):
            left = (deadline - time.monotonic()) * 1000
            try:
                if left <= 0:
                    raise TimeoutError("no time was left")
                getattr(reader, call)(timeout_millis=left)
            except Exception as error:
                failed.append(f"{type(reader).__name__}: {error!r}")
        if failed:
            raise RuntimeError(f"MeterProvider.{call} failed because of these readers:\n" + "\n".join(failed))
        return max(0.0, (deadline - time.monotonic()) * 1000)


class Seen:
    """What a reader was told last, for the kinds of which it wants the difference."""

    def __init__(self, since_ns: int, delta_kinds: frozenset[str]) -> None:
        """Nothing was told since `since_ns`."""
        self._since = since_ns
        self._delta_kinds = delta_kinds
        self._told: dict[tuple[Instrument, SetKey], _Value] = {}

    def take(self, families: list[Family], now_ns: int) -> tuple[int, list[Family]]:
        """The families as the reader wants them, and since when they count."""
        if not self._delta_kinds:
            return self._since, families
        since, self._since = self._since, now_ns
        taken = (self._difference(family) for family in families)
        return since, [family for family in taken if family.points]

    def _difference(self, family: Family) -> Family:
        instrument = family.instrument
        if instrument.kind not in self._delta_kinds or instrument.kind in GAUGE_KINDS:
            return family
        points = []
        for point in family.points:
            key = (instrument, key_of(point.attributes))
            before, self._told[key] = self._told.get(key), point.value
            if before is None or before != point.value:
                points.append(point._replace(value=_less(point.value, before)))
        return Family(instrument, points)


def _less(now: _Value, before: _Value | None) -> Any:
    if before is None:
        return now
    if isinstance(now, Exponential):
        if not isinstance(before, Exponential):
            raise TypeError(f"{before!r} is no exponential histogram")
        return since(now, before)
    if isinstance(now, Distribution):
        if not isinstance(before, Distribution):
            raise TypeError(f"{before!r} is no distribution")
        counts = [one - other for one, other in zip(now.counts, before.counts, strict=True)]
        # The extremes of the time in between are not known, only those of the whole time.
        return Distribution(counts, now.sum - before.sum, math.inf, -math.inf)
    if isinstance(before, Distribution | Exponential):
        raise TypeError(f"{before!r} is no number")
    return now - before


def _aggregations(reader: Any) -> list[object]:
    """The aggregations that a reader prefers; the SDK has no public way to ask."""
    return list(getattr(reader, "_instrument_class_aggregation", {}).values())
