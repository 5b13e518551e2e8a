"""Where one signal goes by OTLP: the general variables and those of the signal, which win."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from otelc2c.settings import parsers
from otelc2c.settings.option import Reading, option
from otelc2c.settings.values import MASK, Problem, without_user

GENERAL_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


def _masked_headers(headers: Mapping[str, str]) -> str:
    return ",".join(f"{name}={MASK}" for name in headers)


@dataclass(frozen=True, repr=False)
class Otlp:
    """How one signal is exported by OTLP."""

    endpoint: str = option(
        "OTEL_EXPORTER_OTLP_{SIGNAL}_ENDPOINT",
        GENERAL_ENDPOINT,
        syntax=parsers.ENDPOINT,
        default="",
        says="Where to send. The signal's path is appended to the general variable only.",
        show=without_user,
        unset="http://localhost:4318 (HTTP) or http://localhost:4317 (gRPC), when the exporter is asked for",
    )
    """The whole URL for HTTP; URL or `host:port` for gRPC. Never empty in settings that were read."""
    protocol: str = option(
        "OTEL_EXPORTER_OTLP_{SIGNAL}_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        syntax=parsers.choice("http/protobuf", "grpc"),
        default="http/protobuf",
        says="How to send.",
    )
    headers: Mapping[str, str] = option(
        "OTEL_EXPORTER_OTLP_{SIGNAL}_HEADERS",
        "OTEL_EXPORTER_OTLP_HEADERS",
        syntax=parsers.HEADERS,
        default={},
        says="Headers sent along, such as a key of the receiver's.",
        secret=True,
        show=_masked_headers,
    )
    """By name in small letters."""
    timeout: float = option(
        "OTEL_EXPORTER_OTLP_{SIGNAL}_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        syntax=parsers.OTLP_TIMEOUT,
        default=10.0,
        says="Limit of one attempt to send a batch.",
        unset="10 s",
    )
    """Seconds."""
    compression: str = option(
        "OTEL_EXPORTER_OTLP_{SIGNAL}_COMPRESSION",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        syntax=parsers.choice("none", "gzip"),
        default="none",
        says="Compression of what is sent.",
    )
    certificate: str | None = option(
        "OTEL_EXPORTER_OTLP_{SIGNAL}_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        syntax=parsers.TEXT,
        default=None,
        says="File of certificates (PEM) by which the receiver is verified.",
        unset="the system's",
    )
    client_key: str | None = option(
        "OTEL_EXPORTER_OTLP_{SIGNAL}_CLIENT_KEY",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        syntax=parsers.TEXT,
        default=None,
        says="File of the private key (PEM) for mutual TLS.",
    )
    client_certificate: str | None = option(
        "OTEL_EXPORTER_OTLP_{SIGNAL}_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        syntax=parsers.TEXT,
        default=None,
        says="File of the certificate (PEM) for mutual TLS.",
    )
    insecure: bool = option(
        "OTEL_EXPORTER_OTLP_{SIGNAL}_INSECURE",
        "OTEL_EXPORTER_OTLP_INSECURE",
        syntax=parsers.BOOLEAN,
        default=False,
        says="gRPC to an address without http:// or https:// goes without TLS.",
    )

    @property
    def grpc(self) -> bool:
        """Whether the signal goes by gRPC, otherwise by HTTP."""
        return self.protocol == "grpc"

    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        text = self.endpoint if "://" in self.endpoint else f"//{self.endpoint}"
        parts = urlsplit(text)
        default = 443 if parts.scheme == "https" else 80
        return parts.hostname or "localhost", parts.port or (4317 if self.grpc else default)

    def __repr__(self) -> str:
        return f"Otlp({without_user(self.endpoint)}, {self.protocol})"


def settle(name: str, path: str, reading: Reading) -> None:
    """Give the group `name` its endpoint: the default of its protocol, or `path` appended to the general one.

    An address that fits no URL is right for gRPC only; for HTTP it is a problem and left out.
    """
    field = f"{name}.endpoint"
    grpc = reading.values.get(f"{name}.protocol") == "grpc"
    given = reading.values.get(field, "")
    if given and not grpc and "://" not in given:
        problem = Problem(
            reading.sources[field], "needs http:// or https:// unless the protocol is grpc; ignored"
        )
        if problem not in reading.problems:
            reading.problems.append(problem)
        given = ""
        del reading.sources[field]
    if not given:
        given = "http://localhost:4317" if grpc else "http://localhost:4318" + path
    elif not grpc:
        parts = urlsplit(given)
        general = reading.sources[field] == GENERAL_ENDPOINT
        whole = parts.path.rstrip("/") + path if general else parts.path or "/"
        given = parts._replace(path=whole).geturl()
    reading.values[field] = given
