"""What all meters of a provider share: where an instrument's values go.

Streams that are equal after views are one stream, whichever instruments feed it.
"""

import logging
from threading import Lock
from typing import Final

from otelc2c.record.cells import Store
from otelc2c.record.exemplars import Offer
from otelc2c.record.observer import Observer
from otelc2c.record.points import Instrument
from otelc2c.record.streams import Feed, Stream, verb_of
from otelc2c.record.views import StreamPlan, Views

_logger: Final = logging.getLogger(__name__)


class Registry:
    """The streams of a provider, by what they are."""

    def __init__(
        self, store: Store, views: Views, limit: int, offer: Offer | None, observer: Observer
    ) -> None:
        """Keep numbers in `store`, at most `limit` attribute sets a stream, as `views` want them."""
        self.store = store
        self.offer = offer
        self.observer = observer
        self._views = views
        self._limit = limit
        self._streams: dict[Instrument, Stream] = {}
        self._ruled: dict[Instrument, object] = {}
        self._lock = Lock()

    def feed(self, asked: Instrument, advised: tuple[float, ...] | None = None) -> Feed:
        """The streams of a new instrument. A stream that looks like another one's is warned about."""
        plans = self._views.plans(asked, advised)
        with self._lock:
            streams = [self._stream(plan) for plan in plans]
        return Feed(plans, streams, verb_of(asked.kind), self._limit)

    def renew_lock(self) -> None:
        """In a child after a fork: somebody may have held the lock who is not here."""
        self._lock = Lock()

    def _stream(self, plan: StreamPlan) -> Stream:
        instrument = plan.instrument
        for other, rule in self._ruled.items():
            if plan.rule is not None and _look_alike(instrument, other):
                _logger.warning("Views %s and %s will cause conflicting metrics identities", rule, plan.rule)
            elif plan.rule is None and instrument != other and _same_name(instrument, other):
                _logger.warning(
                    "Instrument %s is there twice in scope %s with different kinds, units or descriptions: "
                    "%s and %s",
                    instrument.name,
                    instrument.scope.name,
                    (other.kind, other.unit, other.description),
                    (instrument.kind, instrument.unit, instrument.description),
                )
        self._ruled[instrument] = plan.rule
        stream = self._streams.get(instrument)
        if stream is None:
            stream = self._streams[instrument] = Stream(self.store, instrument, self._limit)
        return stream


def _look_alike(one: Instrument, other: Instrument) -> bool:
    """What the SDK calls a conflict: two streams that a back end cannot tell apart."""
    return (
        one.name == other.name
        and one.unit == other.unit
        and one.kind.removeprefix("observable_") == other.kind.removeprefix("observable_")
    )


def _same_name(one: Instrument, other: Instrument) -> bool:
    return one.name == other.name and one.scope == other.scope
