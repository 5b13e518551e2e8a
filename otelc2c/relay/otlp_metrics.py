"""Numbers by OTLP: families written to protobuf's wire format by hand.

As a parsed message it equals what the SDK's encoder
(`opentelemetry-exporter-otlp-proto-common`) makes of the same data. Tags are
`number << 3 | wire type`, as `opentelemetry/proto/metrics/v1/metrics.proto` numbers them.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from otelc2c.record import wire
from otelc2c.record.points import (
    GAUGE_KINDS,
    SUM_KINDS,
    Distribution,
    Exemplar,
    Exponential,
    Family,
    Instrument,
    Point,
    Scope,
)
from otelc2c.relay.otlp import ITEM_OF, encode_items
from otelc2c.relay.temporality import Window

_NUMBER_ATTRIBUTE: Final = b"\x3a"
_HISTOGRAM_ATTRIBUTE: Final = b"\x4a"
_EXPONENTIAL_ATTRIBUTE: Final = b"\x0a"
_NUMBER_EXEMPLAR: Final = b"\x2a"
_HISTOGRAM_EXEMPLAR: Final = b"\x42"
_EXPONENTIAL_EXEMPLAR: Final = b"\x5a"
_POINT: Final = b"\x0a"
_DELTA: Final = b"\x10\x01"
_CUMULATIVE: Final = b"\x10\x02"
_MONOTONIC: Final = b"\x18\x01"

_START_AND_TIME: Final = struct.Struct("<BQBQ").pack
_TAGGED_LONG: Final = struct.Struct("<BQ").pack
_TAGGED_SIGNED: Final = struct.Struct("<Bq").pack
_TAGGED_DOUBLE: Final = struct.Struct("<Bd").pack
_INT64: Final = 1 << 63
_MOST_KEPT: Final = 50_000


class Kept:
    """Encodings of objects that are the same ones at each export: what a series is called does not change."""

    def __init__(self, encode: Callable[[Any], bytes]) -> None:
        """Keep what `encode` gives, by the object it was given."""
        self._encode = encode
        self._known: dict[int, tuple[object, bytes]] = {}

    def of(self, what: object) -> bytes:
        """The encoding of `what`, which must not change."""
        known = self._known.get(id(what))
        if known is None or known[0] is not what:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            known = self._known[id(what)] = (what, self._encode(what))
        return known[1]


def _named(instrument: Instrument) -> bytes:
    return b"".join(
        wire.field(tag, wire.text(words))
        for tag, words in (
            (b"\x0a", instrument.name),
            (b"\x12", instrument.description),
            (b"\x1a", instrument.unit),
        )
        if words
    )


_NAMED: Final = Kept(_named)
_OF_NUMBERS: Final = Kept(lambda attributes: wire.attributes(attributes, _NUMBER_ATTRIBUTE))
_OF_HISTOGRAMS: Final = Kept(lambda attributes: wire.attributes(attributes, _HISTOGRAM_ATTRIBUTE))

_OF_EXPONENTIALS: Final = Kept(lambda attributes: wire.attributes(attributes, _EXPONENTIAL_ATTRIBUTE))


def encode_metrics(
    families: Iterable[Family], resource: bytes, window: Window, schema_url: str = ""
) -> bytes:
    """An `ExportMetricsServiceRequest` with `families` under `resource`, a `Resource` message.

    Families of one scope need not stand together; those without points are left out.
    """
    by_scope: dict[Scope, list[bytes]] = {}
    for family in families:
        if family.points:
            by_scope.setdefault(family.instrument.scope, []).append(_metric(family, window))
    return encode_items(resource, by_scope.items(), schema_url)


def count_points(families: Iterable[Family]) -> int:
    """How many data points there are."""
    return sum(len(family.points) for family in families)


def _metric(family: Family, window: Window) -> bytes:
    """One family as a `Metric` field of its scope."""
    instrument = family.instrument
    return wire.field(ITEM_OF, _NAMED.of(instrument) + _data(instrument, family.points, window))


def _data(instrument: Instrument, points: Sequence[Point], window: Window) -> bytes:
    if instrument.kind in GAUGE_KINDS:
        # A gauge has no start, and its time is when it was set, where that is known.
        gauges = [
            _number_point(point, _TAGGED_LONG(0x19, point.time_ns or window.now_ns)) for point in points
        ]
        return wire.field(b"\x2a", b"".join(gauges))
    times = _START_AND_TIME(0x11, window.start_of(instrument.kind), 0x19, window.now_ns)
    temporality = _DELTA if window.is_delta(instrument.kind) else _CUMULATIVE
    if instrument.kind in SUM_KINDS:
        numbers = [_number_point(point, times) for point in points]
        return wire.field(
            b"\x3a", b"".join([*numbers, temporality, _MONOTONIC if instrument.monotonic else b""])
        )
    if instrument.buckets:
        return wire.field(
            b"\x52", b"".join([*(_exponential_point(point, times) for point in points), temporality])
        )
    bounds = struct.pack(f"<{len(instrument.bounds)}d", *instrument.bounds)
    bounds = wire.field(b"\x3a", bounds) if bounds else b""
    return wire.field(
        b"\x4a", b"".join([*(_histogram_point(point, times, bounds) for point in points), temporality])
    )


def _number_point(point: Point, times: bytes) -> bytes:
    value = point.value
    if isinstance(value, Distribution | Exponential):
        raise TypeError("a sum or gauge whose value is a distribution")
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        encoded = _TAGGED_SIGNED(0x31, value)
    else:
        encoded = _TAGGED_DOUBLE(0x21, float(value))
    inner = [times, encoded, _OF_NUMBERS.of(point.attributes)]
    inner += [wire.field(_NUMBER_EXEMPLAR, _exemplar(exemplar)) for exemplar in point.exemplars]
    return wire.field(_POINT, b"".join(inner))


def _histogram_point(point: Point, times: bytes, bounds: bytes) -> bytes:
    value = point.value
    if not isinstance(value, Distribution):
        raise TypeError("a histogram whose value is a number")
    counts = wire.field(b"\x32", struct.pack(f"<{len(value.counts)}Q", *value.counts))
    inner = [
        times,
        _TAGGED_LONG(0x21, value.count),
        _TAGGED_DOUBLE(0x29, value.sum),
        counts,
        bounds,
        _OF_HISTOGRAMS.of(point.attributes),
    ]
    if value.min <= value.max:
        inner += [_TAGGED_DOUBLE(0x59, value.min), _TAGGED_DOUBLE(0x61, value.max)]
    inner += [wire.field(_HISTOGRAM_EXEMPLAR, _exemplar(exemplar)) for exemplar in point.exemplars]
    return wire.field(_POINT, b"".join(inner))


def _exponential_point(point: Point, times: bytes) -> bytes:
    value = point.value
    if not isinstance(value, Exponential):
        raise TypeError("an exponential histogram whose value is something else")
    counts = b"".join(map(wire.varint, value.counts))
    offset = b"\x08" + wire.varint(_zigzag(value.low)) if value.low else b""
    inner = [
        _OF_EXPONENTIALS.of(point.attributes),
        times,
        _TAGGED_LONG(0x21, value.count),
        _TAGGED_DOUBLE(0x29, value.sum),
        b"\x30" + wire.varint(_zigzag(value.scale)) if value.scale else b"",
        _TAGGED_LONG(0x39, value.zeros) if value.zeros else b"",
    ]
    if counts:
        inner.append(wire.field(b"\x42", offset + wire.field(b"\x12", counts)))
    if value.min <= value.max:
        inner += [_TAGGED_DOUBLE(0x61, value.min), _TAGGED_DOUBLE(0x69, value.max)]
    inner += [wire.field(_EXPONENTIAL_EXEMPLAR, _exemplar(exemplar)) for exemplar in point.exemplars]
    return wire.field(_POINT, b"".join(inner))


def _zigzag(number: int) -> int:
    """How protobuf writes numbers of either sign that are mostly small."""
    return number << 1 if number >= 0 else (-number << 1) - 1


def _exemplar(exemplar: Exemplar) -> bytes:
    return b"".join(
        (
            _TAGGED_LONG(0x11, exemplar.time_ns),
            _TAGGED_DOUBLE(0x19, exemplar.value),
            wire.field(b"\x22", exemplar.span_id),
            wire.field(b"\x2a", exemplar.trace_id),
        )
    )
