"""Replacing functions of other packages, and putting them back.

Plain functions instead of wrapper objects: what is replaced here runs in every request.
"""

from collections.abc import Callable
from typing import Any


class Patches:
    """What one instrumentation replaced."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Callable[..., Any]]) -> None:
        """Set `owner.name` to what `make` builds around the function that stands there.

        Raises AttributeError where `owner` has no function of its own with this name.
        """
        if name not in vars(owner):
            raise AttributeError(f"{owner!r} has no {name} of its own")
        original = vars(owner)[name]
        made = make(original)
        made.__name__ = name
        made.__qualname__ = getattr(original, "__qualname__", name)
        made.__doc__ = getattr(original, "__doc__", None)
        made.__wrapped__ = original  # type: ignore[attr-defined]
        setattr(owner, name, made)
        self._replaced.append((owner, name, original, made))

    def restore(self) -> None:
        """Put back what was there. What somebody else has replaced since is left as it is."""
        while self._replaced:
            owner, name, original, made = self._replaced.pop()
            if vars(owner).get(name) is made:
                setattr(owner, name, original)
