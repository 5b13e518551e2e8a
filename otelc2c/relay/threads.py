"""Threads that may not be had any more."""

import threading
from collections.abc import Callable


def beside(do: Callable[[], object], name: str) -> threading.Thread | None:
    """Have `do` done in a daemon thread, which is returned; where none can be had, it is done here: None.

    Python 3.12 starts no thread once its end has begun, which is just when a relay that is a thread of the
    application is asked to send the rest; and any system may be at the limit of what a user may start.
    """
    thread = threading.Thread(target=do, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        do()
        return None
    return thread
