"""Files that are not what they should be never break a reader (F-61, T46)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelc2c.record.cells import Store, memory_of
from otelc2c.record.files import BadFile
from otelc2c.record.layout import CHUNK_BYTES, HEADER_BYTES
from otelc2c.record.points import Instrument, Scope
from otelc2c.record.reading import CellsReader

COUNTER = Instrument(
    Scope("tests", "1", "https://schema", (("a", 1), ("b", ("x", "y")))), "tests.counter", "counter"
)


def sample() -> bytes:
    store = Store.open_private()
    for number in range(20):
        store.counter_cell(COUNTER, {"number": number, "list": ["a", "b"], "flag": True}).add(number)
    return bytes(store.memory[0])


def reader_of(content: bytes) -> CellsReader:
    chunks = [memoryview(content[at : at + CHUNK_BYTES]) for at in range(0, len(content), CHUNK_BYTES)]
    return CellsReader(chunks, lambda: chunks)


def test_what_was_written_is_read() -> None:
    reader = reader_of(sample())
    reader.look()
    assert len(reader.series) == 20
    assert reader.series[3].instrument == COUNTER
    assert reader.series[3].attributes == {"number": 3, "list": ("a", "b"), "flag": True}


@pytest.mark.parametrize("size", [0, 1, 100, HEADER_BYTES, CHUNK_BYTES - 1])
def test_a_file_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "cells"
    path.write_bytes(sample()[:size])
    with pytest.raises(BadFile):
        memory_of(str(path))


@pytest.mark.parametrize("word", [0, 1])
def test_a_foreign_file_or_version_is_refused(word: int) -> None:
    content = bytearray(sample())
    content[word * 8] ^= 0xFF
    with pytest.raises(BadFile):
        reader_of(bytes(content))


@given(st.lists(st.tuples(st.integers(HEADER_BYTES, 4000), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(damage: list[tuple[int, int]]) -> None:
    content = bytearray(sample())
    for at, value in damage:
        content[at] = value
    try:
        reader_of(bytes(content)).look()
    except BadFile:
        pass
