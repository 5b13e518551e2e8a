"""A real OTLP/gRPC receiver on a loopback port, which keeps what it got in a file like `tests.sink`.

It is a process of its own: `python -m tests.process.grpc_sink --file received` prints one line with its
address and serves until it is killed. What a call brought is kept under the path of the same signal in
OTLP over HTTP, so that everything that reads such a file can read this one.
"""

import argparse
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import grpc  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tests.sink import METRICS, TRACES, Received, framed


class Kept:
    """The file that calls are written into, one at a time."""

    def __init__(self, file: BinaryIO) -> None:
        """Append to `file`."""
        self._file = file
        self._lock = threading.Lock()

    def keep(self, path: str, body: bytes) -> None:
        """Write what one call brought."""
        with self._lock:
            self._file.write(framed(Received(path, time.time_ns(), body)))
            self._file.flush()


class Traces(TraceServiceServicer):
    """Takes every span."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def Export(  # noqa: N802 - as the service is declared
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        self._kept.keep(TRACES, request.SerializeToString())
        return ExportTraceServiceResponse()


class Metrics(MetricsServiceServicer):
    """Takes every number."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def Export(  # noqa: N802 - as the service is declared
        self, request: ExportMetricsServiceRequest, context: grpc.ServicerContext
    ) -> ExportMetricsServiceResponse:
        self._kept.keep(METRICS, request.SerializeToString())
        return ExportMetricsServiceResponse()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--file", type=Path, required=True)
    asked = parser.parse_args()
    server = grpc.server(ThreadPoolExecutor(2))
    with asked.file.open("ab") as file:
        kept = Kept(file)
        add_TraceServiceServicer_to_server(Traces(kept), server)  # type: ignore[no-untyped-call]
        add_MetricsServiceServicer_to_server(Metrics(kept), server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        sys.stdout.write(f"http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        server.wait_for_termination()


if __name__ == "__main__":
    main()
