"""The relay's work inside the counted process, so that what it does for a request is in its price."""

import os
import time

from otelc2c.record.folder import Folder
from otelc2c.relay.relay import Relay
from otelc2c.settings import Settings

LONGEST = 300.0
"""Seconds for a flush: valgrind is slow."""


class RelayHere:
    """A relay that only works when it is told to; the settings keep the real one from being started.

    Without a pod, because telemetry is disabled, there is nothing to do.
    """

    def __init__(self) -> None:
        path = os.environ.get("OTELC2C_POD")
        self._relay = Relay(Folder(path), Settings.from_environ(os.environ), ()) if path else None

    def pump(self) -> None:
        """Read, encode and send everything that is written: spans, and one round of metrics.

        The same steps as the relay's own flush, one after the other and in this thread.
        """
        relay, deadline = self._relay, time.monotonic() + LONGEST
        if relay is None:
            return
        relay.pod.look()
        for flush in (relay.pump.flush, *(push.push for push in relay.pushes)):
            if not flush(deadline):
                raise AssertionError("the receiver did not take everything")
