"""A process that records on command, for tests of the relay: `python -m tests.relay.recording`.

It reads lines: `span NAME`, `count N`, `fork` (a child that counts 1 and is killed), `end`.
After each it answers with a line; the first one says where the folder is.
"""

import os
import signal
import sys

from otelc2c.boot.life import Life
from otelc2c.record.pipeline import RingSink
from otelc2c.record.points import Instrument, Scope
from otelc2c.record.provider import TracerProvider
from otelc2c.settings import Settings

COUNTER = Instrument(Scope("recording"), "recorded", "counter")


def main() -> None:
    """Record until `end` or the end of input."""
    life = Life(Settings.from_environ(os.environ), os.environ, records_spans=True)
    life.begin({"service.name": "recording"})
    recorder = life.recorder
    tracer = TracerProvider(RingSink(recorder.ring.put, recorder.store.scope_id)).get_tracer("recording")
    cell = recorder.store.counter_cell(COUNTER, {})
    print(life.folder.path if life.folder else "", flush=True)
    for line in sys.stdin:
        word, _, argument = line.strip().partition(" ")
        if word == "span":
            tracer.start_span(argument).end()
        elif word == "count":
            cell.add(int(argument))
        elif word == "fork":
            child = os.fork()
            if not child:
                tracer.start_span("of a child").end()
                cell.add(1)
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(child, 0)
        elif word == "end":
            break
        print("done", flush=True)


if __name__ == "__main__":
    main()
