"""Keeping one relay alive: a small process that starts it again.

The supervisor holds the pod's relay lock and hands it on to the relay it forks, so either of
the two keeps a second relay away. It works under any server, because it is nobody's thread.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

from otelc2c.guard import say, swallowed
from otelc2c.record import files
from otelc2c.record.folder import Folder

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
LIVED = 1.0
"""Seconds; a relay that lived shorter makes the next pause twice as long."""
IGNORED = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGALRM),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU),
)
"""A server's signals, and those of its terminal, are not for the relay: it ends when the pod does."""

# gunicorn 23 ends when any child of its process exits with 3 or 4, so only these two are used.
DONE = 0
FAILED = 1


def detach() -> None:
    """Give up everything that belongs to the server: its descriptors, session, signals, folder."""
    listed = (
        [int(name) for name in os.listdir("/proc/self/fd")]
        if os.path.isdir("/proc/self/fd")
        else range(3, 1024)
    )
    for fd in listed:
        if fd > 2:
            with contextlib.suppress(OSError):
                os.close(fd)
    with contextlib.suppress(OSError):
        os.setsid()
    os.chdir("/")
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def take_lock(folder: Folder) -> int | None:
    """Become the one supervisor of this folder, until the descriptor returned and its forks are closed.

    None where another one is, or where the folder is gone.
    """
    try:
        fd = os.open(folder.relay_lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    if files.lock(fd):
        return fd
    os.close(fd)
    return None


def supervise(folder: Folder, run: Callable[[], None]) -> None:
    """Run the relay in a child, again and again until it ends by itself. Does not return."""
    pause = FIRST_PAUSE
    while os.path.isdir(folder.path):
        started = time.monotonic()
        child = os.fork()
        if not child:
            os._exit(_run(run))
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        lived = time.monotonic() - started
        pause = FIRST_PAUSE if lived >= LIVED else min(pause * 2, LONGEST_PAUSE)
        time.sleep(pause)
    os._exit(DONE)


def _run(run: Callable[[], None]) -> int:
    try:
        run()
    except FileNotFoundError:
        return DONE  # the folder was removed: nobody needs a relay any more
    except Exception as error:
        with contextlib.suppress(Exception):
            swallowed("relay", error)
        say(f"the relay ended and is started again ({type(error).__name__})")
        return FAILED
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
    return DONE
