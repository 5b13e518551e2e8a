"""Attribute sets of measurements: cleaned, and as keys that tell apart what Python takes for equal.

`1`, `True` and `1.0` are equal to Python and three different values to OpenTelemetry; the same
attributes in another order are one set. Everything here is off the hot path: it runs the first
time that an instrument sees a set.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, cast

from otelc2c.record.points import Attributes, AttributeValue

_logger: Final = logging.getLogger(__name__)

SetKey: TypeAlias = tuple[tuple[str, object], ...]
"""An attribute set as a key: pairs in the order of their names, each value with its type."""

SMALLEST_INT: Final = -(2**63)
LARGEST_INT: Final = 2**63 - 1


def clean(attributes: object) -> dict[str, AttributeValue]:
    """What can be recorded of `attributes`, in the order of the names.

    Follows the SDK: names must be text and not empty, an object becomes its text, anything that is
    no mapping counts as no attributes at all; each with a warning. Where the SDK keeps what the
    data model between our files does not know, we differ: an attribute of None is left out, bytes
    become text, a mapping becomes its JSON, and so does a whole number of more than 64 bits.
    """
    if not attributes:
        return {}
    if not isinstance(attributes, Mapping):
        _logger.warning("Invalid type '%s' for attributes. Expected a Mapping or None.", type(attributes))
        return {}
    cleaned: dict[str, AttributeValue] = {}
    for key, value in attributes.items():
        name = _name(key)
        if name is not None and value is not None:
            cleaned[name] = _value(value)
    return dict(sorted(cleaned.items()))


def key_of(cleaned: Attributes) -> SetKey:
    """The key of a set that `clean` returned; `cleaned` must be in the order of the names."""
    return tuple((name, _typed(value)) for name, value in cleaned.items())


def _name(key: object) -> str | None:
    if not key:
        _logger.warning("Invalid attribute key `%r`: it must be a non-empty string.", key)
        return None
    if isinstance(key, str):
        return _text(key)
    _logger.warning("Invalid type `%s` for attribute key, it must be a string.", type(key))
    return _text(str(key))


def _value(value: object) -> AttributeValue:
    if isinstance(value, str | bytes | bool | int | float):
        return _scalar(value)
    if isinstance(value, Sequence):
        return cast(AttributeValue, tuple(_scalar(item) for item in value))
    return _scalar(value)


def _scalar(value: object) -> str | bool | int | float:
    """One value as exactly `str`, `bool`, `int` or `float`: subclasses lose their class."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if SMALLEST_INT <= value <= LARGEST_INT else str(int(value))
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if value is None or isinstance(value, Mapping | Sequence):
        return json.dumps(value, default=str, sort_keys=isinstance(value, Mapping))
    _logger.warning("Invalid type `%s` for an attribute value, its text is taken.", type(value))
    return _text(str(value))


def _text(value: str) -> str:
    """`value` as plain text that can be encoded; halves of surrogate pairs are replaced."""
    text = str.__str__(value)
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def _typed(value: AttributeValue) -> object:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        # Not-a-number differs from itself; its text does not.
        return (type(value), value if value == value else "nan")  # noqa: PLR0124
    return tuple(_typed(item) for item in value)
