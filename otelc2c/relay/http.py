"""One HTTP/1.1 connection to an OTLP receiver: kept open, bounded in time and in what it reads.

What an answer means follows the OTLP specification ("OTLP/HTTP Response"): 200 is taken,
429, 502, 503 and 504 are sent again later, everything else is never sent again. Redirects
are not followed. Nothing said here repeats a header's value or a password.
"""

import contextlib
import email.utils
import gzip
import http.client
import random
import select
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from otelc2c.relay.sockets import Resolver, TimedSocket, connect, remaining

RETRYABLE: Final = frozenset({429, 502, 503, 504})
MOST_READ: Final = 64 * 1024
"""Bytes of an answer that are read; what is longer ends the connection (F-27, T29)."""
LONGEST_WAIT: Final = 300.0
"""Seconds; a receiver that asks for a longer pause is asked again after this one."""
_IN_TARGETS: Final = "%/:=&?~#+!$,;'@()*[]"
"""What may stand in a path and query as it is; anything else is percent-encoded."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 8.0
"""Seconds between attempts while nothing is said by the receiver: so it is found again within 10 s (F-20)."""


class Acknowledged(NamedTuple):
    """The receiver has it. `answer` is the body of its answer, empty where it was too long."""

    answer: bytes = b""


class Retry(NamedTuple):
    """It did not arrive and may be sent again, not before `after` seconds where the receiver said so."""

    reason: str
    """For `error.type`: a status, `timeout`, or the name of an exception."""
    after: float | None = None


class Rejected(NamedTuple):
    """The receiver will never take it."""

    reason: str


Outcome: TypeAlias = Acknowledged | Retry | Rejected


class Backoff:
    """Pauses between attempts: doubling from one second to eight, with jitter."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        """`chance` gives numbers from 0 to 1."""
        self._chance = chance
        self._failures = 0

    def pause(self, asked: float | None = None) -> float:
        """Seconds until the next attempt, at least what the receiver `asked` for."""
        nominal = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return max(nominal * (0.5 + self._chance() / 2), asked or 0.0)

    def reset(self) -> None:
        """Something was delivered."""
        self._failures = 0


class HttpSender:
    """Posts bodies to one URL. Not for several threads at once."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        compression: str = "none",
        certificate: str | None = None,
        client_certificate: str | None = None,
        client_key: str | None = None,
        version: str = "0",
    ) -> None:
        """Send to `endpoint`, the whole URL; each attempt takes at most `timeout` seconds.

        `compression` is "none" or "gzip". The certificates are files in PEM, read at each
        connection so that renewed ones are found. Raises ValueError for a URL without a host, and for
        headers that cannot be sent.
        """
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an OTLP/HTTP endpoint is a URL with http or https and a host")
        self.tls = parts.scheme == "https"
        self.host: str = parts.hostname
        self.port: int = parts.port or (443 if self.tls else 80)
        self.timeout = timeout
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._gzip = compression == "gzip"
        self._certificate = certificate
        self._client = (client_certificate, client_key)
        self._resolver = Resolver()
        self._connection: TimedSocket | None = None
        sent = {
            "host": _name(self.host, self.port, 443 if self.tls else 80),
            "accept-encoding": "identity",
            "content-type": "application/x-protobuf",
            "user-agent": f"OTel-OTLP-Exporter-otelc2c/{version}",
            **({"content-encoding": "gzip"} if self._gzip else {}),
            **_credentials(parts.username, parts.password),
            **{name.lower(): value for name, value in (headers or {}).items()},
        }
        lines = [f"POST {quote(self._target, safe=_IN_TARGETS)} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in sent.items()]
        # The same for each request, up to the number after it.
        self._head = b"".join(_line(line) + b"\r\n" for line in lines) + b"content-length: "

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address})"

    @property
    def address(self) -> str:
        """Where it goes, without password and query."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = self._target.partition("?")[0]
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def send(self, body: bytes, deadline: float | None = None) -> Outcome:
        """Post `body` once, ending before `deadline` (of `time.monotonic`) and never raising."""
        now = time.monotonic()
        limit = min(now + self.timeout, deadline if deadline is not None else now + self.timeout)
        if limit <= now:
            return Retry("timeout")
        data = gzip.compress(body, 1, mtime=0) if self._gzip else body
        try:
            connection, reused = self._connected(limit)
            try:
                return self._post(connection, data, limit)
            except (ConnectionError, http.client.RemoteDisconnected):
                # The receiver may close a connection that it kept, just when we use it.
                if not reused:
                    raise
            self.close()
            return self._post(self._connected(limit)[0], data, limit)
        except TimeoutError:
            self.close()
            return Retry("timeout")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            return Retry(type(error).__qualname__)

    def close(self) -> None:
        """End the connection; the next `send` makes a new one and asks for the host's address again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self, limit: float) -> tuple[TimedSocket, bool]:
        kept = self._connection
        if kept is not None and not _ended(kept):
            return kept, True
        self.close()
        plain = connect(self._resolver(self.host, self.port, limit), limit)
        try:
            connection = self._connection = TimedSocket(self._secured(plain, limit) if self.tls else plain)
        except BaseException:
            plain.close()
            raise
        return connection, False

    def _secured(self, plain: socket.socket, limit: float) -> socket.socket:
        import ssl  # not loaded where nothing is encrypted

        context = ssl.create_default_context(cafile=self._certificate)
        certificate, key = self._client
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        plain.settimeout(remaining(limit))
        return context.wrap_socket(plain, server_hostname=self.host)

    def _post(self, connection: TimedSocket, data: bytes, limit: float) -> Outcome:
        connection.limit = limit
        connection.sendall(b"%b%d\r\n\r\n" % (self._head, len(data)))
        connection.sendall(data)
        # All that it asks of a socket is a file to read from.
        with contextlib.closing(http.client.HTTPResponse(connection, method="POST")) as response:  # type: ignore[arg-type]
            response.begin()
            answer = response.read(MOST_READ + 1)
            if len(answer) > MOST_READ or response.will_close:
                self.close()
        if response.status == 200:
            return Acknowledged(answer if len(answer) <= MOST_READ else b"")
        if response.status in RETRYABLE:
            return Retry(str(response.status), _retry_after(response.getheader("Retry-After"), time.time()))
        return Rejected(str(response.status))


def _credentials(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return {"authorization": "Basic " + b64encode(pair).decode()}


def _retry_after(value: str | None, now: float) -> float | None:
    """Seconds of a `Retry-After` header, which is a number or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        return min(LONGEST_WAIT, float(int(value))) if int(value) >= 0 else None
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return min(LONGEST_WAIT, max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now))
    return None


def _ended(connection: TimedSocket) -> bool:
    """Whether the other side closed the connection, or said something nobody asked for."""
    ready = select.poll()
    ready.register(connection.fileno(), select.POLLIN)
    return bool(ready.poll(0))


def _line(text: str) -> bytes:
    """A part of a request's head. Raises ValueError for what would end its line, or cannot be sent."""
    if any(character in text for character in "\r\n\0"):
        raise ValueError("a URL or header with a line break cannot be sent")
    return text.encode("latin-1")


def _name(host: str, port: int, usual: int) -> str:
    """The value of the `Host` header."""
    name = f"[{host}]" if ":" in host else host.encode("idna").decode()
    return name if port == usual else f"{name}:{port}"
