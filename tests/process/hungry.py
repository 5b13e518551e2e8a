"""An application that takes all the memory there is, or gives some back, if it is asked to."""

import gc
from collections.abc import Callable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer 200 to everything; `/eat` does not end by itself, and `/collect` collects all generations."""
    if environ["PATH_INFO"] == "/collect":
        gc.collect(2)
    if environ["PATH_INFO"] == "/eat":
        kept = []
        while True:
            kept.append(bytearray(1 << 20))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
