"""The sample application under gunicorn and OpenTelemetry's launcher, started and ended here."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from otelc2c.demo.gunicorn_conf import READY, workers
from otelc2c.demo.page import NoPage, scrape

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 60.0
END_SECONDS: Final = 15.0
NOT_HANDED_ON: Final = frozenset({"OTELC2C_POD", "GUNICORN_CMD_ARGS"})
"""A pod is named by the process that makes it, and this one is new. What is said here of workers and threads
is what `gunicorn_conf` sets."""


class NotServed(RuntimeError):
    """The application cannot be served; the message says why."""


def free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens there, else any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            return free_port()
        port: int = probe.getsockname()[1]
    return port


def variables(environ: Mapping[str, str], metrics_port: int) -> dict[str, str]:
    """The environment of the service: the caller's, with a metrics page on `metrics_port`."""
    exporters = environ.get("OTEL_METRICS_EXPORTER", "").strip()
    if "prometheus" not in exporters.split(","):
        exporters = f"{exporters},prometheus".strip(",") if exporters not in {"", "none"} else "prometheus"
    own = {
        "OTEL_METRICS_EXPORTER": exporters,
        "OTEL_EXPORTER_PROMETHEUS_HOST": HOST,
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(metrics_port),
        "OTEL_SERVICE_NAME": environ.get("OTEL_SERVICE_NAME") or "tea-room",
    }
    return {name: value for name, value in environ.items() if name not in NOT_HANDED_ON} | own


class Server:
    """gunicorn on `port`. Use it as a context manager: it is ended at the end."""

    def __init__(self, port: int, metrics_port: int, environ: Mapping[str, str]) -> None:
        self.port = port
        self.url = f"http://{HOST}:{port}/"
        self.metrics_url = f"http://{HOST}:{metrics_port}/metrics"
        self._environ = variables(environ, metrics_port)
        self._folder = Path(tempfile.mkdtemp(prefix="otelc2c-demo-"))
        self.log = self._folder / "gunicorn.log"
        self._book = self._folder / "orders.sqlite"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def printed(self) -> str:
        """What the service printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _start(self) -> None:
        command = [
            program("opentelemetry-instrument"),
            program("gunicorn"),
            f"--bind={HOST}:{self.port}",
            *("-c", "python:otelc2c.demo.gunicorn_conf"),
            f"otelc2c.demo.wsgi:with_page('{self.metrics_url}', '{self._book}')",
        ]
        order_book(self._book)
        with self.log.open("wb") as log:
            # In a session of its own, so that Ctrl-C reaches this process first.
            self._process = subprocess.Popen(
                command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self) -> None:
        """Return when the application and its page answer. Raises NotServed."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self._process is None or self._process.poll() is not None:
                raise NotServed(f"gunicorn ended at start:\n{self._tail()}")
            missing = self._missing()
            if not missing:
                return
            if time.monotonic() > deadline:
                raise NotServed(f"{missing}, {START_SECONDS:.0f} s after the start:\n{self._tail()}")
            time.sleep(0.05)

    def _missing(self) -> str:
        """What is not there yet, in words; "" when nothing is missing.

        The application gets a connection and no request: each request would be counted.
        """
        ready = self.printed().count(READY)
        if ready < workers:
            return f"{ready} of {workers} workers are ready"
        try:
            socket.create_connection((HOST, self.port), 1).close()
            scrape(self.metrics_url)
        except (OSError, NoPage) as error:
            return str(error)
        return ""

    def _end(self) -> None:
        """End the service, kindly at first. What it left behind in its session is ended too."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tail(self) -> str:
        return "\n".join(self.printed().splitlines()[-20:])


def order_book(path: Path) -> None:
    """Make the order book of the service at `path`. Raises NotServed without SQLAlchemy."""
    try:
        from otelc2c.demo.database import make
    except ImportError as error:
        raise NotServed(f"{error}: pip install 'otelc2c[demo]'") from None
    make(path)


def program(name: str) -> str:
    """A command that is installed beside this Python. Raises NotServed where there is none."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise NotServed(f"there is no {name} in {path.parent}: pip install 'otelc2c[demo]'")
    return str(path)
