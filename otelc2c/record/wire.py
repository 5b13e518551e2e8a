"""OTLP in protobuf's wire format, written and read by hand, with the standard library alone.

A finished span leaves the worker as one OTLP `Span` message. The parts that never change
are encoded once, so that the hot path only joins bytes. Tags are written out as bytes:
`number << 3 | wire type`, as `opentelemetry/proto/trace/v1/trace.proto` numbers them.
The order of fields in a message does not matter to its readers, and is chosen for speed.

What these functions write reads back as what the SDK's encoder
(`opentelemetry-exporter-otlp-proto-common`) writes, with two differences: text with lone
surrogates is kept with the surrogates spelled out, where the SDK loses the attribute or
the batch, and whole numbers beyond 64 bits become their decimal text, as the
specification's mapping to `AnyValue` asks, where the SDK loses the attribute.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

AnyValue: TypeAlias = "str | bool | int | float | bytes | Sequence[AnyValue] | Mapping[str, AnyValue] | None"

SPAN_ITEM: Final = b"\x12"
"""Tag of the field `spans` of a `ScopeSpans`, in which spans leave the worker."""

# Tags of the field that holds attributes, a message each.
SPAN_ATTRIBUTE: Final = b"\x4a"
EVENT_ATTRIBUTE: Final = b"\x1a"
LINK_ATTRIBUTE: Final = b"\x22"
SCOPE_ATTRIBUTE: Final = b"\x1a"
RESOURCE_ATTRIBUTE: Final = b"\x0a"

FLAGS_LOCAL: Final = b"\x85\x01\x00\x01\x00\x00"
FLAGS_REMOTE: Final = b"\x85\x01\x00\x03\x00\x00"
_LINK_LOCAL: Final = b"\x35\x00\x01\x00\x00"
_LINK_REMOTE: Final = b"\x35\x00\x03\x00\x00"

pack_identity = struct.Struct("<2s8sBQBQ").pack
"""`span_identity` without the call: takes ID, the span id, START, the start, END, the end."""
ID: Final = b"\x12\x08"
START: Final = 0x39
END: Final = 0x41
TRACE: Final = b"\x0a\x10"
PARENT: Final = b"\x22\x08"

_TIME = struct.Struct("<BQ").pack
_DOUBLE = struct.Struct("<Bd").pack
_READ_DOUBLE = struct.Struct("<d").unpack
_EIGHT = struct.Struct("<d").pack
_INT64: Final = 1 << 63
_UINT64: Final = (1 << 64) - 1


def _long_varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_VARINTS: Final = tuple(_long_varint(number) for number in range(2048))
_MOST_HEADS: Final = 1024
"""A key remembers its encoded start for values up to this many bytes, and as many whole numbers."""


def varint(number: int) -> bytes:
    """`number`, which is not negative, in groups of seven bits."""
    return _VARINTS[number] if number < 2048 else _long_varint(number)


def text(value: str) -> bytes:
    """UTF-8. Lone surrogates, which protobuf refuses, are spelled out as in a Python literal."""
    return value.encode("utf-8", "backslashreplace")


def field(tag: bytes, payload: bytes) -> bytes:
    """A field of variable length: text, bytes or a message."""
    return tag + varint(len(payload)) + payload


# -- attributes -----------------------------------------------------------------------


USUAL: Final = 2048
ITEM_HEADS: Final = [SPAN_ITEM + varint(size) for size in range(USUAL)]
"""What stands before a span of a usual size, by that size."""


def item(span: bytes) -> bytes:
    """A `Span` message as field `spans` of a `ScopeSpans`."""
    size = len(span)
    return (ITEM_HEADS[size] if size < USUAL else SPAN_ITEM + varint(size)) + span


def any_value(value: object) -> bytes:
    """The content of an `AnyValue`. Anything that has no OTLP type becomes its text."""
    if isinstance(value, str):
        data = value.encode("utf-8", "backslashreplace")
        return b"\x0a" + varint(len(data)) + data
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if -_INT64 <= value < _INT64:
            return b"\x18" + varint(value & _UINT64)
        return field(b"\x0a", b"%d" % value)
    if isinstance(value, float):
        return _DOUBLE(0x21, value)
    if isinstance(value, bytes):
        return field(b"\x3a", value)
    if isinstance(value, Sequence):
        return field(b"\x2a", b"".join([field(b"\x0a", any_value(item)) for item in value]))
    if isinstance(value, Mapping):
        return field(b"\x32", attributes(value, b"\x0a"))
    return field(b"\x0a", text(str(value)))


def attribute(key: str, value: object, tag: bytes = SPAN_ATTRIBUTE) -> bytes:
    """One attribute as a `KeyValue` field with the given tag."""
    content = any_value(value)
    inner = (_key_fields.get(key) or _key_field(key)) + varint(len(content)) + content
    return tag + varint(len(inner)) + inner


_key_fields: Final[dict[str, bytes]] = {}


def _key_field(key: str) -> bytes:
    """The key with the tag of its value; most keys come again and again, so a number of them is kept."""
    encoded = field(b"\x0a", text(key)) + b"\x12"
    if len(_key_fields) < _MOST_HEADS:
        _key_fields[key] = encoded
    return encoded


def has_key(data: bytes, key: str) -> bool:
    """Whether `data`, encoded attributes, may have this key; sometimes true by chance, never false."""
    return (_key_fields.get(key) or _key_field(key)) in data


def attributes(values: Mapping[str, object], tag: bytes = SPAN_ATTRIBUTE) -> bytes:
    """All attributes, a `KeyValue` field each."""
    return b"".join([attribute(str(key), value, tag) for key, value in values.items()])


class Key:
    """A span attribute's key, for values that change from span to span.

    It remembers what stands before the value for each length it has seen, up to a bound,
    so that encoding a value is one look-up and one concatenation.
    """

    __slots__ = ("_double", "_heads", "_integers", "name")

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self._double = b""
        self._heads: dict[int, bytes] = {}
        self._integers: dict[int, bytes] = {}

    def string(self, value: str) -> bytes:
        """The attribute with a text for value, as `attribute` encodes it."""
        data = value.encode("utf-8", "backslashreplace")
        head = self._heads.get(len(data))
        if head is None:
            head = self._head(data)
        return head + data

    def integer(self, value: int) -> bytes:
        """The attribute with a whole number for value, as `attribute` encodes it."""
        found = self._integers.get(value)
        if found is None:
            found = attribute(self.name, int(value))
            if len(self._integers) < _MOST_HEADS:
                self._integers[int(value)] = found
        return found

    def double(self, value: float) -> bytes:
        """The attribute with a fraction for value, as `attribute` encodes it."""
        head = self._double
        if not head:
            head = self._double = attribute(self.name, 0.0)[:-8]
        return head + _EIGHT(value)

    def _head(self, data: bytes) -> bytes:
        whole = field(SPAN_ATTRIBUTE, field(b"\x0a", text(self.name)) + field(b"\x12", field(b"\x0a", data)))
        head = whole[: len(whole) - len(data)]
        if len(data) < _MOST_HEADS:
            self._heads[len(data)] = head
        return head


# -- spans ----------------------------------------------------------------------------


def span_head(trace_id: bytes, parent_id: bytes, remote: bool, state: str) -> bytes:
    """Trace id, parent, flags and trace state: what the spans below one parent have in common.

    `parent_id` is empty for a root, `remote` says that the parent is in another process.
    """
    parts = [b"\x0a\x10", trace_id, FLAGS_REMOTE if remote else FLAGS_LOCAL]
    if parent_id:
        parts += (b"\x22\x08", parent_id)
    if state:
        parts.append(field(b"\x1a", text(state)))
    return b"".join(parts)


def span_identity(span_id: bytes, start_ns: int, end_ns: int) -> bytes:
    """The fields that differ in every span: its id and its times in Unix nanoseconds."""
    return pack_identity(ID, span_id, START, start_ns, END, end_ns)


def span_body(name: str, kind: int, status: int = 0, description: str | None = None) -> bytes:
    """Name, kind and status, by the numbers of OpenTelemetry's API; OTLP counts kinds from one."""
    message = field(b"\x12", text(description)) if description else b""
    if status:
        message += b"\x18" + varint(status)
    return field(b"\x2a", text(name)) + b"\x30" + varint(kind + 1) + field(b"\x7a", message)


def span_dropped(attribute_count: int, event_count: int, link_count: int) -> bytes:
    """How many attributes, events and links the limits cost."""
    return b"".join(
        [
            tag + varint(count)
            for tag, count in ((b"\x50", attribute_count), (b"\x60", event_count), (b"\x70", link_count))
            if count
        ]
    )


def span_event(name: str, time_ns: int, values: Mapping[str, object], dropped: int) -> bytes:
    """One event of a span; the time is in Unix nanoseconds."""
    message = _TIME(0x09, time_ns) + field(b"\x12", text(name)) + attributes(values, EVENT_ATTRIBUTE)
    return field(b"\x5a", message + b"\x20" + varint(dropped) if dropped else message)


def span_link(
    trace_id: bytes, span_id: bytes, remote: bool, values: Mapping[str, object], dropped: int
) -> bytes:
    """One link of a span. Like the SDK's encoder it leaves out the linked trace state."""
    message = (
        field(b"\x0a", trace_id)
        + field(b"\x12", span_id)
        + attributes(values, LINK_ATTRIBUTE)
        + (_LINK_REMOTE if remote else _LINK_LOCAL)
    )
    return field(b"\x6a", message + b"\x28" + varint(dropped) if dropped else message)


# -- scope and resource ---------------------------------------------------------------


def encode_scope(name: str, version: str = "", values: Mapping[str, object] | None = None) -> bytes:
    """An `InstrumentationScope` message. The schema URL belongs to the message around it (field 3)."""
    head = field(b"\x0a", text(name)) + field(b"\x12", text(version))
    return head + attributes(values or {}, SCOPE_ATTRIBUTE)


def encode_resource(values: Mapping[str, object]) -> bytes:
    """A `Resource` message. The schema URL belongs to the message around it (field 3)."""
    return attributes(values, RESOURCE_ATTRIBUTE)


# -- reading --------------------------------------------------------------------------


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Every field of a message as its number and its content, in order.

    Numbers of variable length come as int, all else as the bytes of the field. Raises
    `ValueError` or `IndexError` for bytes that are no protobuf message.
    """
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        kind = tag & 7
        if kind == 0:
            number, position = _read_varint(data, position)
            yield tag >> 3, number
            continue
        if kind == 2:
            size, position = _read_varint(data, position)
        elif kind in {1, 5}:
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")
        if position + size > len(data):
            raise ValueError("a field ends behind its message")
        yield tag >> 3, data[position : position + size]
        position += size


def _bytes(content: int | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    raise ValueError("a number where bytes belong")


def read_value(data: bytes) -> AnyValue:
    """The Python value of an `AnyValue` message; sequences come as tuples."""
    for number, content in fields(data):
        if isinstance(content, int):
            if number == 2:
                return bool(content)
            return content - (1 << 64) if content >= _INT64 else content
        if number == 1:
            return content.decode("utf-8", "replace")
        if number == 4:
            value: float = _READ_DOUBLE(content)[0]
            return value
        if number == 5:
            return tuple(read_value(_bytes(item)) for _, item in fields(content))
        if number == 6:
            return read_attributes(content, b"\x0a")
        return content
    return None


def read_attributes(data: bytes, tag: bytes = SPAN_ATTRIBUTE) -> dict[str, AnyValue]:
    """The attributes among the fields of a message, as `attributes` wrote them; a later one wins."""
    wanted = tag[0] >> 3
    found: dict[str, AnyValue] = {}
    for number, content in fields(data):
        if number == wanted:
            key, value = "", b""
            for part, inner in fields(_bytes(content)):
                if part == 1:
                    key = _bytes(inner).decode("utf-8", "replace")
                elif part == 2:
                    value = _bytes(inner)
            found[key] = read_value(value)
    return found
