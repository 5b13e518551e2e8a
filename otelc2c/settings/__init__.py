"""What was asked for: `Settings.from_environ(environ)`, and the types its values have."""

from otelc2c.settings.option import Row
from otelc2c.settings.options import Settings, reference, variables
from otelc2c.settings.otlp import Otlp
from otelc2c.settings.traces import RATIO_SAMPLERS, SAMPLERS
from otelc2c.settings.values import Combine, Problem, QueryPolicy, View, without_user

__all__ = [
    "RATIO_SAMPLERS",
    "SAMPLERS",
    "Combine",
    "Otlp",
    "Problem",
    "QueryPolicy",
    "Row",
    "Settings",
    "View",
    "reference",
    "variables",
    "without_user",
]
