"""Records through the ring: in order, once, whole; full rings count, holes are jumped."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelc2c.record import ring_reader as rings
from otelc2c.record.files import BadFile
from otelc2c.record.layout import (
    COMMIT_SHIFT,
    HEADER_BYTES,
    HEADER_WORDS,
    MAX_RECORD_WORDS,
    R_HEAD,
    RECORD_SPAN,
)
from otelc2c.record.ring import RingWriter
from otelc2c.record.ring_reader import RingReader, Taken, kind_of, scope_of

OTHER_KIND = 2
"""A record that is no span: the layout has room for others."""


def pair(words: int = 1024) -> tuple[RingWriter, RingReader]:
    memory = memoryview(bytearray(HEADER_BYTES + words * 8))
    writer = RingWriter()
    writer.use(memory, words)
    return writer, RingReader(memory)


def payloads_of(taken: Taken) -> list[bytes]:
    """All payloads, of whatever kind; in order where there is one kind and scope."""
    return [payload for group in taken.groups.values() for payload in group]


def taken(reader: RingReader, limit: int = 10**6) -> list[bytes]:
    reader.look()
    payloads = payloads_of(reader.take(limit))
    reader.sent()
    reader.ack()
    return payloads


@given(st.lists(st.tuples(st.binary(max_size=600), st.booleans()), max_size=200))
def test_records_arrive_once_in_order_over_many_laps(steps: list[tuple[bytes, bool]]) -> None:
    writer, reader = pair()
    written, read = [], []
    for payload, look in steps:
        if writer.write(RECORD_SPAN, 3, payload):
            written.append(payload)
        if look:
            read += taken(reader)
    read += taken(reader)
    assert read == written
    assert len(written) + reader.dropped_full == len(steps)


def test_a_record_says_its_kind_and_scope() -> None:
    writer, reader = pair()
    writer.write(OTHER_KIND, 7_000, b"line")
    reader.look()
    ((tag, payloads),) = reader.take(10).groups.items()
    assert (kind_of(tag), scope_of(tag), payloads) == (OTHER_KIND, 7_000, [b"line"])


def test_a_full_ring_drops_the_new_record_and_counts_it() -> None:
    """D4: full means dropped and counted, never waiting."""
    writer, reader = pair(64)
    results = [writer.write(RECORD_SPAN, 1, bytes([number]) * 48) for number in range(20)]
    assert results == [True] * 8 + [False] * 12
    assert reader.dropped_full == 12
    assert taken(reader) == [bytes([number]) * 48 for number in range(8)]
    assert writer.write(RECORD_SPAN, 1, b"again")
    assert taken(reader) == [b"again"]


def test_a_record_larger_than_a_quarter_of_the_ring_is_dropped_and_counted() -> None:
    writer, reader = pair(64)
    assert not writer.write(RECORD_SPAN, 1, bytes(200))
    assert reader.dropped_large == 1


def test_a_ring_without_memory_drops_everything() -> None:
    assert not RingWriter().write(RECORD_SPAN, 1, b"x")


def test_nothing_is_lost_by_a_reader_that_did_not_acknowledge() -> None:
    """relay 1: not acknowledged is sent again, and how much may be doubled is known."""
    writer, reader = pair()
    for number in range(5):
        writer.write(RECORD_SPAN, 1, bytes([number]))
    reader.look()
    reader.take(2)
    reader.sent()
    successor = RingReader(reader.mem)
    successor.look()
    again, first = successor.take(9), successor.take(9)
    assert (payloads_of(again), again.doubled) == ([b"\0", b"\1"], True)
    assert (payloads_of(first), first.doubled) == ([b"\2", b"\3", b"\4"], False)
    successor.ack()
    assert successor.empty


def test_what_was_read_can_be_read_again_until_it_is_acknowledged() -> None:
    writer, reader = pair()
    writer.write(RECORD_SPAN, 1, b"a")
    reader.look()
    first = reader.take(9)
    reader.rewind()
    assert reader.take(9) == first
    assert payloads_of(first) == [b"a"]


def reserve_without_commit(writer: RingWriter, words: int) -> None:
    writer.position += words
    writer.q[R_HEAD] = writer.position


def test_a_hole_of_a_dead_writer_is_jumped_and_counted() -> None:
    """relay 1: a writer killed between reserving and committing."""
    writer, reader = pair()
    writer.write(RECORD_SPAN, 1, b"before")
    reserve_without_commit(writer, 7)
    writer.write(RECORD_SPAN, 1, b"after")
    assert taken(reader) == [b"before"]
    reader.look(final=True)
    assert payloads_of(reader.take(9)) == [b"after"]
    assert reader.holes == 1


def test_a_hole_of_a_living_writer_is_waited_for_and_then_jumped(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = pair(64)
    reserve_without_commit(writer, 3)
    writer.write(RECORD_SPAN, 1, b"after")
    assert taken(reader) == []
    assert reader.holes == 0
    assert reader.pending_words == 6
    monkeypatch.setattr(rings, "PATIENCE", 0.0)
    assert taken(reader) == [b"after"]
    assert reader.holes == 1


def test_a_hole_is_not_taken_for_a_record_of_an_earlier_lap() -> None:
    writer, reader = pair(64)
    for _ in range(3):
        while writer.write(RECORD_SPAN, 1, b"x" * 40):
            pass
        taken(reader)
    reserve_without_commit(writer, 7)
    reader.look(final=True)
    assert reader.take(99).number == 0


def test_an_exception_out_of_a_signal_handler_leaves_no_hole() -> None:
    writer, reader = pair()

    class Interrupted(BaseException):
        pass

    class Memory:
        """Memory whose first copy is interrupted, as by a signal handler that raises."""

        def __init__(self, real: memoryview) -> None:
            self.real = real

        def __setitem__(self, key: slice, value: bytes) -> None:
            writer.mem = self.real
            raise Interrupted

    writer.mem = Memory(writer.mem)  # type: ignore[assignment]
    with pytest.raises(Interrupted):
        writer.write(RECORD_SPAN, 1, b"lost")
    writer.write(RECORD_SPAN, 1, b"kept")
    assert taken(reader) == [b"kept"]


def test_stores_seen_out_of_order_are_taken_one_look_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """D4: a record is taken only when a later look shows it complete."""
    monkeypatch.setattr(rings, "STORES_KEEP_ORDER", False)
    writer, reader = pair()
    writer.write(RECORD_SPAN, 1, b"a")
    reader.look()
    assert reader.take(9).number == 0
    reader.look()
    assert payloads_of(reader.take(9)) == [b"a"]


@pytest.mark.parametrize("content", [b"", b"x" * 100, bytes(HEADER_BYTES), os.urandom(4096)])
def test_a_file_that_is_no_ring_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ring"
    path.write_bytes(content)
    with pytest.raises(BadFile):
        RingReader.open(str(path))


@given(
    st.lists(
        st.tuples(st.integers(HEADER_BYTES, HEADER_BYTES + 64 * 8 - 1), st.integers(0, 255)), max_size=30
    )
)
def test_a_damaged_ring_is_read_without_an_exception(damage: list[tuple[int, int]]) -> None:
    writer, reader = pair(64)
    for number in range(6):
        writer.write(RECORD_SPAN, 1, bytes([number]) * 20)
    for at, value in damage:
        reader.mem[at] = value
    reader.look(final=True)
    for payload in payloads_of(reader.take(100)):
        assert len(payload) < 64 * 8


def test_the_largest_record_fits_its_commit_word() -> None:
    writer, reader = pair(512 * 1024)
    payload = b"y" * ((MAX_RECORD_WORDS - 2) * 8)
    assert writer.write(RECORD_SPAN, 1, payload)
    assert not writer.write(RECORD_SPAN, 1, payload + b"y")
    assert taken(reader) == [payload]


def test_the_commit_word_names_its_position() -> None:
    writer, reader = pair(64)
    for _ in range(20):
        writer.write(RECORD_SPAN, 1, b"x" * 24)
        taken(reader)
    position = writer.position
    writer.write(RECORD_SPAN, 1, b"x" * 24)
    start = position if position % 64 + 5 <= 64 else (position // 64 + 1) * 64
    assert writer.q[HEADER_WORDS + start % 64] >> COMMIT_SHIFT == start


def test_a_take_ends_with_the_room_it_was_given() -> None:
    writer, reader = pair(1024)
    for _ in range(20):
        writer.write(RECORD_SPAN, 1, b"x" * 240)
    reader.look()
    parts = []
    while (part := reader.take(100, room=1024)).number:
        parts.append(part.number)
    assert sum(parts) == 20
    assert max(parts) <= 5


def test_records_are_grouped_by_kind_and_scope() -> None:
    writer, reader = pair()
    for number in range(6):
        writer.write(RECORD_SPAN, 1 + number % 2, bytes([number]))
    reader.look()
    groups = reader.take(9).groups
    assert {scope_of(tag): payloads for tag, payloads in groups.items()} == {
        1: [b"\0", b"\2", b"\4"],
        2: [b"\1", b"\3", b"\5"],
    }
