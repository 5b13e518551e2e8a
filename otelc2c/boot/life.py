"""The life of a recording process: joining its pod, forks, and the end.

Nothing here starts a thread or opens a socket before the application is there; what a fork
needs is done by the hooks that Python runs around it.
"""

import atexit
import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from otelc2c import guard
from otelc2c.boot import arbiter
from otelc2c.boot.relay import RelayStarter
from otelc2c.record import folder as folders
from otelc2c.record.folder import Folder
from otelc2c.record.layout import CHUNK_BYTES, HEADER_BYTES
from otelc2c.record.recorder import Recorder
from otelc2c.settings import Settings

POD = "OTELC2C_POD"
BYTES_A_SPAN = 512
"""Room in the ring for one span of OTEL_BSP_MAX_QUEUE_SIZE; most take less."""
SMALLEST_RING = 256 * 1024
IDENTITY = ("service.name", "service.namespace")


def ring_bytes(queue_size: int) -> int:
    """The ring's size for a queue of so many spans: a power of two."""
    wanted = max(SMALLEST_RING, queue_size * BYTES_A_SPAN)
    return 1 << (wanted - 1).bit_length()


class Life:
    """This process in its pod."""

    def __init__(self, settings: Settings, environ: MutableMapping[str, str], *, records_spans: bool) -> None:
        """Join or make the pod's folder, as the settings say. Nothing is started yet.

        Without `records_spans` no room is taken for a ring.
        """
        self._settings = settings
        self._environ = environ
        self._pid = os.getpid()
        self._at_end: list[Callable[[], object]] = []
        self.problem = ""
        self.folder: Folder | None = None
        self.created = False
        self.relay: RelayStarter | None = None
        self.resource: Mapping[str, Any] = {}
        """Attributes of the pod's resource, which processes that join share."""
        self._ring_bytes = ring_bytes(settings.bsp_max_queue_size) if records_spans else 0
        self.recorder = Recorder(None, 0, self._say)

    def _say(self, sentence: str) -> None:
        self.problem = sentence
        guard.say(sentence)

    @property
    def parents(self) -> Sequence[str]:
        """Where the pod's folder may be made."""
        return (self._settings.folder,) if self._settings.folder else folders.default_parents()

    def begin(self, resource: Mapping[str, Any], schema_url: str = "") -> None:
        """Join the pod this process was started in, or make one; publish files; start the relay."""
        self.resource = resource
        folder = self._join(resource) or self._create(resource, schema_url)
        self.folder = folder
        self.recorder = Recorder(folder, self._ring_bytes, self._say)
        self.recorder.open()
        if folder is not None:
            self.relay = RelayStarter(folder, self._settings, self._environ)
            self.relay.ensure()
            arbiter.watch(self._look_after_relay)
        os.register_at_fork(
            before=self.recorder.store.before_fork,
            after_in_child=self._forked,
            after_in_parent=self._forks,
        )
        atexit.register(self._end)

    def _join(self, resource: Mapping[str, Any]) -> Folder | None:
        path = self._settings.pod
        if not path:
            return None
        folder = Folder(path)
        try:
            theirs, _ = folder.read_resource()
        except PermissionError:
            self._say(f"process {os.getpid()} runs as another user than its pod and has no telemetry")
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # that pod is gone
        if any(theirs.get(key) != resource.get(key) for key in IDENTITY):
            return None  # a service of its own, started by another one
        if not folder.join():
            return None
        self.resource = theirs
        return folder

    def _create(self, resource: Mapping[str, Any], schema_url: str) -> Folder | None:
        if self.problem:
            return None
        folders.sweep_left_behind(self.parents)
        needed = CHUNK_BYTES + HEADER_BYTES + self._ring_bytes
        try:
            folder = folders.create(self.parents, needed)
            folder.write_resource(resource, schema_url)
        except OSError as error:
            self._say(f"no telemetry: no folder can be made ({error})")
            return None
        self._environ[POD] = folder.path
        self.created = True
        return folder

    def flush(self, timeout: float) -> bool:
        """Have the relay send what was written so far, within `timeout` seconds."""
        return self.relay is not None and bool(self.relay.finish(timeout))

    def at_end(self, do: Callable[[], object]) -> None:
        """Have `do` called when a process ends in good order, before its last numbers count."""
        self._at_end.append(do)

    @guard.guarded("boot.fork")
    def _forked(self) -> None:
        # At once, not at first use: a server that was started by root changes user only after
        # the fork, and then could not make a file in the folder any more.
        self.recorder.restart()
        if self.relay is not None:
            self.relay.forget()

    def _forks(self) -> None:
        self.recorder.store.after_fork_in_parent()
        self._look_after_relay()

    def _look_after_relay(self) -> None:
        if self.relay is not None and os.getpid() == self._pid:
            self.relay.ensure()

    @guard.guarded("boot.end")
    def _end(self) -> None:
        for do in self._at_end:
            do()
        if self.folder is None or self.relay is None or os.getpid() != self._pid:
            return
        self.recorder.close()
        self.folder.leave()
        # As process 1 of a container this one's end is everybody's end.
        if os.getpid() == 1 or self.folder.over or self.folder.abandoned:
            self.relay.finish(self._settings.exit_timeout)
