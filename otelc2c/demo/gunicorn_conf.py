"""gunicorn's settings for the demonstration; names that an older gunicorn does not know are ignored."""

from typing import Any

worker_class = "gthread"
workers = 3
threads = 2
control_socket_disable = True
"""Its default place is one for all gunicorns of a user."""

READY = "tea-room: a worker is ready"
"""What each worker prints when it has loaded the application."""


def post_worker_init(worker: Any) -> None:
    """Say it: requests may be sent when all workers have."""
    print(READY, flush=True)
