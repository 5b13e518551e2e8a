"""Where the relay starts: `python -I -S -c ... PARENT FOLDER SITE`, or as a thread.

What the relay needs is imported in the supervisor's child only: the supervisor lives as long
and shall stay small.
"""

import os
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from otelc2c.record.folder import Folder
from otelc2c.relay import supervisor

if TYPE_CHECKING:
    from otelc2c.settings import Settings


def main() -> None:
    """Become the relay of the folder named on the command line. Does not return.

    Arguments: the folder that holds this package, the pod's folder, and where packages of
    the site are, for exporters that are not ours.
    """
    _, _, path, site = sys.argv
    supervisor.detach()
    folder = Folder(path)
    if supervisor.take_lock(folder) is None:
        os._exit(supervisor.DONE)
    site_paths = [entry for entry in site.split(os.pathsep) if entry]
    own = os.getpid()
    supervisor.supervise(folder, lambda: _work(folder, site_paths, own))


def _work(folder: Folder, site: Sequence[str], supervised_by: int) -> None:
    from otelc2c.relay.relay import Relay
    from otelc2c.settings import Settings

    Relay(folder, Settings.from_environ(os.environ), site, supervised_by).run()


def run_in_thread(path: str, settings: "Settings") -> int | None:
    """Run the relay in this process, where no other can be had.

    Returns the descriptor of its lock, which a fork must close, because no relay runs there;
    None where a relay runs elsewhere.
    """
    from otelc2c.relay.relay import Relay

    folder = Folder(path)
    lock = supervisor.take_lock(folder)
    if lock is not None:
        relay = Relay(folder, settings, [])
        threading.Thread(target=relay.run, name="otelc2c-relay", daemon=True).start()
    return lock
