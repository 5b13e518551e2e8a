"""gunicorn's master is watched: its methods are changed when its module is loaded.

No configuration file is needed for that. Releases 23 to 27 have all that is changed here.
"""

import sys
from collections.abc import Callable
from typing import Any, Final

import wrapt

from otelc2c.guard import guard, swallowed
from otelc2c.measure.gunicorn_master import EXIT, RECYCLED, RELOAD, STOP, Master
from otelc2c.measure.patches import Patches

MODULE: Final = "gunicorn.arbiter"
_WHERE: Final = "measure.gunicorn"


class _Os(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """The module `os` as gunicorn's master sees it: how its children ended is told to us, too."""

    def __init__(self, module: Any, told: Callable[[int, int], None]) -> None:
        super().__init__(module)
        self._self_told = told

    def waitpid(self, pid: int, options: int) -> tuple[int, int]:
        """As in `os`."""
        found: tuple[int, int] = self.__wrapped__.waitpid(pid, options)
        if found[0]:
            self._self_told(*found)
        return found


def unasked(config: Any) -> str:
    """What it means, by gunicorn's settings, that a worker ends in good order without being told to."""
    if config.max_requests > 0:
        return RECYCLED
    return RELOAD if config.reload else EXIT


class Hooks:
    """Changes gunicorn's master so that a `Master` is told of everything."""

    def __init__(self, master: Master) -> None:
        """Nothing is changed yet."""
        self._master = master
        self._arbiter: Any = None
        self._patches = Patches()

    def install(self) -> None:
        """Change the master's class now, or when it is loaded."""
        if MODULE in sys.modules:
            self.change(sys.modules[MODULE])
        else:
            wrapt.register_post_import_hook(self.change, MODULE)

    def change(self, module: Any) -> None:
        """Change the class in `module`; where it is another one than we know, as much as can be."""
        for name, make in (
            ("__init__", self._init),
            ("spawn_worker", self._spawn_worker),
            ("kill_worker", self._kill_worker),
            ("murder_workers", self._murder_workers),
            ("reload", lambda original: self._while(RELOAD, original)),
            ("stop", lambda original: self._while(STOP, original)),
        ):
            try:
                self._patches.replace(module.Arbiter, name, make)
            except Exception as error:
                swallowed(_WHERE, error)
        module.os = _Os(module.os, self._ended)

    def _ended(self, pid: int, status: int) -> None:
        with guard(_WHERE):
            if self._arbiter is not None:
                self._master.ended(pid, status, unasked(self._arbiter.cfg))

    def _init(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def init(arbiter: Any, *args: Any, **named: Any) -> None:
            with guard(_WHERE):
                self._master.begin()
                self._arbiter = arbiter
            original(arbiter, *args, **named)

        return init

    def _spawn_worker(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def spawn_worker(arbiter: Any) -> Any:
            with guard(_WHERE):
                self._master.look(arbiter)
                self._master.spawning()
            # The worker itself never comes back from here.
            pid = original(arbiter)
            with guard(_WHERE):
                self._master.spawned(pid)
            return pid

        return spawn_worker

    def _kill_worker(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def kill_worker(arbiter: Any, pid: int, sig: int) -> Any:
            with guard(_WHERE):
                worker = arbiter.WORKERS.get(pid)
                self._master.asks(pid, sig, silent=bool(getattr(worker, "aborted", False)))
            return original(arbiter, pid, sig)

        return kill_worker

    def _murder_workers(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def murder_workers(arbiter: Any) -> Any:
            with guard(_WHERE):
                self._master.look(arbiter)
            return original(arbiter)

        return murder_workers

    def _while(self, what: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def told(arbiter: Any, *args: Any, **named: Any) -> Any:
            before = self._master.doing(what)
            try:
                return original(arbiter, *args, **named)
            finally:
                self._master.doing(before)

        return told
