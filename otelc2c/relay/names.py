"""OpenTelemetry's names and attributes in Prometheus' words.

The rules are those of OpenTelemetry's "Prometheus and OpenMetrics compatibility"
specification, read as `opentelemetry-exporter-prometheus` reads them, so that a dashboard
made for that exporter finds the same names here. Two of its readings are worth knowing:
the unit `1` gives no suffix (the specification speaks of `_ratio`), and a leading digit is
replaced by an underscore.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from otelc2c.record.points import GAUGE_KINDS, MONOTONIC_KINDS, SUM_KINDS, AttributeValue, Instrument, Scope

Translation: TypeAlias = Literal["UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes"]
"""How names are translated (the `translation_strategy` of the exporter's specification).

The two other strategies of the specification keep UTF-8 names, which the formats served
here, text 0.0.4 and OpenMetrics 1.0, cannot carry.
"""
TRANSLATIONS: Final[tuple[str, ...]] = get_args(Translation)

Type: TypeAlias = Literal["counter", "gauge", "histogram", "info"]

SCOPE_PREFIX: Final = "otel_scope_"
_SCOPE_FIELDS: Final = frozenset({"name", "version", "schema_url"})

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS: Final = re.compile(r"[^a-zA-Z0-9]+")
_UNIT_ANNOTATION: Final = re.compile(r"{.*}")

_UNITS: Final = {
    # time
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    # bytes
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    # SI
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    # the rest
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
_PER_UNITS: Final = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}
_SUFFIXES: Final[Mapping[Type, tuple[str, ...]]] = {
    "counter": ("_total", "_created"),
    "gauge": (),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "info": ("_info",),
}


class Name(NamedTuple):
    """What a metric family is called."""

    type: Type
    family: str
    """The name of the family in OpenMetrics: a counter's without `_total`."""
    plain: str
    """The name in text 0.0.4, of the family and of its samples (before `_bucket`, `_count` and `_sum`)."""
    unit: str
    """For OpenMetrics' `# UNIT`; empty where the name does not end with it."""

    def sample(self, *, openmetrics: bool) -> str:
        """The name of a sample, before `_bucket`, `_count` and `_sum`.

        OpenMetrics has no counter without `_total`, not even where no suffixes are wanted.
        """
        return f"{self.family}_total" if openmetrics and self.type == "counter" else self.plain

    def claims(self) -> frozenset[str]:
        """Every name that no other family of the page may use (OpenMetrics 1.0, "Clashing name")."""
        suffixes = ("", *_SUFFIXES[self.type])
        return frozenset({self.plain, *(self.family + suffix for suffix in suffixes)})


TARGET_INFO: Final = Name("info", "target", "target_info", "")
"""The family that carries the resource."""


def _without_leading_digit(text: str) -> str:
    return "_" + text[1:] if text[:1].isdigit() else text


@lru_cache(maxsize=4096)
def metric_name(name: str) -> str:
    """An instrument's name in the characters Prometheus allows; runs of others become one `_`."""
    return _NOT_IN_NAMES.sub("_", _without_leading_digit(name))


@lru_cache(maxsize=4096)
def label_name(key: str) -> str:
    """An attribute's key in the characters Prometheus allows; runs of others become one `_`."""
    return _NOT_IN_LABELS.sub("_", _without_leading_digit(key))


def unit_word(unit: str) -> str:
    """The word of a UCUM unit: `s` is `seconds`, `By/s` is `bytes_per_second`, `{request}` nothing."""
    unit = _UNIT_ANNOTATION.sub("", unit)
    if unit in _UNITS:
        return _UNITS[unit]
    top, slash, bottom = unit.partition("/")
    if slash and bottom:
        top, bottom = _NOT_IN_NAMES.sub("_", top), _NOT_IN_NAMES.sub("_", bottom)
        top, bottom = _UNITS.get(top, top), _PER_UNITS.get(bottom, bottom)
        return f"{top}_per_{bottom}" if top else f"per_{bottom}"
    return _NOT_IN_NAMES.sub("_", unit).strip("_")


def prometheus_type(instrument: Instrument) -> Type:
    """Monotonic sums are counters, other sums and gauges are gauges. Raises ValueError for another kind."""
    if instrument.kind in MONOTONIC_KINDS:
        return "counter"
    if instrument.kind in SUM_KINDS or instrument.kind in GAUGE_KINDS:
        return "gauge"
    if instrument.kind == "histogram":
        return "histogram"
    raise ValueError(f"no Prometheus type for an instrument of kind {instrument.kind!r}")


def family_name(instrument: Instrument, translation: Translation = "UnderscoreEscapingWithSuffixes") -> Name:
    """What the family of `instrument` is called. Raises ValueError for an unknown kind."""
    kind = prometheus_type(instrument)
    name = metric_name(instrument.name)
    counter = kind == "counter"
    if translation == "UnderscoreEscapingWithoutSuffixes":
        return Name(kind, name.removesuffix("_total") if counter else name, name, "")
    if counter:
        name = name.removesuffix("_total")
    unit = unit_word(instrument.unit)
    if unit and not name.endswith("_" + unit):
        name = f"{name}_{unit}"
    return Name(kind, name, f"{name}_total" if counter else name, unit)


def label_value(value: AttributeValue) -> str:
    """Text as it is, everything else as JSON: `true`, `1.5`, `["a", "b"]`."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def labels(attributes: Iterable[tuple[str, AttributeValue]]) -> dict[str, str]:
    """Labels of attributes. An empty key is left out.

    Values of keys that become one label are joined with `;`, in the order of the keys.
    """
    found: dict[str, str] = {}
    for key, value in sorted(attributes, key=_key):
        label = label_name(key)
        if not label:
            continue
        text = label_value(value)
        found[label] = f"{found[label]};{text}" if label in found else text
    return found


def scope_labels(scope: Scope) -> dict[str, str]:
    """`otel_scope_name`, `_version`, `_schema_url`, and the scope's attributes but for these names."""
    own = labels((SCOPE_PREFIX + key, value) for key, value in scope.attributes if key not in _SCOPE_FIELDS)
    return own | {
        SCOPE_PREFIX + "name": scope.name,
        SCOPE_PREFIX + "version": scope.version,
        SCOPE_PREFIX + "schema_url": scope.schema_url,
    }


def _key(pair: tuple[str, AttributeValue]) -> str:
    return pair[0]
