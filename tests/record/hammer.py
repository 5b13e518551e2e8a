"""Threads that hammer one counter and one histogram: nothing may be lost.

`python -m tests.record.hammer` under any interpreter, with nothing but the standard library.
Ends with status 1 and says what is missing if the totals are not exact.
"""

import sys
import threading

from otelc2c.record.cells import Store
from otelc2c.record.merging import families_of
from otelc2c.record.points import Distribution, Instrument, Scope

THREADS = 8
ROUNDS = 16_000
BOUNDS = (0.5, 1.5, 2.5)
SCOPE = Scope("hammer")


def hammer() -> list[str]:
    """What does not add up after all threads wrote to the same cells; nothing if all is well."""
    store = Store.open_private()
    whole = store.counter_cell(Instrument(SCOPE, "whole", "counter"), {})
    parts = store.counter_cell(Instrument(SCOPE, "parts", "counter"), {})
    histogram = store.histogram_cell(Instrument(SCOPE, "histogram", "histogram", bounds=BOUNDS), {})
    together = threading.Barrier(THREADS)

    def strike() -> None:
        together.wait()
        for number in range(ROUNDS):
            whole.add(1)
            parts.add(0.5)
            histogram.record(number % 4)
            histogram.exemplar(1.0, number, bytes(16), bytes(8))

    threads = [threading.Thread(target=strike) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _missing(store)


def _missing(store: Store) -> list[str]:
    values = {family.instrument.name: family.points[0].value for family in families_of(store)}
    strokes = THREADS * ROUNDS
    expected = {"whole": strokes, "parts": strokes / 2}
    found = [
        f"{name}: {values[name]} of {value}" for name, value in expected.items() if values[name] != value
    ]
    told = values["histogram"]
    if not isinstance(told, Distribution):
        return [*found, "histogram: no distribution"]
    if list(told.counts) != [strokes // 4] * 4:
        found.append(f"buckets: {list(told.counts)} of {strokes // 4} each")
    if told.sum != strokes * 1.5 or (told.min, told.max) != (0, 3):
        found.append(f"sum, extremes: {told.sum}, {told.min}, {told.max}")
    return found


if __name__ == "__main__":
    # A switch as often as the interpreter can makes a lost update likely wherever one is possible.
    sys.setswitchinterval(1e-6)
    lost = hammer()
    print("\n".join(lost) or "nothing lost")
    sys.exit(bool(lost))
