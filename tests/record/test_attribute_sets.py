"""Attribute sets: what can be recorded of them, and their keys."""

from enum import IntEnum, StrEnum
from typing import Any

import pytest

from otelc2c.record.attribute_sets import clean, key_of


class Color(StrEnum):
    """Text with a class of its own."""

    RED = "red"


class Level(IntEnum):
    """A number with a class of its own."""

    HIGH = 3


def test_names_are_put_in_order() -> None:
    """So that the order in which they came does not matter."""
    assert list(clean({"b": 1, "a": 2})) == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("x", "x"),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (True, True),
        (1.5, 1.5),
        (2**63 - 1, 2**63 - 1),
        (2**63, "9223372036854775808"),
        (b"bytes\xff", "bytes\\xff"),
        ("\ud800x", "?x"),
        (["a", "b"], ("a", "b")),
        ((), ()),
        ([1, None, {"b": 1, "a": 2}, [3]], (1, "null", '{"a": 2, "b": 1}', "[3]")),
        ({"b": 1, "a": [2]}, '{"a": [2], "b": 1}'),
    ],
)
def test_values_become_what_can_be_kept(value: Any, kept: Any) -> None:
    """Of exactly the types that the files and the wire know."""
    found = clean({"a": value})["a"]
    assert found == kept
    assert type(found) is type(kept)


def test_a_value_of_none_is_left_out() -> None:
    """There is no attribute without a value."""
    assert clean({"a": None, "b": 1}) == {"b": 1}


def test_names_that_are_no_text(caplog: pytest.LogCaptureFixture) -> None:
    """They become text, or go, with a warning."""
    assert clean({1: "x", "": "y", None: "z"}) == {"1": "x"}
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3


def test_keys_tell_apart_what_python_takes_for_equal() -> None:
    """By type, also inside of sequences (hot-path 4)."""
    sets: list[Any] = [{"a": value} for value in (1, True, 1.0, "1", (1,), (True,), (1.0,), ("1",), (), "")]
    assert len({key_of(clean(attributes)) for attributes in sets}) == len(sets)


def test_not_a_number_is_one_value() -> None:
    """Although it differs from itself."""
    assert key_of(clean({"a": float("nan")})) == key_of(clean({"a": -float("nan")}))


def test_a_value_of_its_own_class_is_the_plain_value() -> None:
    """A back end would see two equal series otherwise."""
    assert key_of(clean({"a": Color.RED})) == key_of(clean({"a": "red"}))
