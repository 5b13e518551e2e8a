"""Since when numbers are counted: from the pod's start, or from the last export.

Workers count from their start on, so that differences are made here, against what was in
the last export that arrived. What they were made from can be kept in a file, so that a
relay that is started again does not send everything once more.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from otelc2c.record.exponential import since
from otelc2c.record.points import Distribution, Exponential, Family, Instrument, Point

PREFERENCES: Final[dict[str, frozenset[str]]] = {
    "cumulative": frozenset(),
    "delta": frozenset({"counter", "observable_counter", "histogram"}),
    "lowmemory": frozenset({"counter", "histogram"}),
}
"""Kinds that are sent as differences, by OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE."""

_Saved: TypeAlias = int | float | list[Any]


class Window(NamedTuple):
    """The span of time that an export is about, in Unix nanoseconds."""

    start_ns: int
    """When the pod began to count."""
    since_ns: int
    """When the last export was made that arrived."""
    now_ns: int
    delta_kinds: frozenset[str] = frozenset()

    def is_delta(self, kind: str) -> bool:
        """Whether instruments of this kind are sent as differences."""
        return kind in self.delta_kinds

    def start_of(self, kind: str) -> int:
        """Since when instruments of this kind are counted."""
        return self.since_ns if kind in self.delta_kinds else self.start_ns


class Baseline:
    """What arrived last, and the differences to it. One for each destination; for one thread."""

    def __init__(self, delta_kinds: frozenset[str], start_ns: int, path: str | None = None) -> None:
        """Count from `start_ns`; go on from the file at `path` if there is a good one of this pod."""
        self._kinds = delta_kinds
        self._start_ns = start_ns
        self._since_ns = start_ns
        self._path = path if delta_kinds else None
        self._values: dict[str, _Saved] = {}
        self._pending: tuple[int, dict[str, _Saved]] = (start_ns, {})
        self._load()

    def since_last(self, families: Iterable[Family], now_ns: int) -> tuple[list[Family], Window]:
        """What to send now, and the window it is about. Nothing changes until `arrived` is called."""
        window = Window(self._start_ns, self._since_ns, now_ns, self._kinds)
        values: dict[str, _Saved] = {}
        found = []
        for family in families:
            if family.instrument.kind not in self._kinds:
                found.append(family)
            elif points := self._differences(family, values):
                found.append(Family(family.instrument, points))
        self._pending = (now_ns, values)
        return found, window

    def arrived(self) -> None:
        """What `since_last` gave was taken: the next differences are made against it."""
        self._since_ns, self._values = self._pending
        self._save()

    def _differences(self, family: Family, values: dict[str, _Saved]) -> list[Point]:
        instrument = family.instrument
        observable = instrument.kind == "observable_counter"
        points = []
        for point in family.points:
            key = _key(instrument, point)
            before = self._values.get(key)
            values[key] = _saved(point.value)
            difference = _difference(point.value, before)
            unchanged = (difference if isinstance(difference, int | float) else difference.count) == 0
            if unchanged and not observable:
                continue
            exemplars = tuple(one for one in point.exemplars if one.time_ns > self._since_ns)
            points.append(point._replace(value=difference, exemplars=exemplars))
        return points

    # -- the file --------------------------------------------------------------------------

    def _load(self) -> None:
        if self._path is None:
            return
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            with open(self._path, encoding="utf-8") as file:
                saved = json.load(file)
            values = {str(key): value for key, value in saved["values"].items()}
            if saved["start_ns"] == self._start_ns:
                self._since_ns, self._values = int(saved["since_ns"]), values

    def _save(self) -> None:
        """Write the file anew and rename it into place; where there is no room the old one goes."""
        if self._path is None:
            return
        saved = {"start_ns": self._start_ns, "since_ns": self._since_ns, "values": self._values}
        try:
            with open(f"{self._path}.new", "w", encoding="utf-8") as file:
                json.dump(saved, file)
            os.replace(f"{self._path}.new", self._path)
        except OSError:
            for path in (f"{self._path}.new", self._path):
                with contextlib.suppress(OSError):
                    os.unlink(path)


def _key(instrument: Instrument, point: Point) -> str:
    identity = (instrument.scope, instrument.name, instrument.kind, instrument.unit, instrument.bounds)
    return json.dumps([identity, sorted(point.attributes.items())], default=str)


def _saved(value: float | Distribution | Exponential) -> _Saved:
    if isinstance(value, Exponential):
        return [value.scale, value.low, list(value.counts), value.zeros, value.sum]
    return [list(value.counts), value.sum] if isinstance(value, Distribution) else value


def _difference(
    value: float | Distribution | Exponential, before: _Saved | None
) -> int | float | Distribution | Exponential:
    """How much was added; all of it where `before` is missing, of another shape, or higher."""
    if isinstance(value, Exponential):
        if not isinstance(before, list) or len(before) != 5:
            return since(value, None)
        scale, low, counts, zeros, total = before
        return since(value, Exponential(scale, low, counts, zeros, total, math.inf, -math.inf))
    if not isinstance(value, Distribution):
        return value - before if isinstance(before, int | float) and before <= value else value
    # Extremes of a window cannot be known from extremes of the whole.
    unknown = Distribution(value.counts, value.sum, math.inf, -math.inf)
    if not isinstance(before, list) or len(before) != 2 or len(before[0]) != len(value.counts):
        return unknown
    counts = tuple(now - then for now, then in zip(value.counts, before[0], strict=True))
    if min(counts) < 0:
        return unknown
    return unknown._replace(counts=counts, sum=value.sum - before[1])
