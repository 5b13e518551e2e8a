"""Merging: the values of several processes as one.

Counters and histograms are added, and stay added when their process is gone (the fold).
Up-down counters and gauges tell of what is: a process that is gone has no say in them,
except in a gauge whose most recent value counts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from otelc2c.record.cells import Store
from otelc2c.record.points import GAUGE_KINDS, OVERFLOW, Attributes, Family, Instrument
from otelc2c.record.reading import CellsReader, Series
from otelc2c.record.totals import Total, new_total

WORKER = "otelc2c.worker"
"""The attribute that tells the values of a gauge apart that is shown for each worker."""


def outlives(instrument: Instrument) -> bool:
    """Whether values count after their process is gone."""
    if instrument.kind in GAUGE_KINDS:
        return instrument.combine == "recent"
    return instrument.kind == "histogram" or instrument.monotonic


def _key(attributes: Attributes) -> tuple[tuple[str, str, Any], ...]:
    """The same for the same set in any order, and different for 1, 1.0 and True."""
    return tuple((name, type(value).__name__, _typed(value)) for name, value in sorted(attributes.items()))


def _typed(value: Any) -> Any:
    return tuple((type(item).__name__, item) for item in value) if isinstance(value, tuple) else value


class Source:
    """One process' series, each bound to the total it adds to."""

    def __init__(self, reader: CellsReader | None, worker: str = "") -> None:
        """Follow `reader`; `worker` tells its gauges apart where they are shown one by one.

        Without a reader it is complete as it is.
        """
        self.reader = reader
        self.worker = worker
        self.bound: list[tuple[Total, Series]] = []

    def add(self) -> None:
        """Add every value to its total."""
        for total, series in self.bound:
            total.add(series.q, series.d, series.base)


class Merger:
    """All totals of a pod, and the sources that make them up."""

    def __init__(self, limit: int = 2000) -> None:
        """Merge at most `limit` attribute sets an instrument; further ones share the overflow set."""
        self._limit = limit
        self._totals: dict[Instrument, dict[Any, Total]] = {}

    def collect(self, sources: Iterable[Source]) -> list[Family]:
        """What all sources say together, now. Raises BadFile for a source that cannot be read."""
        self.add_up(sources)
        families = []
        for instrument, totals in self._totals.items():
            points = [total.point() for total in totals.values() if total.present]
            if points:
                families.append(Family(instrument, points))
        return families

    def add_up(self, sources: Iterable[Source]) -> None:
        """Set all totals to what the sources say now."""
        for totals in self._totals.values():
            for total in totals.values():
                total.clear()
        for source in sources:
            self.bind(source)
            source.add()

    def bind(self, source: Source) -> None:
        """Find the totals of the series that are new in a source. Raises BadFile."""
        if source.reader is None:
            return
        source.reader.look()
        for series in source.reader.series[len(source.bound) :]:
            source.bound.append((self._total(series, source.worker), series))

    def _total(self, series: Series, worker: str) -> Total:
        instrument, attributes = series.instrument, series.attributes
        if instrument.combine == "worker" and worker:
            attributes = {**attributes, WORKER: worker}
        totals = self._totals.setdefault(instrument, {})
        key = _key(attributes)
        total = totals.get(key)
        if total is None:
            if len(totals) >= self._limit:
                attributes, key = OVERFLOW, _key(OVERFLOW)
                if key in totals:
                    return totals[key]
            total = totals[key] = new_total(instrument, attributes)
        return total

    def keep(self, names: Sequence[str], publish: Callable[[Store], None]) -> Source:
        """Write everything that outlives its process into a store, with the names it came from.

        `publish` puts the store where it shall be; what it raises is raised. Returned is a
        source that stands for all that was kept.
        """
        store = Store()
        for name in names:
            store.note_folded(name)
        kept = [(total, instrument, total.keep(store, instrument)) for instrument, total in self._lasting()]
        publish(store)
        source = Source(None)
        for total, instrument, cell in kept:
            place = Series(instrument, total.attributes, cell.chunk.q, cell.chunk.d, cell.base)
            source.bound.append((total, place))
        return source

    def _lasting(self) -> Iterator[tuple[Instrument, Total]]:
        for instrument, totals in self._totals.items():
            if outlives(instrument):
                yield from ((instrument, total) for total in totals.values() if total.present)


def families_of(store: Store) -> list[Family]:
    """What one process has recorded itself."""
    reader = CellsReader(store.memory, lambda: store.memory)
    return Merger().collect([Source(reader)])
