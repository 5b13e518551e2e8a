"""Families put together anew at each look: nothing of an earlier look stays in them."""

from typing import Final

from otelc2c import catalog
from otelc2c.catalog import Metric
from otelc2c.record.points import Attributes, Family, Instrument, Point, Scope

SCOPE: Final = Scope("otelc2c.relay")
_INSTRUMENTS: Final = {
    metric.name: Instrument(
        SCOPE, metric.name, metric.kind, metric.unit, metric.description, metric.bounds, metric.combine
    )
    for metric in catalog.ALL
}


class Gathered:
    """Values of one look. A set is put once."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._points: dict[str, list[Point]] = {}

    def put(self, metric: Metric, value: float, attributes: Attributes) -> None:
        """Say what the value of a set is."""
        self._points.setdefault(metric.name, []).append(Point(attributes, value))

    def families(self) -> list[Family]:
        """All that was put."""
        return [Family(_INSTRUMENTS[name], points) for name, points in self._points.items()]
