"""PostgreSQL as a local process, with data that lives as long as it does."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.parts.install import SERVICES, find
from tests.process.waiting import until

HOST = "127.0.0.1"
USER = "postgres"
SECONDS = 20.0


def postgres_program() -> Path:
    """Where postgres is. Without it the test is skipped, or fails where services are required."""
    found = find(SERVICES["postgresql"], os.environ.get("PATH", os.defpath))
    if found is None:
        (pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip)("there is no postgres")
    return found.resolve()


class PostgresServer:
    """One server on a free port, which lets everybody in. Use it as a context manager."""

    def __init__(self) -> None:
        self._program = postgres_program()
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port: int = probe.getsockname()[1]
        # It refuses to run as root; and the user it runs as must be able to reach its folder.
        self._user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, for libpq."""
        return f"postgresql://{USER}@{HOST}:{self.port}/postgres"

    def __enter__(self) -> Self:
        if self._user is not None:
            os.chown(self._folder, self._user, -1)
        data = self._folder / "data"
        make = [self._program.with_name("initdb"), "-D", data, "-U", USER, "-A", "trust", "--no-sync"]
        subprocess.run(make, user=self._user, cwd=self._folder, check=True, capture_output=True, timeout=60)
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
        }
        command = [self._program, "-D", data]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, user=self._user, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self._answers, SECONDS, f"postgres answers on port {self.port}")
        return self

    def _answers(self) -> bool:
        ask = [self._program.with_name("pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(ask, check=False, timeout=10).returncode == 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            # At once, without waiting for clients.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)
