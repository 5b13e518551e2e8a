"""OpenTelemetry's `MeterProvider` and `Meter` on our cells.

Names, units, repeated registration and the warnings that go with them are as in the SDK, and so
is what its readers get when an application adds one (`reader_support`). Exporters need no reader:
the relay reads the cells.
"""

import logging
import os
import re
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry import metrics as api
from opentelemetry.metrics import CallbackT, NoOpMeter
from opentelemetry.util.types import Attributes

from otelc2c.record import instruments
from otelc2c.record.attribute_sets import clean, key_of
from otelc2c.record.cells import Store
from otelc2c.record.exemplars import offer_for
from otelc2c.record.observer import Observer
from otelc2c.record.points import Combine, Instrument, Kind, Scope
from otelc2c.record.reader_support import Readers
from otelc2c.record.registry import Registry
from otelc2c.record.streams import DEFAULT_LIMIT, Feed
from otelc2c.record.views import NAME, Views, checked_bounds
from otelc2c.record.watched import Watched

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource

_logger: Final = logging.getLogger(__name__)
_UNIT: Final = re.compile(r"[\x00-\x7F]{0,63}")

GAUGES_COMBINE: Final[Combine] = "recent"
"""How the values of several workers become one for a gauge of which nobody said it."""

_InstrumentT = TypeVar("_InstrumentT")


class CellMeter(api.Meter):
    """Makes the instruments of one instrumentation scope. The same identity gives the same instrument."""

    def __init__(self, scope: Scope, version: str | None, schema_url: str | None, registry: Registry) -> None:
        """Use `MeterProvider.get_meter`."""
        super().__init__(scope.name, version, schema_url)
        self._scope = scope
        self._registry = registry
        self._made: dict[tuple[str, ...], tuple[Any, tuple[float, ...] | None]] = {}
        self._lock = Lock()

    def create_counter(self, name: str, unit: str = "", description: str = "") -> api.Counter:
        """A counter. Raises ValueError for an invalid name or unit, as every method here does."""
        return self._synchronous(instruments.CellCounter, "counter", name, unit, description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> api.UpDownCounter:
        """A sum that goes up and down."""
        return self._synchronous(instruments.CellUpDownCounter, "up_down_counter", name, unit, description)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> api.Histogram:
        """A histogram. Boundaries that cannot be used are left out with a warning."""
        advised = _advised(explicit_bucket_boundaries_advisory)
        return self._synchronous(instruments.CellHistogram, "histogram", name, unit, description, advised)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> instruments.CellGauge:
        """A gauge."""
        return self._synchronous(instruments.CellGauge, "gauge", name, unit, description)

    def create_observable_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> api.ObservableCounter:
        """A counter whose total is asked for."""
        made = instruments.CellObservableCounter
        return self._asynchronous(made, "observable_counter", name, callbacks, unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> api.ObservableUpDownCounter:
        """A sum that goes up and down and is asked for."""
        made = instruments.CellObservableUpDownCounter
        return self._asynchronous(made, "observable_up_down_counter", name, callbacks, unit, description)

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> api.ObservableGauge:
        """A gauge that is asked for."""
        made = instruments.CellObservableGauge
        return self._asynchronous(made, "observable_gauge", name, callbacks, unit, description)

    def renew_lock(self) -> None:
        """In a child after a fork: somebody may have held the lock who is not here."""
        self._lock = Lock()

    def _synchronous(
        self,
        made: Callable[..., _InstrumentT],
        kind: Kind,
        name: str,
        unit: str,
        description: str,
        advised: tuple[float, ...] | None = None,
    ) -> _InstrumentT:
        asked = self._asked(kind, name, unit, description)

        def make(feed: Feed) -> _InstrumentT:
            return made(asked.name, asked.unit, asked.description, feed, self._registry.offer)

        return self._once(asked, advised, make)

    def _asynchronous(
        self,
        made: Callable[..., _InstrumentT],
        kind: Kind,
        name: str,
        callbacks: Sequence[CallbackT] | None,
        unit: str,
        description: str,
    ) -> _InstrumentT:
        asked = self._asked(kind, name, unit, description)

        def make(feed: Feed) -> _InstrumentT:
            self._registry.observer.add(Watched(asked.name, callbacks, feed))
            return made(asked.name, asked.unit, asked.description)

        return self._once(asked, None, make)

    def _asked(self, kind: Kind, name: str, unit: str | None, description: str | None) -> Instrument:
        if NAME.fullmatch(name) is None:
            raise ValueError(f"Expected ASCII string of maximum length 255 characters but got {name}")
        if unit is not None and _UNIT.fullmatch(unit) is None:
            raise ValueError(f"Expected ASCII string of maximum length 63 characters but got {unit}")
        combine: Combine = GAUGES_COMBINE if kind in {"gauge", "observable_gauge"} else "sum"
        return Instrument(self._scope, name.lower(), kind, unit or "", description or "", combine=combine)

    def _once(
        self, asked: Instrument, advised: tuple[float, ...] | None, make: Callable[[Feed], _InstrumentT]
    ) -> _InstrumentT:
        key = (asked.name, asked.kind, asked.unit, asked.description)
        with self._lock:
            known = self._made.get(key)
            if known is None:
                made = make(self._registry.feed(asked, advised))
                self._made[key] = (made, advised)
                return made
        if known[1] != advised:
            _logger.warning(
                "An instrument with name %s, type %s, unit %s and description %s has been created already "
                "with a different advisory value %s and will be used instead.",
                *key,
                known[1],
            )
        instrument: _InstrumentT = known[0]
        return instrument


def _advised(bounds: object) -> tuple[float, ...] | None:
    if bounds is None:
        return None
    if isinstance(bounds, Sequence) and all(isinstance(bound, int | float) for bound in bounds):
        try:
            return checked_bounds(bounds)
        except ValueError as error:
            _logger.warning("explicit_bucket_boundaries_advisory is ignored: %s", error)
            return None
    _logger.warning("explicit_bucket_boundaries_advisory must be a sequence of numbers")
    return None


class MeterProvider(api.MeterProvider):
    """OpenTelemetry's meter provider, whose instruments write to a process' cells."""

    def __init__(
        self,
        store: Store,
        *,
        views: Iterable[object] | Views = (),
        cardinality_limit: int = DEFAULT_LIMIT,
        gauge_combine: Mapping[str, str] | None = None,
        buckets: Mapping[str, Sequence[float]] | None = None,
        resource: "Resource | None" = None,
        exemplar_filter: str = "trace_based",
        observe_interval: float = 5.0,
        observe_here: Callable[[], bool] | None = None,
        observe_works: Callable[[], bool] | None = None,
        metric_readers: Iterable["MetricReader"] = (),
        flush: Callable[[float], bool] | None = None,
    ) -> None:
        """Keep numbers in `store`.

        `views` are the settings' or the SDK's, `gauge_combine` and `buckets` as `Views` wants them.
        `observe_here` and `observe_works` are for `Observer`. `resource` is what
        `metric_readers` are told; `flush` is called by `force_flush` with the seconds it has.
        Raises ValueError, TypeError for views that cannot be meant.
        """
        self.views = views if isinstance(views, Views) else Views(views, buckets, gauge_combine)
        self.cardinality_limit = cardinality_limit
        self.observer = Observer(observe_interval, here=observe_here, works=observe_works)
        self._registry = Registry(
            store, self.views, cardinality_limit, offer_for(exemplar_filter), self.observer
        )
        self._meters: dict[tuple[object, ...], CellMeter] = {}
        self._lock = Lock()
        self._closed = False
        self._flush = flush
        self._readers = Readers(store, resource, self.observer)
        _providers.add(self)
        for reader in metric_readers:
            self.add_metric_reader(reader)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> api.Meter:
        """The meter of a scope, always the same; without a name or after the end, one that does nothing."""
        if self._closed:
            _logger.warning("A shutdown `MeterProvider` can not provide a `Meter`")
            return NoOpMeter(name, version=version, schema_url=schema_url)
        if not name:
            _logger.warning("Meter name cannot be None or empty.")
            return NoOpMeter(name, version=version, schema_url=schema_url)
        cleaned = clean(attributes)
        key = (name, version or "", schema_url or "", key_of(cleaned))
        with self._lock:
            meter = self._meters.get(key)
            if meter is None:
                scope = Scope(name, version or "", schema_url or "", tuple(cleaned.items()))
                meter = self._meters[key] = CellMeter(scope, version, schema_url, self._registry)
            return meter

    def add_metric_reader(self, metric_reader: "MetricReader") -> None:
        """Let a reader of the SDK's collect the numbers of this process."""
        self._readers.add(metric_reader, self)

    def remove_metric_reader(self, metric_reader: "MetricReader") -> None:
        """Shut a reader down and let it go."""
        self._readers.remove(metric_reader)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Observe, have every reader collect, and what the process records delivered.

        Raises an Exception that names every reader that failed, as the SDK does.
        """
        began = time.monotonic()
        self.observer.observe_now(timeout_millis / 1000)
        left = self._readers.flush(timeout_millis - (time.monotonic() - began) * 1000)
        return self._flush is None or self._flush(left / 1000)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Observe a last time and end the readers. Instruments go on writing to their cells."""
        if self._closed:
            _logger.warning("shutdown can only be called once")
            return
        self._closed = True
        self.observer.close()
        self._readers.shutdown(timeout_millis)

    def _renew_locks(self) -> None:
        self._lock = Lock()
        self._registry.renew_lock()
        for meter in self._meters.values():
            meter.renew_lock()


_providers: "Final[weakref.WeakSet[MeterProvider]]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for provider in list(_providers):
        provider._renew_locks()


os.register_at_fork(after_in_child=_after_fork_in_child)
