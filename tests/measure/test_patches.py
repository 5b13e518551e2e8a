"""Replacing functions, and putting them back."""

from collections.abc import Callable
from typing import Any

import pytest

from otelc2c.measure.patches import Patches


class Target:
    """What is patched."""

    def say(self) -> str:
        """A sentence."""
        return "said"


def louder(original: Callable[..., Any]) -> Callable[..., Any]:
    """A wrapper."""

    def say(self: Any) -> Any:
        return original(self).upper()

    return say


def test_a_replaced_function_keeps_its_face_and_comes_back() -> None:
    """Name, documentation, and what it was."""
    original = Target.say
    patches = Patches()
    patches.replace(Target, "say", louder)
    assert Target().say() == "SAID"
    assert (Target.say.__qualname__, Target.say.__doc__) == ("Target.say", "A sentence.")
    assert Target.say.__wrapped__ is original  # type: ignore[attr-defined]
    patches.restore()
    patches.restore()
    assert Target.say is original


def test_what_somebody_else_replaced_since_is_left() -> None:
    """Their wrapper goes on, around ours."""

    class Own(Target):
        def say(self) -> str:
            return "own"

    patches = Patches()
    patches.replace(Own, "say", louder)
    theirs = louder(Own.say)
    Own.say = theirs  # type: ignore[method-assign]
    patches.restore()
    assert Own.say is theirs


def test_only_what_is_there_can_be_replaced() -> None:
    """Neither something missing nor something inherited."""
    with pytest.raises(AttributeError, match="no shout of its own"):
        Patches().replace(Target, "shout", louder)
    with pytest.raises(AttributeError):
        Patches().replace(type("Child", (Target,), {}), "say", louder)
