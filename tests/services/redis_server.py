"""Redis as local processes: one server, a master with a replica under a sentinel, a cluster of three."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.parts.install import SERVICES, find
from tests.process.waiting import until

HOST = "127.0.0.1"
SECONDS = 10.0
SERVICE = "mymaster"
"""What the sentinel calls the master."""


def redis_program() -> Path:
    """Where redis-server is. Without it the test is skipped, or fails where services are required."""
    found = find(SERVICES["redis-server"], os.environ.get("PATH", os.defpath))
    if found is None:
        (pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip)(
            "there is no redis-server"
        )
    return found


def free_port() -> int:
    """A port on which nobody listens, and whose number a cluster can add 10,000 to."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port


class RedisServer:
    """One process. Use it as a context manager: it is ended at the end, by its pid."""

    def __init__(self, folder: Path, *options: str, port: int = 0, config: str | None = None) -> None:
        """`options` are those of the command line; `config` is a file's content, for a sentinel."""
        self.port = port or free_port()
        self._folder = folder / str(self.port)
        self._options = options
        self._config = config
        self._program = redis_program()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = [str(self._program)]
        if self._config is not None:
            (self._folder / "sentinel.conf").write_text(self._config)
            command += ["sentinel.conf", "--sentinel"]
        command += ["--port", str(self.port), "--bind", HOST, *self._options]
        if self._config is None:
            command += ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self._answers, SECONDS, f"redis-server answers on port {self.port}")

    def say(self, command: str) -> bytes:
        """The first bytes of the answer to one command, sent without any client library."""
        with socket.create_connection((HOST, self.port), SECONDS) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(65_536)

    def freeze(self) -> None:
        """Stop the process where it is: connections stay, answers do not come."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, and return when it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self._folder / "log").read_text(errors="replace"))
        try:
            return self.say("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


class Watched:
    """A master, its replica, and the sentinel that makes the one the other."""

    def __init__(self, master: RedisServer, replica: RedisServer, sentinel: RedisServer) -> None:
        self.master = master
        self.replica = replica
        self.sentinel = sentinel

    def replica_is_known(self) -> bool:
        """Whether the sentinel could make the replica a master."""
        return b"slave0" in self.master.say("INFO replication") and str(
            self.replica.port
        ).encode() in self.sentinel.say(f"SENTINEL replicas {SERVICE}")

    def replica_is_master(self) -> bool:
        """Whether it has done so, and says so."""
        port = str(self.replica.port)
        said = self.sentinel.say(f"SENTINEL master {SERVICE}").decode()
        return (
            b"role:master" in self.replica.say("INFO replication")
            and f"\r\nport\r\n${len(port)}\r\n{port}\r\n" in said
        )


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """A master with a replica, under a sentinel that needs nobody's agreement."""
    with ExitStack() as stack:
        master = stack.enter_context(RedisServer(folder))
        replica = stack.enter_context(RedisServer(folder, "--replicaof", HOST, str(master.port)))
        lines = (
            f"sentinel monitor {SERVICE} {HOST} {master.port} 1",
            f"sentinel down-after-milliseconds {SERVICE} 300",
            f"sentinel failover-timeout {SERVICE} 2000",
        )
        sentinel = stack.enter_context(RedisServer(folder, config="\n".join(lines) + "\n"))
        made = Watched(master, replica, sentinel)
        until(made.replica_is_known, SECONDS, "the sentinel knows the replica")
        yield made


@contextmanager
def cluster(folder: Path) -> Iterator[list[RedisServer]]:
    """Three masters that share all slots."""
    slots = ((0, 5460), (5461, 10922), (10923, 16383))
    with ExitStack() as stack:
        options = ("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
        nodes = [stack.enter_context(RedisServer(folder, *options)) for _ in slots]
        for number, (node, (first, last)) in enumerate(zip(nodes, slots, strict=True), 1):
            node.say(f"CLUSTER ADDSLOTSRANGE {first} {last}")
            node.say(f"CLUSTER SET-CONFIG-EPOCH {number}")
        for node in nodes[1:]:
            nodes[0].say(f"CLUSTER MEET {HOST} {node.port}")
        until(lambda: all(_whole(node) for node in nodes), SECONDS, "the cluster is whole")
        yield nodes


def _whole(node: RedisServer) -> bool:
    said = node.say("CLUSTER INFO")
    return b"cluster_state:ok" in said and b"cluster_known_nodes:3" in said
