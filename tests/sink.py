"""A real OTLP/HTTP receiver on a loopback port, which keeps what it got and can misbehave.

In a test's own process::

    with Sink() as sink:
        ...                          # send to sink.traces or sink.metrics
        assert sink.wait(lambda: sink.span_counts.total() == 12)
        sink.become("frozen")

As a process of its own, which outlives a test's processes and shares no interpreter lock
with them: `python -m tests.sink --port 0 --file received` prints one line with its
address, and appends each accepted request to the file (`read_received(path)`). Its
behaviour is changed with `become_at(address, "refusing")`.
"""

import argparse
import contextlib
import gzip
import http.client
import http.server
import json
import socket
import ssl
import struct
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACES = "/v1/traces"
METRICS = "/v1/metrics"
CONTROL = "/become"
HUGE_BYTES = 1 << 30
_FRAME = struct.Struct("<IIq")


@dataclass(frozen=True)
class Behaviour:
    """How the receiver answers. `frozen` means that a connection is taken and never served."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    frozen: bool = False
    rejected: int = 0
    """Items that the answer says were not taken (partial success)."""
    message: str = ""
    body_bytes: int = 0
    """Length of a meaningless answer body; 0 for the real one."""
    closes: bool = False
    """The connection ends after each answer, without a word about it in the headers."""


BEHAVIOURS: dict[str, Behaviour] = {
    "healthy": Behaviour(),
    "frozen": Behaviour(frozen=True),
    "refusing": Behaviour(status=503, headers={"Retry-After": "1"}),
    "unavailable": Behaviour(status=503),
    "throttling": Behaviour(status=429, headers={"Retry-After": "1"}),
    "rejecting": Behaviour(status=400, message="the request is malformed"),
    "slow": Behaviour(delay=0.5),
    "partial": Behaviour(rejected=1, message="one is too old"),
    "huge": Behaviour(body_bytes=HUGE_BYTES),
    "closing": Behaviour(closes=True),
    "redirecting": Behaviour(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"}),
}


class Received(NamedTuple):
    """One request: its path, when it came (`time.time_ns`), and its body after decompression."""

    path: str
    time_ns: int
    body: bytes
    headers: Mapping[str, str] = {}


class ReceivedSpan(NamedTuple):
    """A span with the resource and scope it came under."""

    resource: Resource
    scope: InstrumentationScope
    scope_schema_url: str
    span: Span


def spans_of(received: Iterable[Received]) -> Iterator[ReceivedSpan]:
    """Every span of the trace requests among `received`; raises DecodeError for a broken payload."""
    for one in received:
        if one.path != TRACES:
            continue
        for resource_spans in ExportTraceServiceRequest.FromString(one.body).resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    yield ReceivedSpan(
                        resource_spans.resource, scope_spans.scope, scope_spans.schema_url, span
                    )


def metrics_of(received: Iterable[Received]) -> Iterator[tuple[Resource, InstrumentationScope, Metric]]:
    """Every metric of the metrics requests among `received`, with its resource and scope."""
    for one in received:
        if one.path != METRICS:
            continue
        for resource_metrics in ExportMetricsServiceRequest.FromString(one.body).resource_metrics:
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    yield resource_metrics.resource, scope_metrics.scope, metric


def span_counts(received: Iterable[Received]) -> Counter[bytes]:
    """How often each span id was received; more than once means a duplicate."""
    return Counter(one.span.span_id for one in spans_of(received))


def framed(received: Received) -> bytes:
    """One request as it stands in the file of a sink."""
    name = received.path.encode()
    return _FRAME.pack(len(name), len(received.body), received.time_ns) + name + received.body


def read_received(path: Path) -> list[Received]:
    """What a sink process has written so far; a frame that is still being written is left out."""
    data = path.read_bytes() if path.exists() else b""
    received, at = [], 0
    while at + _FRAME.size <= len(data):
        path_bytes, body_bytes, time_ns = _FRAME.unpack_from(data, at)
        end = at + _FRAME.size + path_bytes + body_bytes
        if end > len(data):
            break
        start = at + _FRAME.size
        name = data[start : start + path_bytes].decode()
        received.append(Received(name, time_ns, data[start + path_bytes : end]))
        at = end
    return received


def become_at(address: str, behaviour: str, **changes: float | str) -> None:
    """Change how the sink process at `address` ("http://127.0.0.1:port") answers from now on."""
    host, _, port = address.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("POST", CONTROL, json.dumps({"behaviour": behaviour, **changes}))
        if connection.getresponse().status != 200:
            raise ValueError(f"the sink knows no behaviour {behaviour!r} with {changes}")
    finally:
        connection.close()


class Sink:
    """The receiver, serving from a thread of its own while the context is open."""

    def __init__(
        self,
        behaviour: str = "healthy",
        port: int = 0,
        file: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Listen on `port` (0: a free one). Accepted requests are appended to `file` if one is given."""
        self.behaviour = BEHAVIOURS[behaviour]
        self.accepted: list[Received] = []
        self.seen: list[Received] = []
        """Every request that was read, also those that were refused."""
        self.connections = 0
        self._changed = threading.Condition()
        self._file: BinaryIO | None = file.open("ab") if file is not None else None
        self._stopped = threading.Event()
        self._server = _Server(self, port)
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]

    @property
    def address(self) -> str:
        """Scheme, host and port, as in OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def traces(self) -> str:
        """Where spans go."""
        return self.address + TRACES

    @property
    def metrics(self) -> str:
        """Where metrics go."""
        return self.address + METRICS

    @property
    def span_counts(self) -> Counter[bytes]:
        """How often each span id was accepted."""
        return span_counts(self.received())

    def received(self) -> list[Received]:
        """A copy of what was accepted so far."""
        with self._changed:
            return list(self.accepted)

    def become(self, behaviour: str, **changes: object) -> None:
        """Answer like `behaviour` from now on, with some fields changed. Raises KeyError, TypeError."""
        self.behaviour = _behaviour(behaviour, changes)

    def wait(self, until: Callable[[], object], timeout: float = 10.0) -> bool:
        """Whether `until` held within `timeout` seconds; looked at after each request."""
        with self._changed:
            return bool(self._changed.wait_for(until, timeout))

    def serve(self) -> None:
        """Serve until closed."""
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        """Stop serving; connections that are being kept waiting are let go."""
        self._stopped.set()
        self._server.shutdown()
        self._server.end_connections()
        self._server.server_close()
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve, name="sink", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def note_connection(self) -> None:
        """One more connection was made."""
        with self._changed:
            self.connections += 1
            self._changed.notify_all()

    def note(self, received: Received, *, accepted: bool) -> None:
        """One more request was read."""
        with self._changed:
            self.seen.append(received)
            if accepted:
                self.accepted.append(received)
                self._write(received)
            self._changed.notify_all()

    def pause(self, seconds: float | None) -> bool:
        """Wait, or for ever if None; whether the sink was closed meanwhile."""
        return self._stopped.wait(seconds)

    def _write(self, received: Received) -> None:
        if self._file is None:
            return
        self._file.write(framed(received))
        self._file.flush()
        # Another process reads the file; keeping everything twice would only cost memory.
        self.accepted.clear()
        self.seen.clear()


def _behaviour(name: str, changes: Mapping[str, object]) -> Behaviour:
    return Behaviour(**{**BEHAVIOURS[name].__dict__, **changes})


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, sink: Sink, port: int) -> None:
        self.sink = sink
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        self.sink.note_connection()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)

    def end_connections(self) -> None:
        """Cut what is still open, as the end of a process would."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nothing to report."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        if self.path == CONTROL:
            self._control()
            return
        behaviour = self.server.sink.behaviour
        if behaviour.frozen and self.server.sink.pause(None):
            self.close_connection = True
            return
        received = self._read()
        if behaviour.delay and self.server.sink.pause(behaviour.delay):
            return
        self.server.sink.note(received, accepted=behaviour.status == 200)
        self._answer(behaviour)

    def _read(self) -> Received:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        coding = self.headers.get("Content-Encoding", "")
        if coding == "gzip":
            body = gzip.decompress(body)
        elif coding == "deflate":
            body = zlib.decompress(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Received(self.path, time.time_ns(), body, headers)

    def _answer(self, behaviour: Behaviour) -> None:
        self.send_response(behaviour.status)
        for name, value in behaviour.headers.items():
            self.send_header(name, value)
        body = _answer_body(self.path, behaviour)
        length = behaviour.body_bytes or len(body)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if behaviour.body_bytes:
            self._pour(length)
        else:
            self.wfile.write(body)
        self.close_connection = self.close_connection or behaviour.closes

    def _pour(self, length: int) -> None:
        block = bytes(1 << 16)
        with contextlib.suppress(OSError):
            for _ in range(length >> 16):
                self.wfile.write(block)
            return
        self.close_connection = True

    def _control(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self.server.sink.become(asked.pop("behaviour"), **asked)
        except (KeyError, TypeError):
            self.send_error(400)
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is printed: the address must be the only line on stdout."""


def _answer_body(path: str, behaviour: Behaviour) -> bytes:
    if behaviour.status != 200:
        return behaviour.message.encode()
    answer: ExportTraceServiceResponse | ExportMetricsServiceResponse
    if path == METRICS:
        answer = ExportMetricsServiceResponse()
        if behaviour.message:
            answer.partial_success.rejected_data_points = behaviour.rejected
            answer.partial_success.error_message = behaviour.message
    else:
        answer = ExportTraceServiceResponse()
        if behaviour.message:
            answer.partial_success.rejected_spans = behaviour.rejected
            answer.partial_success.error_message = behaviour.message
    return bytes(answer.SerializeToString())


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--behaviour", choices=sorted(BEHAVIOURS), default="healthy")
    asked = parser.parse_args()
    sink = Sink(asked.behaviour, asked.port, asked.file)
    sys.stdout.write(sink.address + "\n")
    sys.stdout.flush()
    sink.serve()


if __name__ == "__main__":
    main()
