"""The pod's numbers as a Prometheus page: families in, text 0.0.4 or OpenMetrics 1.0 out.

It says what `opentelemetry-exporter-prometheus` says of the same numbers: names, types,
units, help, labels, values. Where the two differ on purpose, `tests/relay/test_prometheus.py`
names the difference and its reason.
"""

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from otelc2c import guard
from otelc2c.record.exponential import explicit
from otelc2c.record.points import (
    SUM_KINDS,
    Attributes,
    Distribution,
    Exponential,
    Family,
    Instrument,
    Point,
)
from otelc2c.relay import names, text
from otelc2c.relay.names import Name, Translation

_WHERE: Final = "relay.prometheus"
CHUNK_CHARACTERS: Final = 32 * 1024
"""A chunk of the page is handed out as soon as it is this long."""
_POINTS_AT_ONCE: Final = 32
_CLASHES_SAID: Final = 100
"""So many clashing names are said, each once."""
_TEXT_OVERHEAD: Final = 300
"""Bytes that a cached label text costs besides its own characters (objects, key, place in the dict)."""
_PLAIN: Final = frozenset({str, int, bool})


class _Labels(NamedTuple):
    """Label texts of one metric name, valid while its samples have no other label names than these."""

    names: tuple[str, ...]
    texts: dict[object, str]


class _Part(NamedTuple):
    """The series of one instrument; a metric has several where scopes share a name."""

    instrument: Instrument
    texts: Sequence[str]
    """The label text of each point."""
    points: Sequence[Point]


class Renderer:
    """Renders pages one after the other, and remembers label texts from one to the next.

    A scrape comes every few seconds over much the same series. `cache_bytes` bounds what is
    remembered; a page that needs more is rendered all the same, only slower. Any thread may
    render, several at once as well.

    Raises ValueError for an unknown `translation`.
    """

    def __init__(
        self,
        *,
        scope_labels: bool = True,
        translation: Translation = "UnderscoreEscapingWithSuffixes",
        cache_bytes: int = 8 * 1024 * 1024,
    ) -> None:
        if translation not in names.TRANSLATIONS:
            raise ValueError(
                f"unknown translation {translation!r}, known are {', '.join(names.TRANSLATIONS)}"
            )
        self._scope_labels = scope_labels
        self._translation = translation
        self._cache_bytes = cache_bytes
        self._cached_bytes = 0
        self._labels: dict[Name, _Labels] = {}
        self._clashing: set[Name] = set()
        self._lock = threading.Lock()

    @property
    def cached_bytes(self) -> int:
        """About what the remembered label texts occupy."""
        return self._cached_bytes

    def render(
        self,
        families: Iterable[Family],
        resource_attributes: Attributes,
        *,
        openmetrics: bool = False,
        only: Collection[str] = (),
    ) -> Iterator[str]:
        """The page in chunks of about `CHUNK_CHARACTERS`, made while they are taken.

        `only` keeps the families that are called so, or have a sample that is called so; empty
        keeps all. A family that cannot be rendered is left out and counted by `otelc2c.guard`.
        """
        with self._lock:
            if self._cached_bytes > self._cache_bytes:
                self._labels.clear()
                self._cached_bytes = 0
        chunk: list[str] = []
        length = 0
        for block in self._blocks(families, resource_attributes, openmetrics, frozenset(only)):
            chunk.append(block)
            length += len(block)
            if length >= CHUNK_CHARACTERS:
                yield "".join(chunk)
                chunk.clear()
                length = 0
        if openmetrics:
            chunk.append(text.EOF)
        if chunk:
            yield "".join(chunk)

    def _blocks(
        self, families: Iterable[Family], resource: Attributes, openmetrics: bool, only: frozenset[str]
    ) -> Iterator[str]:
        if resource and _wanted(names.TARGET_INFO, only):
            yield _target_info(resource, openmetrics)
        for name, members in self._groups(families):
            if not _wanted(name, only):
                continue
            parts: Sequence[_Part] = ()
            with guard.guard(_WHERE):
                parts = self._parts(name, members)
            if parts:
                description = next(
                    (f.instrument.description for f in members if f.instrument.description), ""
                )
                yield text.header(name, description, openmetrics=openmetrics)
            for part in parts:
                for start in range(0, len(part.points), _POINTS_AT_ONCE):
                    lines = ""
                    with guard.guard(_WHERE):
                        lines = _lines(name, part, start, openmetrics)
                    yield lines

    def _groups(self, families: Iterable[Family]) -> Iterator[tuple[Name, list[Family]]]:
        """Families by name and sorted, so that nothing depends on the order of the workers' files.

        Of two names that no page may hold together the second is left out, points and all: the
        compatibility specification asks for it, since parsers refuse the page otherwise.
        """
        members: dict[tuple[str, names.Type], list[Family]] = {}
        called: dict[tuple[str, names.Type], Name] = {}
        for family in families:
            with guard.guard(_WHERE):
                if family.points:
                    name = names.family_name(family.instrument, self._translation)
                    key = (name.family, name.type)
                    members.setdefault(key, []).append(family)
                    # Names that differ in the unit alone are one: `x_seconds`, and `x` in seconds.
                    called[key] = max(name, called.get(key, name))
        taken = dict.fromkeys(names.TARGET_INFO.claims(), names.TARGET_INFO)
        for key in sorted(members):
            name = called[key]
            other = next((taken[claim] for claim in sorted(name.claims()) if claim in taken), None)
            if other is not None:
                self._say_clash(name, other)
                continue
            taken.update(dict.fromkeys(name.claims(), name))
            yield name, sorted(members[key], key=_scope)

    def _say_clash(self, name: Name, other: Name) -> None:
        if name not in self._clashing and len(self._clashing) < _CLASHES_SAID:
            self._clashing.add(name)
            guard.say(
                f"the metric {name.plain!r} ({name.type}) is not on the Prometheus page: "
                f"its name clashes with {other.plain!r} ({other.type})"
            )

    def _parts(self, name: Name, members: Sequence[Family]) -> list[_Part]:
        """The series of one metric name. Series that became the same by their labels are combined.

        One thread at a time: what this needs beside its result is then needed once only,
        however many scrapes there are.
        """
        with self._lock:
            known = self._labels.get(name)
            if known is None:
                known = self._labels[name] = _Labels((), {})
            parts, lacking = self._try_labels(known, name.type == "histogram", members)
            if lacking:
                # Every sample shows every label of its metric: with a new one, all texts change.
                self._cached_bytes -= sum(map(_cost, known.texts.values()))
                known = self._labels[name] = _Labels(tuple(sorted(lacking.union(known.names))), {})
                parts, _ = self._try_labels(known, name.type == "histogram", members)
            unique = len({label_text for part in parts for label_text in part.texts})
            return parts if unique == sum(len(part.texts) for part in parts) else _combined(parts)

    def _try_labels(
        self, known: _Labels, histogram: bool, members: Sequence[Family]
    ) -> tuple[list[_Part], set[str]]:
        """The label texts, or the label names that `known` lacks."""
        parts: list[_Part] = []
        lacking: set[str] = set()
        for instrument, points in members:
            scope = names.scope_labels(instrument.scope) if self._scope_labels else {}
            scope_key = tuple(scope.items())
            texts: list[str] = []
            for point in points:
                key = (scope_key, _key(point.attributes))
                found = known.texts.get(key)
                if found is None:
                    labels = scope | names.labels(point.attributes.items())
                    if histogram and "le" in labels:
                        labels["exported_le"] = labels.pop("le")
                    lacking.update(labels.keys() - known.names)
                    found = "" if lacking else self._remember(known, key, labels)
                texts.append(found)
            parts.append(_Part(instrument, texts, points))
        return parts, lacking

    def _remember(self, known: _Labels, key: object, labels: Mapping[str, str]) -> str:
        made = text.label_text(labels, known.names)
        if self._cached_bytes <= self._cache_bytes:
            known.texts[key] = made
            self._cached_bytes += _cost(made)
        return made


def _cost(label_text: str) -> int:
    return len(label_text) + _TEXT_OVERHEAD


def _scope(family: Family) -> tuple[str, str]:
    return family.instrument.scope.name, family.instrument.scope.version


def _wanted(name: Name, only: frozenset[str]) -> bool:
    return not only or not only.isdisjoint(name.claims())


def _key(attributes: Attributes) -> object:
    """Attributes as a key that tells `1`, `1.0` and `True` apart, which are equal in Python."""
    kinds = tuple(map(type, attributes.values()))
    if _PLAIN.issuperset(kinds):
        return tuple(attributes.items()), kinds
    return repr(sorted(attributes.items()))


def _target_info(resource: Attributes, openmetrics: bool) -> str:
    labels = names.labels(resource.items())
    line = text.single(names.TARGET_INFO.plain, text.label_text(labels, sorted(labels)), 1)
    return text.header(names.TARGET_INFO, "Target metadata", openmetrics=openmetrics) + line


def _combined(parts: Iterable[_Part]) -> list[_Part]:
    """Each series once, with all that its likes hold."""
    places: dict[str, tuple[Instrument, list[Point], int]] = {}
    found: list[_Part] = []
    for part in parts:
        texts: list[str] = []
        points: list[Point] = []
        for label_text, point in zip(part.texts, part.points, strict=True):
            place = places.get(label_text)
            if place is None:
                places[label_text] = (part.instrument, points, len(points))
                texts.append(label_text)
                points.append(point)
            else:
                instrument, others, index = place
                add = instrument.kind in SUM_KINDS and part.instrument.kind in SUM_KINDS
                others[index] = text.combined(others[index], point, add=add)
        found.append(_Part(part.instrument, texts, points))
    return found


def _lines(name: Name, part: _Part, start: int, openmetrics: bool) -> str:
    """The lines of the points from `start`, `_POINTS_AT_ONCE` of them."""
    sample = name.sample(openmetrics=openmetrics)
    bounds = part.instrument.bounds
    end = start + _POINTS_AT_ONCE
    lines: list[str] = []
    for labels, (_, value, exemplars, _) in zip(part.texts[start:end], part.points[start:end], strict=True):
        if isinstance(value, Exponential):
            ends, told = explicit(value)
            notes = text.bucket_notes(exemplars, ends) if openmetrics and exemplars else {}
            lines.append(text.histogram(sample, labels, ends, told, notes))
        elif isinstance(value, Distribution):
            notes = text.bucket_notes(exemplars, bounds) if openmetrics and exemplars else {}
            lines.append(text.histogram(sample, labels, bounds, value, notes))
        else:
            counted = openmetrics and exemplars and name.type == "counter"
            lines.append(text.single(sample, labels, value, text.counter_note(exemplars) if counted else ""))
    return "".join(lines)
