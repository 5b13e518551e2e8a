"""gunicorn's master looks after its workers each second; with this it looks after the relay, too.

A supervisor starts a dead relay again. Where both were killed, as by a kernel that is out of memory,
the server's next fork would notice; a server that is well may not fork for days.
"""

import sys
from collections.abc import Callable
from typing import Any

import wrapt

MODULE = "gunicorn.arbiter"


def watch(ensure: Callable[[], object]) -> None:
    """Have the master call `ensure`, which must not raise, whenever it looks for silent workers."""

    def change(module: Any) -> None:
        original = module.Arbiter.murder_workers

        def murder_workers(self: Any) -> Any:
            ensure()
            return original(self)

        module.Arbiter.murder_workers = murder_workers

    if MODULE in sys.modules:
        change(sys.modules[MODULE])
    else:
        wrapt.register_post_import_hook(change, MODULE)
