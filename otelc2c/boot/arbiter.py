"""gunicorn's master: which process it is, and that it looks after the relay.

It looks after its workers each second; with this it looks after the relay, too. A supervisor starts a
dead relay again. Where both were killed, as by a kernel that is out of memory, the server's next fork
would notice; a server that is well may not fork for days.

The application may be loaded in the master (`--preload`), which then forks those that do the work. The
master itself may have been forked (`--daemon`), so that being a child says nothing.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import wrapt

MODULE = "gunicorn.arbiter"


class _Master:
    """The process that has begun to be gunicorn's master: this one, or one that forked it."""

    pid: ClassVar[int] = 0


def is_master() -> bool:
    """Whether this process is gunicorn's master, which answers no request."""
    return _Master.pid == os.getpid()


def is_below_master() -> bool:
    """Whether this process is a worker, or was forked by one."""
    return _Master.pid not in (0, os.getpid())


def watch(ensure: Callable[[], object]) -> None:
    """Know the master when it begins, before it loads an application, and have it call `ensure`.

    It does so whenever it looks for silent workers. `ensure` must not raise.
    """

    def change(module: Any) -> None:
        begin = module.Arbiter.__init__
        look = module.Arbiter.murder_workers

        def begin_here(self: Any, *args: Any, **named: Any) -> None:
            _Master.pid = os.getpid()
            begin(self, *args, **named)

        def murder_workers(self: Any) -> Any:
            ensure()
            return look(self)

        module.Arbiter.__init__ = begin_here
        module.Arbiter.murder_workers = murder_workers

    if MODULE in sys.modules:
        change(sys.modules[MODULE])
    else:
        wrapt.register_post_import_hook(change, MODULE)
