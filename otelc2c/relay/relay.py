"""The relay: what it runs, from its start to the end of its pod."""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from otelc2c import catalog, guard
from otelc2c.record import wire
from otelc2c.record.folder import Folder
from otelc2c.record.points import Attributes, Family
from otelc2c.relay.control import Control
from otelc2c.relay.exporters import Exporters
from otelc2c.relay.page import Page
from otelc2c.relay.pod import Pod
from otelc2c.relay.processes import Processes
from otelc2c.relay.pump import SpanPump
from otelc2c.relay.state import Component, State
from otelc2c.relay.threads import beside
from otelc2c.relay.workforce import Workforce
from otelc2c.settings import Settings

POLL = 0.1
"""Seconds between two looks at the files."""
SELDOM = 1.0
"""Seconds between things that need not happen at every look."""
PAGE = Component("prometheus_http_text_metric_exporter")


class Relay:
    """Reads a pod's files and sends what they hold, until nobody writes any more."""

    def __init__(self, folder: Folder, settings: Settings, site: Sequence[str], supervisor: int = 0) -> None:
        """Work for `folder`. `site` is where packages are that exporters of others need.

        `supervisor` is the process id of the supervisor; without one this is a thread of a process that
        records itself.
        """
        self._folder = folder
        self._settings = settings
        self._resource, schema_url = folder.read_resource()
        self._started_ns = int(os.stat(folder.alive).st_mtime_ns)
        self.pod = Pod(folder, settings.cardinality_limit, settings.backlog_bytes)
        self.state = State()
        self._workforce = Workforce(self.pod)
        self._processes: Processes | None = None
        if settings.process_metrics != "off" and settings.metrics_exporters:
            each = settings.process_metrics == "worker"
            self._processes = Processes(self._workforce.members, each=each, supervisor=supervisor)
        self._saved = ""
        self._saving = threading.Lock()
        self._restore()
        exporters = Exporters(
            settings, site, wire.encode_resource(self._resource), self._resource, schema_url, self.state
        )
        self.pump = SpanPump(
            self.pod,
            exporters.spans,
            self.state,
            delay=settings.bsp_schedule_delay,
            batch_size=settings.bsp_max_export_batch_size,
            timeout=settings.bsp_export_timeout,
        )
        collect = self.families if settings.internal_metrics else self._pushed
        self.pushes = exporters.metrics(collect, self._started_ns, folder.state)
        self.page: Page | None = None
        if "prometheus" in settings.metrics_exporters:
            self.page = Page(settings.prometheus_host, settings.prometheus_port, self._scraped)
        self._control = Control(folder.control, self.flush)
        self._page_missing = False

    # -- the numbers -----------------------------------------------------------------------

    def families(self) -> list[Family]:
        """Every number of the pod, and the relay's own."""
        return [*self._of_the_pod(), *self.state.families()]

    def _pushed(self) -> list[Family]:
        """Every number of the pod, and what was lost."""
        return [*self._of_the_pod(), *self.state.losses()]

    def _of_the_pod(self) -> list[Family]:
        # A process that began a moment ago may have answered somebody who looks now.
        self.pod.look()
        self.state.note_files(self.pod)
        families = [*self.pod.families(), *self._workforce.families()]
        if self._processes is not None:
            families += self._processes.families()
        return families

    def _scraped(self) -> tuple[list[Family], Attributes]:
        begun = time.perf_counter()
        families = self.families()
        # What was shown once must not be forgotten by a successor.
        self._save()
        self.state.record(catalog.SDK_COLLECTION_DURATION, time.perf_counter() - begun, PAGE.attributes())
        return families, self._resource

    def _restore(self) -> None:
        """Go on from what an earlier relay of this pod had counted."""
        try:
            with open(self._folder.state, encoding="utf-8") as file:
                saved = json.load(file)
            self.state.from_dict(saved["state"])
            self.pod.gone.update({key: int(saved["gone"][key]) for key in self.pod.gone})
            self.pod.bad_files += int(saved["bad_files"])
            self.pod.backlog_dropped += int(saved["backlog_dropped"])
            if self._processes is not None and saved["processes"]:
                self._processes.from_dict(saved["processes"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # there was none, or it was killed before it wrote anything of use
        self.state.add(catalog.RELAY_STARTS, 1)

    def _save(self) -> None:
        # Scrapes save, too, and the file that takes the place of the old one has one name.
        with self._saving:
            content = json.dumps(
                {
                    "state": self.state.to_dict(),
                    "gone": self.pod.gone,
                    "bad_files": self.pod.bad_files,
                    "backlog_dropped": self.pod.backlog_dropped,
                    "processes": self._processes.to_dict() if self._processes is not None else None,
                }
            )
            if content != self._saved:
                write_whole(self._folder.state, content)
                self._saved = content

    # -- the loop --------------------------------------------------------------------------

    def run(self) -> None:
        """Work until the pod is over, send the rest, and remove the folder.

        Raises FileNotFoundError when somebody else removed the folder.
        """
        self._control.start()
        threads = [threading.Thread(target=self.pump.run, name="otelc2c-spans", daemon=True)]
        threads += [
            threading.Thread(target=push.run, name="otelc2c-metrics", daemon=True) for push in self.pushes
        ]
        for thread in threads:
            thread.start()
        seldom = 0.0
        while True:
            if self._folder.seal():
                break
            self.pod.look()
            if time.monotonic() >= seldom:
                seldom = time.monotonic() + SELDOM
                with guard.guard("relay"):
                    self._seldom()
            time.sleep(POLL)
        self._end()

    def _seldom(self) -> None:
        self._folder.sweep()
        if self._processes is not None:
            self._processes.look()
        self._save()
        if self.page is not None and not self.page.try_bind() and not self._page_missing:
            self._page_missing = True
            guard.say(f"no metrics page: {self.page.problem}; trying again each second")

    def flush(self, deadline: float) -> bool:
        """Send everything that is written now. Whether all of it arrived before `deadline`."""
        self.pod.look()
        results: list[bool] = []

        def send(flush: Callable[[float], bool]) -> None:
            results.append(flush(deadline))

        flushes = [self.pump.flush, *(push.push for push in self.pushes)]
        workers = [beside(partial(send, flush), "otelc2c-flush") for flush in flushes]
        for worker in workers:
            if worker is not None:
                worker.join(max(0.0, deadline - time.monotonic()))
        return len(results) == len(workers) and all(results)

    def _end(self) -> None:
        """Nobody writes any more: send the rest within the limit, say what was lost, and go."""
        deadline = time.monotonic() + self._settings.exit_timeout
        # Whatever fails here, the folder goes: otherwise the next relay would end the pod again.
        with guard.guard("relay.end"):
            if not self.flush(deadline):
                self._say_lost()
        self._folder.remove()
        self.pump.stop()
        for push in self.pushes:
            push.stop()
        self._control.stop()
        if self.page is not None:
            self.page.stop(0.0)

    def _say_lost(self) -> None:
        left = 0
        for worker in self.pod.workers():
            if worker.ring is not None:
                worker.ring.rewind()
                left += worker.ring.take(1 << 40, 1 << 40).number
        if left:
            guard.say(f"{left} spans could not be delivered before the end and are lost")


def write_whole(path: str, content: str) -> None:
    """Replace a file at once; where that fails, as on a full disk, the old one stays."""
    new = f"{path}.new"
    try:
        with open(new, "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(new, path)
    except OSError as error:
        guard.swallowed("relay.state", error)
