"""What the tests of spans share: a sink that keeps everything, and readers of what it kept."""

from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from otelc2c.record.points import Scope
from otelc2c.record.wire import fields, read_attributes


class ListSink:
    """A sink that keeps payloads in a list; scopes are numbered from one."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes]] = []
        self.scopes: list[Scope] = []

    def put(self, info: int, payload: bytes) -> bool:
        """Keep one record."""
        self.records.append((info, payload))
        return True

    def scope_id(self, scope: Scope) -> int:
        """The number of a scope."""
        if scope not in self.scopes:
            self.scopes.append(scope)
        return self.scopes.index(scope) + 1

    @property
    def spans(self) -> list[Message]:
        """What was written, decoded with OpenTelemetry's own classes."""
        return [span for _, payload in self.records for span in ScopeSpans.FromString(payload).spans]

    @property
    def names(self) -> list[str]:
        """The names of the spans written, in order."""
        return [span.name for span in self.spans]

    def message(self, number: int = -1) -> bytes:
        """One written span as it was encoded, without what makes it a part of a `ScopeSpans`."""
        contents = [content for _, payload in self.records for _, content in fields(payload)]
        assert isinstance(contents[number], bytes)
        return contents[number]

    def attributes(self, number: int = -1) -> dict[str, object]:
        """The attributes of one written span."""
        return dict(read_attributes(self.message(number)))
