"""The metrics of connection pools, under the names of the conventions."""

from typing import Final, TypeAlias

from otelc2c import catalog
from otelc2c.measure.http import Bounded
from otelc2c.record.cells import Store
from otelc2c.record.own import Adds, OwnCounter, OwnHistogram, OwnUpDownCounter, Records
from otelc2c.record.streams import DEFAULT_LIMIT
from otelc2c.record.views import Views


class PoolMetrics:
    """The metrics, in one store."""

    def __init__(self, store: Store, limit: int = DEFAULT_LIMIT, views: Views | None = None) -> None:
        """Each with at most `limit` attribute sets, as `views` want them."""
        self.count = OwnUpDownCounter(store, catalog.DB_CLIENT_CONNECTION_COUNT, limit, views)
        self.most = OwnUpDownCounter(store, catalog.DB_CLIENT_CONNECTION_MAX, limit, views)
        self.most_idle = OwnUpDownCounter(store, catalog.DB_CLIENT_CONNECTION_IDLE_MAX, limit, views)
        self.pending = OwnUpDownCounter(store, catalog.DB_CLIENT_CONNECTION_PENDING_REQUESTS, limit, views)
        self.timeouts = OwnCounter(store, catalog.DB_CLIENT_CONNECTION_TIMEOUTS, limit, views)
        self.create_time = OwnHistogram(store, catalog.DB_CLIENT_CONNECTION_CREATE_TIME, limit, views)
        self.wait_time = OwnHistogram(store, catalog.DB_CLIENT_CONNECTION_WAIT_TIME, limit, views)
        self.use_time = OwnHistogram(store, catalog.DB_CLIENT_CONNECTION_USE_TIME, limit, views)


class PoolCells:
    """Where the numbers of one pool name go."""

    def __init__(self, metrics: PoolMetrics, name: str) -> None:
        self._metrics = metrics
        self._name = (name,)
        self.idle: Final[Adds] = metrics.count.cell((name, "idle"))
        self.used: Final[Adds] = metrics.count.cell((name, "used"))
        self.pending: Final[Adds] = metrics.pending.cell(self._name)
        self.timeouts: Final[Adds] = metrics.timeouts.cell(self._name)
        self.create_time: Final[Records] = metrics.create_time.cell(self._name)
        self.wait_time: Final[Records] = metrics.wait_time.cell(self._name)
        self.use_time: Final[Records] = metrics.use_time.cell(self._name)

    # Not every pool has a bound, and a cell that is asked for is a number on the page.

    @property
    def most(self) -> Adds:
        """The number of connections that there may be."""
        return self._metrics.most.cell(self._name)

    @property
    def most_idle(self) -> Adds:
        """The number of connections that are kept."""
        return self._metrics.most_idle.cell(self._name)


Pools: TypeAlias = Bounded[str, PoolCells]


def pool_metrics(store: Store, limit: int = DEFAULT_LIMIT, views: Views | None = None) -> Pools:
    """The cells of pools by their name, in `store`, each metric with at most `limit` sets."""
    metrics = PoolMetrics(store, limit, views)
    return Bounded(lambda name: PoolCells(metrics, name))
