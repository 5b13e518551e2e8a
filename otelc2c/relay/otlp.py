"""Spans by OTLP: requests made of finished `Span` messages, and what the receiver answers.

The rings hold each span as the bytes of its OTLP message, so that a request is their
concatenation under their scopes; nothing is decoded.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from otelc2c.record import wire
from otelc2c.record.points import Scope
from otelc2c.relay.http import Acknowledged, HttpSender, Rejected, Retry
from otelc2c.relay.state import Component

# Fields of the messages around spans and metrics, which OTLP numbers alike.
RESOURCE_OF: Final = b"\x0a"
SCOPES_OF: Final = b"\x12"
SCOPE_OF: Final = b"\x0a"
ITEM_OF: Final = b"\x12"
SCHEMA_OF: Final = b"\x1a"
REQUEST: Final = b"\x0a"

_LONGEST_MESSAGE: Final = 200


class Spans:
    """Finished spans by their scope, as the rings hold them: ready to be parts of a `ScopeSpans`."""

    __slots__ = ("by_scope", "count")

    def __init__(self) -> None:
        """None yet."""
        self.by_scope: dict[Scope, list[bytes]] = {}
        self.count = 0

    @classmethod
    def of(cls, spans: Iterable[tuple[Scope, bytes]]) -> "Spans":
        """Of `Span` messages, in the same order within a scope."""
        made = cls()
        for scope, span in spans:
            made.add(scope, [wire.item(span)], 1)
        return made

    def add(self, scope: Scope, payloads: list[bytes], count: int) -> None:
        """Add payloads of one scope that hold `count` spans together. The list is taken over."""
        self.count += count
        there = self.by_scope.setdefault(scope, payloads)
        if there is not payloads:
            there += payloads

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Scope, bytes]]:
        """Each span's message with its scope. Raises ValueError, IndexError for what is no OTLP."""
        for scope, payloads in self.by_scope.items():
            for payload in payloads:
                for _, span in wire.fields(payload):
                    if isinstance(span, bytes):
                        yield scope, span


class Delivered(NamedTuple):
    """The receiver has it, but for `rejected` items, of which it says `message`."""

    rejected: int = 0
    message: str = ""


Outcome: TypeAlias = Delivered | Retry | Rejected


@lru_cache(maxsize=256)
def _scope(scope: Scope) -> tuple[bytes, bytes]:
    """The start and the end of a `ScopeSpans` or `ScopeMetrics` message."""
    content = wire.encode_scope(scope.name, scope.version, dict(scope.attributes))
    schema = wire.field(SCHEMA_OF, wire.text(scope.schema_url)) if scope.schema_url else b""
    return wire.field(SCOPE_OF, content), schema


def encode_items(
    resource: bytes, by_scope: Iterable[tuple[Scope, Sequence[bytes]]], schema_url: str = ""
) -> bytes:
    """A whole request: a `Resource` message, and items by scope, which are fields of it already.

    Everything is copied once, however deep the messages lie in each other.
    """
    parts = [b"", b"", wire.field(RESOURCE_OF, resource)]
    for scope, items in by_scope:
        head, tail = _scope(scope)
        size = len(head) + sum(map(len, items)) + len(tail)
        parts += [SCOPES_OF, wire.varint(size), head, *items, tail]
    if schema_url:
        parts.append(wire.field(SCHEMA_OF, wire.text(schema_url)))
    parts[:2] = [REQUEST, wire.varint(sum(map(len, parts)))]
    return b"".join(parts)


def encode_request(resource: bytes, spans: Spans, schema_url: str = "") -> bytes:
    """An `ExportTraceServiceRequest` with `spans` under `resource`, a `Resource` message."""
    return encode_items(resource, spans.by_scope.items(), schema_url)


def partial_success(answer: bytes) -> Delivered:
    """What an answer says of a request that was taken: how many items were not, and why.

    Traces and metrics number these fields alike. An answer that cannot be read means that
    all was taken, because the status said so.
    """
    try:
        for number, content in wire.fields(answer):
            if number == 1 and isinstance(content, bytes):
                inner = dict(wire.fields(content))
                rejected, message = inner.get(1, 0), inner.get(2, b"")
                if isinstance(rejected, int) and isinstance(message, bytes):
                    return Delivered(rejected, message.decode("utf-8", "replace")[:_LONGEST_MESSAGE])
    except (ValueError, IndexError):
        pass
    return Delivered()


def deliver(sender: HttpSender, body: bytes, count: int, deadline: float | None) -> Outcome:
    """Post a request of `count` items and read what became of it."""
    outcome = sender.send(body, deadline)
    if not isinstance(outcome, Acknowledged):
        return outcome
    delivered = partial_success(outcome.answer)
    return delivered._replace(rejected=max(0, min(delivered.rejected, count)))


class OtlpSpans:
    """Sends batches of spans by OTLP/HTTP, again and again until the receiver has them."""

    retries = True

    def __init__(self, sender: HttpSender, resource: bytes, number: int = 0, schema_url: str = "") -> None:
        """Send under `resource`, a `Resource` message. `number` tells exporters of one type apart."""
        self._sender = sender
        self._resource = resource
        self._schema_url = schema_url
        self._encoded: tuple[Spans | None, bytes] = (None, b"")
        self.component = Component("otlp_http_span_exporter", number, sender.host, sender.port)
        self.address = sender.address

    def export(self, spans: Spans, deadline: float | None = None) -> Outcome:
        """Make one attempt, which ends before `deadline` (of `time.monotonic`)."""
        if self._encoded[0] is not spans:
            # The same batch may be sent many times, and is encoded once.
            self._encoded = (spans, encode_request(self._resource, spans, self._schema_url))
        outcome = deliver(self._sender, self._encoded[1], len(spans), deadline)
        if not isinstance(outcome, Retry):
            self._encoded = (None, b"")
        return outcome

    def close(self) -> None:
        """End the connection."""
        self._sender.close()
