"""The guard: nothing of ours reaches the application, and nothing is swallowed unseen."""

import os
import subprocess
import sys
import threading
from typing import TypeAlias

import pytest

from otelc2c import guard


@pytest.fixture
def lenient() -> None:
    """The guard as it is in production; the suite's own fixture makes it strict again."""
    guard.strict(False)


Stderr: TypeAlias = pytest.CaptureFixture[str]


def _lines(stderr: Stderr) -> list[str]:
    return stderr.readouterr().err.splitlines()


def fail(message: str = "no") -> int:
    raise ValueError(message)


@pytest.mark.usefixtures("lenient")
def test_context_manager_swallows_counts_and_says(capfd: Stderr) -> None:
    with guard.guard("here"):
        fail("the disk is full")
    assert guard.counts() == {"here": 1}
    (line,) = _lines(capfd)
    assert line.startswith("otelc2c: swallowed in here: ValueError: the disk is full (1 in all)")


@pytest.mark.usefixtures("lenient")
def test_decorated_function_returns_none_when_it_raised_and_its_value_otherwise() -> None:
    @guard.guarded("there")
    def half(number: int) -> float:
        """Half of it."""
        return number / 2 if number else fail()

    assert half(4) == 2.0
    assert half(0) is None
    assert guard.counts() == {"there": 1}
    assert (half.__name__, half.__doc__) == ("half", "Half of it.")


def test_strict_guard_raises_and_still_counts() -> None:
    with pytest.raises(ValueError, match=r"^no$") as raised, guard.guard("here"):
        fail()
    assert raised.value.__context__ is None
    with pytest.raises(ValueError, match=r"^no$"):
        guard.guarded("there")(fail)()
    with pytest.raises(ValueError, match=r"^hot$"):
        guard.swallowed("path", ValueError("hot"))
    assert guard.total() == 3


def test_strict_returns_what_was_set_before() -> None:
    assert guard.strict(False) is True
    assert guard.strict(True) is False


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_of_a_program_passes(error: type[BaseException]) -> None:
    with pytest.raises(error), guard.guard("here"):
        raise error
    assert guard.total() == 0


@pytest.mark.usefixtures("lenient")
def test_one_place_is_said_once_a_minute_and_each_place_for_itself(
    capfd: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        guard.swallowed("a", ValueError("x"))
    guard.swallowed("b", ValueError("y"))
    assert [line.split()[3] for line in _lines(capfd)] == ["a:", "b:"]
    monkeypatch.setattr(guard, "SAY_EVERY", 0.0)
    guard.swallowed("a", ValueError("x"))
    (line,) = _lines(capfd)
    assert "(6 in all, 5 since the last line)" in line


@pytest.mark.usefixtures("lenient")
def test_a_message_is_one_short_line_whatever_it_contains(capfd: Stderr) -> None:
    guard.swallowed("a", ValueError("one\ntwo\x1b[31m\udc80" + "é" * 5000))
    (line,) = _lines(capfd)
    assert r"one\ntwo\x1b[31m\udc80" in line
    assert len(line.encode()) < 4096


class _Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.usefixtures("lenient")
def test_an_exception_without_text_is_said_too(capfd: Stderr) -> None:
    guard.swallowed("a", _Silent())
    guard.swallowed("b", KeyError())
    first, second = _lines(capfd)
    assert "_Silent: (its message cannot be made)" in first
    assert "in b: KeyError (1 in all)" in second


_FULL_PIPE = """
r, w = os.pipe()
os.set_blocking(w, False)
try:
    while True:
        os.write(w, bytes(4096))
except BlockingIOError:
    os.set_blocking(w, True)
    os.dup2(w, 2)
"""
_LOST_STDERR = """
import os, sys
from otelc2c import guard
{before}
with guard.guard("here"):
    raise ValueError("x")
assert guard.total() == 1 and guard.say("more") is False
os._exit(0)
"""


@pytest.mark.parametrize(
    "before",
    [
        "os.close(2)",
        "r, w = os.pipe(); os.close(r); os.dup2(w, 2)",
        _FULL_PIPE,
    ],
    ids=["closed", "nobody reads", "full"],
)
def test_lost_standard_error_neither_raises_nor_waits(before: str) -> None:
    code = _LOST_STDERR.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], timeout=20, check=False)
    assert done.returncode == 0


@pytest.mark.usefixtures("lenient")
def test_callback_is_called_after_the_count_and_may_fail() -> None:
    seen = []
    guard.on_swallow(lambda: seen.append(guard.total()))
    guard.swallowed("a", ValueError())
    guard.swallowed("a", ValueError())
    assert seen == [1, 2]
    guard.on_swallow(fail)
    guard.swallowed("a", ValueError())
    assert guard.total() == 3


def test_counts_are_a_copy() -> None:
    guard.counts()["a"] = 7
    assert guard.counts() == {}


@pytest.mark.usefixtures("lenient")
def test_a_forked_child_starts_at_zero() -> None:
    guard.swallowed("a", ValueError())
    child = os.fork()
    if child == 0:
        os._exit(guard.total())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert guard.total() == 1


@pytest.mark.usefixtures("lenient")
def test_threads_lose_no_count() -> None:
    guard.swallowed("a", ValueError())

    def many() -> None:
        for _ in range(2000):
            guard.swallowed("a", ValueError())

    threads = [threading.Thread(target=many) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert guard.total() == 8001
