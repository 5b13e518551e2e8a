"""What a server answers to what an application lets pass, while nothing has been sent.

Seen with gunicorn 23 and 27, waitress 3 and wsgiref. Of a server that is not known no more is taken for
true than what all of these do.
"""

from collections.abc import Mapping
from typing import Any, Final

from otelc2c.guard import guarded

_GREENLETS: Final = ("gevent.", "eventlet.")
_WSGIREF: Final = "WSGIServer/"
_GONE: Final = (BrokenPipeError, ConnectionAbortedError, ConnectionResetError)
"""What wsgiref takes for a client that went away, wherever it comes from."""


@guarded("measure.answers")
def answered(error: BaseException, environ: Mapping[str, Any]) -> str | None:
    """The status that the server of `environ` sends for `error`; None where it sends nothing.

    Never raises.
    """
    connection = environ.get("gunicorn.socket")
    if connection is not None:
        if str(environ.get("SERVER_PROTOCOL")).startswith("HTTP/2"):
            return "500" if isinstance(error, Exception) else None
        if isinstance(error, Exception):
            return _by_gunicorn(error)
        return "500" if _catches_all(error, type(connection).__module__, environ) else None
    if str(environ.get("SERVER_SOFTWARE")).startswith(_WSGIREF):
        return None if isinstance(error, _GONE) else "500"
    # What is no `Exception` ends a thread of waitress, and the client waits for its answer.
    return "500" if isinstance(error, Exception) else None


def _by_gunicorn(error: Exception) -> str | None:
    """Every OSError is one of the client's connection to gunicorn, also that of a file or a database."""
    if isinstance(error, OSError):
        import ssl  # gunicorn has it; nothing else here needs it

        refused = isinstance(error, ssl.SSLError) and error.args[:1] != (ssl.SSL_ERROR_EOF,)
        return "403" if refused else None
    if isinstance(error, StopIteration):
        return None
    # Its own errors, as of a chunk that cannot be read, have statuses that depend on its version.
    return None if type(error).__module__ == "gunicorn.http.errors" else "500"


def _catches_all(error: BaseException, connection: str, environ: Mapping[str, Any]) -> bool:
    """Whether gunicorn's worker answers also what is no `Exception`, such as the end by a timeout."""
    if connection.startswith(_GREENLETS):
        return not isinstance(error, SystemExit) and type(error).__name__ != "GreenletExit"
    # Threads leave it to their pool, which answers nothing.
    return not environ.get("wsgi.multithread")
