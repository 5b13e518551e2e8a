"""A real server in an environment of its own, with everything it started found and ended by id."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.process import procfs
from tests.process.page import Page
from tests.process.procfs import Process
from tests.process.waiting import until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
APPLICATION = "tests.process.application:make_application()"
INHERITED = ("HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
START_SECONDS = 20.0
END_SECONDS = 10.0


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def telemetry(page: int, endpoint: str = "", **more: str) -> dict[str, str]:
    """Variables of a service with a metrics page and, where an endpoint is given, spans by OTLP."""
    variables = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(page),
        "OTEL_TRACES_EXPORTER": "otlp" if endpoint else "none",
    }
    if endpoint:
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        variables["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    return variables | more


class Server:
    """A command that serves HTTP on `port`, with what it prints kept in a file."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        variables: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        launcher: bool = True,
    ) -> None:
        """Describe `command`; `variables` and a few inherited ones are its whole environment."""
        self.run = uuid.uuid4().hex
        self.port = port
        self.log = folder / f"{self.run}.log"
        before = [str(BIN / "opentelemetry-instrument")] if launcher else []
        self._command = [*before, *command]
        self._environ = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        self._environ |= {"PYTHONPATH": str(ROOT), procfs.RUN: self.run, **(variables or {})}
        page = self._environ.get("OTEL_EXPORTER_PROMETHEUS_PORT")
        self.page = Page(int(page or 0))
        self._process: subprocess.Popen[bytes] | None = None

    # -- its life ------------------------------------------------------------------------

    def start(self) -> None:
        """Start, without waiting for anything."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Return once the server takes connections. Raises AssertionError with what it printed."""
        try:
            until(self._takes_connections, START_SECONDS, "the server takes connections")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.printed()}") from None

    def _takes_connections(self) -> bool:
        if self.main.poll() is not None:
            raise AssertionError(f"the server ended with {self.main.returncode}\n{self.printed()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def end(self, number: int = signal.SIGTERM, seconds: float = END_SECONDS) -> float:
        """Signal the server and wait for its end; seconds it took. AssertionError if it does not end."""
        begun = time.monotonic()
        self.main.send_signal(number)
        try:
            self.main.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there {seconds} s after {number}\n{self.printed()}") from None
        return time.monotonic() - begun

    def __enter__(self) -> Self:
        self.start()
        if self.port:
            self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # By their ids, again until none is left: a supervisor may be starting another one.
        deadline = time.monotonic() + END_SECONDS
        while (left := self.processes()) and time.monotonic() < deadline:
            for one in left:
                kill(one.pid)
            time.sleep(0.01)
        self.main.wait(END_SECONDS)
        if error is not None:
            error.add_note(f"the server printed:\n{self.printed()[-6000:]}")

    @property
    def main(self) -> "subprocess.Popen[bytes]":
        """The process that was started."""
        if self._process is None:
            raise AssertionError("the server was not started")
        return self._process

    def printed(self) -> str:
        """What it and everything it started wrote to stdout and stderr."""
        return self.log.read_text(errors="replace")

    # -- who is there --------------------------------------------------------------------

    def processes(self) -> list[Process]:
        """Everything that lives of this run."""
        return procfs.processes(self.run)

    def workers(self, parent: int = 0) -> list[int]:
        """Ids of the main process' children (or of another parent's) that are not the relay's."""
        parent = parent or self.main.pid
        return [one.pid for one in self.processes() if one.parent == parent and not one.is_relay]

    def wait_workers(self, count: int, parent: int = 0) -> list[int]:
        """The workers, once there are so many."""

        def enough() -> list[int]:
            found = self.workers(parent)
            return found if len(found) == count else []

        return until(enough, START_SECONDS, f"{count} workers")

    def supervisors(self) -> list[int]:
        """Ids of the processes that start the relay again."""
        relays = [one for one in self.processes() if one.is_relay]
        parents = {one.parent for one in relays}
        return [one.pid for one in relays if one.pid in parents]

    def relays(self) -> list[int]:
        """Ids of the relays, without their supervisors: there should be one."""
        relays = [one for one in self.processes() if one.is_relay]
        parents = {one.parent for one in relays}
        return [one.pid for one in relays if one.pid not in parents]

    def cpu(self) -> float:
        """User and system seconds of everything that lives of this run."""
        return sum(one.cpu for one in self.processes())

    def pod(self) -> Path:
        """The folder that the workers write into, as the relay was told it."""
        for one in self.processes():
            if one.is_relay:
                return Path(os.fsdecode(one.command.split(b"\0")[6]))
        raise AssertionError(f"no relay\n{self.printed()}")


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Signal one process that may have ended already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def gunicorn(
    folder: Path,
    variables: Mapping[str, str] | None = None,
    *arguments: str,
    workers: int = 3,
    worker: str = "sync",
    port: int = 0,
    launcher: bool = True,
    application: str = APPLICATION,
) -> Server:
    """A gunicorn with the application that knows nothing of us."""
    port = port or free_port()
    command = [
        *(str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", str(workers)),
        *("--worker-class", worker, "--no-control-socket", "--log-level", "warning"),
        *(("--threads", "4") if worker == "gthread" else ()),
        *(*arguments, application),
    ]
    return Server(command, folder, variables, port=port, launcher=launcher)
