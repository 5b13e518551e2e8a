"""One asynchronous instrument: its callbacks are asked, and what they say goes to the cells."""

import logging
import math
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final, TypeAlias

from opentelemetry.metrics import CallbackOptions, CallbackT, Observation

from otelc2c.record.attribute_sets import clean
from otelc2c.record.cells import LastCell, SumCell
from otelc2c.record.instruments import number
from otelc2c.record.streams import Feed, StreamCell

_logger: Final = logging.getLogger(__name__)

SAY_EVERY: Final = 60.0
"""Seconds between two log records about one instrument whose callback fails."""

Ask: TypeAlias = Callable[[CallbackOptions], Iterable[Observation]]


class Watched:
    """The callbacks of one instrument and the cells they fill.

    Sums keep the last value that was observed for a set; a gauge's value goes when the callbacks
    no longer name its set. Several observations of one set in one round are added up (sums), or
    the last one counts (gauges), as in the SDK.
    """

    def __init__(self, name: str, callbacks: Sequence[CallbackT] | None, feed: Feed) -> None:
        """Ask `callbacks`: functions, or generators that are sent the options."""
        self.name = name
        self._feed = feed
        self._asks = [_ask(callback) for callback in callbacks or ()]
        self._shown: dict[int, StreamCell] = {}
        self._said = -math.inf

    def observe(self, options: CallbackOptions) -> None:
        """Ask every callback once. A callback that raises is logged and the others are asked."""
        seen: dict[int, tuple[StreamCell, int | float]] = {}
        for ask in self._asks:
            try:
                for observation in ask(options):
                    self._take(seen, observation)
            except Exception:
                if self._may_say():
                    _logger.exception("Callback failed for instrument %s.", self.name)
        for cell, value in seen.values():
            _show(cell, value)
        for key, cell in self._shown.items():
            if key not in seen and isinstance(cell, LastCell):
                cell.clear()
        self._shown = {key: cell for key, (cell, _) in seen.items()} | {
            key: cell for key, cell in self._shown.items() if not isinstance(cell, LastCell)
        }

    def forget(self) -> None:
        """Take back what was observed: somebody else observes it from now on."""
        for cell in self._shown.values():
            if isinstance(cell, LastCell):
                cell.clear()
            elif isinstance(cell, SumCell):
                cell.set_total(0)
        self._shown = {}

    def _take(self, seen: dict[int, tuple[StreamCell, int | float]], observation: Observation) -> None:
        value = number(observation.value)
        if not math.isfinite(value):
            _logger.warning(
                "Callback returned a non-finite value %s for instrument %s, ignoring measurement.",
                value,
                self.name,
            )
            return
        for cell, _ in self._feed.cells(clean(observation.attributes)):
            before = seen.get(id(cell))
            if before is not None and isinstance(cell, SumCell):
                seen[id(cell)] = (cell, before[1] + value)
            else:
                seen[id(cell)] = (cell, value)

    def _may_say(self) -> bool:
        now = time.monotonic()
        if now - self._said < SAY_EVERY:
            return False
        self._said = now
        return True


def _show(cell: StreamCell, value: int | float) -> None:
    if isinstance(cell, SumCell):
        cell.set_total(value)
    elif isinstance(cell, LastCell):
        cell.set(value)


def _ask(callback: CallbackT) -> Ask:
    """A function that asks `callback`.

    A generator is advanced to where it waits when it is first asked: the application's code then
    runs where callbacks run, and not while an instrument is being registered.
    """
    if not isinstance(callback, Generator):
        return callback
    waiting: Generator[Any, CallbackOptions, None] = callback
    waits = False

    def ask(options: CallbackOptions) -> Iterable[Observation]:
        nonlocal waits
        try:
            if not waits:
                waits = True
                next(waiting)
            found: Iterable[Observation] = waiting.send(options)
        except StopIteration:
            return []
        return found

    return ask
