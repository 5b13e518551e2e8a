"""Starting the relay, and asking it to finish: what the recording side knows of it."""

import os
import socket
import sys
import time
from collections.abc import Mapping

from otelc2c.guard import guarded
from otelc2c.record import files
from otelc2c.record.folder import Folder
from otelc2c.settings import Settings

PACKAGE_PARENT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START = "import sys; sys.path.insert(0, sys.argv[1]); from otelc2c.relay.main import main; main()"
RESTART_SECONDS = 0.25
"""A relay that was started is given this long to take its lock before another is started."""


class RelayStarter:
    """Keeps one relay for a folder, as a process of its own or as a thread of this one."""

    def __init__(self, folder: Folder, settings: Settings, environ: Mapping[str, str]) -> None:
        """Start relays for `folder`; `environ` is what they read their settings from."""
        self._folder = folder
        self._settings = settings
        self._environ = environ
        self._lock: int | None = None
        self._started = -RESTART_SECONDS
        self.how = settings.relay

    @guarded("boot.relay")
    def ensure(self) -> None:
        """Start the relay unless one lives; costs two system calls where it does."""
        if self.how == "off" or time.monotonic() - self._started < RESTART_SECONDS:
            return
        if files.is_held(self._folder.relay_lock) or not os.path.exists(self._folder.relay_lock):
            return
        self._started = time.monotonic()
        if self.how == "process":
            try:
                self._spawn()
            except OSError:
                # Where a second process cannot be had, a thread does the same work.
                self.how = "thread"
        if self.how == "thread":
            self._start_thread()

    def _spawn(self) -> None:
        program = sys.executable
        if not program:
            raise OSError("this interpreter does not know where it is")
        site = os.pathsep.join(path for path in sys.path if path)
        arguments = [program, "-I", "-S", "-c", START, PACKAGE_PARENT, self._folder.path, site]
        # Descriptors that the server wants inherited (its listening sockets) are closed by the relay.
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        if not {"console"} & {*self._settings.traces_exporters, *self._settings.metrics_exporters}:
            actions.append((os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0))
        os.posix_spawn(program, arguments, dict(self._environ), file_actions=actions)

    def _start_thread(self) -> None:
        from otelc2c.relay.main import run_in_thread  # only where no process can be had

        self._lock = run_in_thread(self._folder.path, self._settings)

    def forget(self) -> None:
        """In a child after a fork: the relay's thread is the parent's, and so must be its lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @guarded("boot.relay.finish")
    def finish(self, timeout: float) -> bool:
        """Have the relay send what has been written, waiting `timeout` seconds at most.

        True when everything that was there has been acknowledged.
        """
        if self.how == "off":
            return False
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0 and os.path.exists(self._folder.path):
            self.ensure()
            answer = self._ask(left)
            if answer is not None:
                return answer
            time.sleep(min(0.02, left))
        return not os.path.exists(self._folder.path)

    def _ask(self, left: float) -> bool | None:
        """Whether all was sent, or None where no relay answers yet."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(left)
            try:
                control.connect(self._folder.control)
                control.sendall(f"flush {left:.3f}\n".encode())
                answer = control.recv(64)
            except TimeoutError:
                return False
            except OSError:
                return None
        return answer == b"done\n" if answer else None
