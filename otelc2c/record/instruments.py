"""OpenTelemetry's instruments on our cells.

Synchronous ones write to cells where they are called. What is refused, and with which warning, is
the SDK's: amounts that are not finite, negative amounts of counters and histograms. What fails in
here ends in the guard: recording never raises into the application.
"""

import logging
from typing import Final

from opentelemetry.context import Context
from opentelemetry.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.metrics import _Gauge as Gauge
from opentelemetry.util.types import Attributes

from otelc2c.guard import swallowed
from otelc2c.record.exemplars import Offer
from otelc2c.record.streams import Feed

_logger: Final = logging.getLogger(__name__)

INFINITY: Final = float("inf")


def number(amount: object) -> int | float:
    """`amount` as exactly `int` or `float`. Raises TypeError, ValueError for what is no number."""
    if isinstance(amount, int):
        return int(amount)
    if isinstance(amount, str | bytes):
        raise TypeError(f"{amount!r} is no number")
    return float(amount)  # type: ignore[arg-type]


class _Synchronous:
    """What the synchronous instruments share: identity, the cache of cells, the slow way."""

    word = ""

    def __init__(self, name: str, unit: str, description: str, feed: Feed, offer: Offer | None) -> None:
        """Write to `feed`; measurements are offered as exemplars where `offer` is given."""
        self.name = name
        self.unit = unit
        self.description = description
        self._bare = feed.bare
        self._shapes = feed.shapes
        self._find = feed.find
        self._offer = offer

    def _slowly(
        self, verb: str, amount: object, attributes: object, context: Context | None, least: float
    ) -> None:
        """Take a measurement that the fast way could not: new, odd, or to be refused."""
        try:
            try:
                value = number(amount)
            except (TypeError, ValueError):
                _logger.warning(
                    "%s of %r on %s: not a number, ignored.", verb.capitalize(), amount, self.name
                )
                return
            if not -INFINITY < value < INFINITY:
                _logger.warning(
                    "%s amount %s is not finite on %s %s, ignoring measurement.",
                    verb.capitalize(),
                    amount,
                    self.word,
                    self.name,
                )
                return
            if value < least:
                _logger.warning(
                    "%s amount must be non-negative on %s %s.", verb.capitalize(), self.word, self.name
                )
                return
            sink = self._find(attributes)
            getattr(sink, verb)(value)
            if self._offer is not None and verb != "set":
                self._offer(sink, value, context)
        except Exception as error:
            swallowed("record.instruments", error)


# The fast ways below are one text but for the verb and what is refused: a shared function would
# cost each of them a call. Whatever goes wrong in their first part is seen to in `_slowly`:
# a set that is new, attributes that cannot be a key, amounts that are odd.


class CellCounter(_Synchronous, Counter):
    """A counter: what is added is never negative."""

    word = "Counter"

    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Add `amount`; a negative or infinite one is ignored with a warning."""
        try:
            if attributes:
                shape = self._shapes[len(attributes)]
                values = shape.values(attributes)
                sink = shape.tables[values[shape.at].__class__][values]
            else:
                sink = self._bare[0]
            kind = amount.__class__
            if (kind is not float and kind is not int) or not 0 <= amount < INFINITY:
                raise TypeError
        except Exception:
            self._slowly("add", amount, attributes, context, 0)
            return
        try:
            sink.add(amount)
            offer = self._offer
            if offer is not None:
                offer(sink, amount, context)
        except Exception as error:
            swallowed("record.instruments", error)


class CellUpDownCounter(_Synchronous, UpDownCounter):
    """A sum that goes up and down."""

    word = "UpDownCounter"

    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Add `amount` of either sign; an infinite one is ignored with a warning."""
        try:
            if attributes:
                shape = self._shapes[len(attributes)]
                values = shape.values(attributes)
                sink = shape.tables[values[shape.at].__class__][values]
            else:
                sink = self._bare[0]
            kind = amount.__class__
            if (kind is not float and kind is not int) or not -INFINITY < amount < INFINITY:
                raise TypeError
        except Exception:
            self._slowly("add", amount, attributes, context, -INFINITY)
            return
        try:
            sink.add(amount)
            offer = self._offer
            if offer is not None:
                offer(sink, amount, context)
        except Exception as error:
            swallowed("record.instruments", error)


class CellHistogram(_Synchronous, Histogram):
    """A distribution over fixed buckets."""

    word = "Histogram"

    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Count `amount` in its bucket; a negative or infinite one is ignored with a warning."""
        try:
            if attributes:
                shape = self._shapes[len(attributes)]
                values = shape.values(attributes)
                sink = shape.tables[values[shape.at].__class__][values]
            else:
                sink = self._bare[0]
            kind = amount.__class__
            if (kind is not float and kind is not int) or not 0 <= amount < INFINITY:
                raise TypeError
        except Exception:
            self._slowly("record", amount, attributes, context, 0)
            return
        try:
            sink.record(amount)
            offer = self._offer
            if offer is not None:
                offer(sink, amount, context)
        except Exception as error:
            swallowed("record.instruments", error)


class CellGauge(_Synchronous, Gauge):
    """The last value that was set."""

    word = "Gauge"

    def set(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Set the value; an infinite one is ignored with a warning."""
        try:
            if attributes:
                shape = self._shapes[len(attributes)]
                values = shape.values(attributes)
                sink = shape.tables[values[shape.at].__class__][values]
            else:
                sink = self._bare[0]
            kind = amount.__class__
            if (kind is not float and kind is not int) or not -INFINITY < amount < INFINITY:
                raise TypeError
        except Exception:
            self._slowly("set", amount, attributes, context, -INFINITY)
            return
        try:
            sink.set(amount)
        except Exception as error:
            swallowed("record.instruments", error)


class _Asynchronous:
    """What the asynchronous instruments share. Their callbacks are asked by the observer."""

    def __init__(self, name: str, unit: str, description: str) -> None:
        """Name the instrument; nothing is ever called on it."""
        self.name = name
        self.unit = unit
        self.description = description


class CellObservableCounter(_Asynchronous, ObservableCounter):
    """Totals that only grow, asked for every few seconds."""


class CellObservableUpDownCounter(_Asynchronous, ObservableUpDownCounter):
    """Sums that go up and down, asked for every few seconds."""


class CellObservableGauge(_Asynchronous, ObservableGauge):
    """Values that cannot be added up, asked for every few seconds."""
