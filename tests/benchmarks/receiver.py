"""A local OTLP receiver in a process of its own, so that its work is in nobody's figures.

`python -m tests.benchmarks.receiver` prints its port; GET answers how many spans and
metric payloads came so far.
"""

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.request import urlopen

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Received(NamedTuple):
    """What came since the receiver was started."""

    spans: int
    metrics: int


class Handler(BaseHTTPRequestHandler):
    """Counts spans by decoding every payload."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    lock = threading.Lock()
    spans = 0
    metrics = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        spans = metrics = 0
        if self.path == "/v1/traces":
            request = ExportTraceServiceRequest.FromString(body)
            spans = sum(len(part.spans) for whole in request.resource_spans for part in whole.scope_spans)
        else:
            metrics = len(ExportMetricsServiceRequest.FromString(body).resource_metrics)
        with self.lock:
            Handler.spans += spans
            Handler.metrics += metrics
        self._answer(b"", "application/x-protobuf")

    def do_GET(self) -> None:
        self._answer(json.dumps([Handler.spans, Handler.metrics]).encode(), "application/json")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A receiver has nothing to say."""


class Receiver:
    """The caller's side of a receiver that runs."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"

    def received(self) -> Received:
        """How much came so far."""
        with urlopen(self.endpoint, timeout=10) as answer:
            return Received(*json.load(answer))


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port, ended with the block."""
    command = [sys.executable, "-m", "tests.benchmarks.receiver"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Receiver(int(process.stdout.readline()))
        finally:
            process.kill()


def main() -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
