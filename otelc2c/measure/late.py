"""Instrumentations that wait: a module is changed when the application imports it, and never imported here.

An application that has a library installed and does not use it need not wait for it; and what loads locks
or `ssl` must not be there before gevent has replaced them.
"""

import sys
from collections.abc import Collection
from typing import Any, ClassVar

import wrapt
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from otelc2c.guard import swallowed
from otelc2c.measure.patches import Patches


class LateInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Changes `modules`: those that are loaded at once, the others when they are."""

    modules: ClassVar[Collection[str]]
    where: ClassVar[str]
    """What failures of ours are counted under."""
    # The base class makes one instance of each class, but calls `__init__` each time.
    _patches: ClassVar[Patches]
    _on = False
    _waiting = False

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls._patches = Patches()

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def change(self, module: Any) -> None:
        """Change one of the modules, with `_patches`. What is raised is counted."""
        raise NotImplementedError

    def _instrument(self, **_kwargs: Any) -> None:
        self._on = True
        for name in self.modules:
            if name in sys.modules:
                self._loaded(sys.modules[name])
            elif not self._waiting:
                wrapt.register_post_import_hook(self._loaded, name)
        self._waiting = True

    def _loaded(self, module: Any) -> None:
        if not self._on:
            return
        try:
            self.change(module)
        except Exception as error:
            swallowed(self.where, error)

    def _uninstrument(self, **_kwargs: Any) -> None:
        self._on = False
        self._patches.restore()
