"""Response bodies that are produced after the application has returned.

They run in the request's context, chunk by chunk, since a server may iterate or close them in another
thread or context than the one that called the application.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otelc2c.measure.request import Request


class Body:
    """Hands out the chunks of a body as they are, and tells the request of its end."""

    def __init__(self, body: Iterable[bytes], request: "Request") -> None:
        self.body = body
        self.request = request
        self.iterator: Iterator[bytes] | None = None

    def __iter__(self) -> "Body":
        request = self.request
        request.enter()
        try:
            self.iterator = iter(self.body)
        except BaseException as error:
            request.failed(error)
            raise
        finally:
            request.leave()
        return self

    def __next__(self) -> bytes:
        request = self.request
        request.enter()
        try:
            if self.iterator is None:
                self.iterator = iter(self.body)
            chunk = next(self.iterator)
        except StopIteration:
            request.finish()
            raise
        except BaseException as error:
            request.failed(error)
            raise
        finally:
            request.leave()
        request.written = True
        return chunk

    def close(self) -> None:
        """Close the body if it can be closed. One that has not been read to its end was given up."""
        request = self.request
        close = getattr(self.body, "close", None)
        if close is not None:
            request.enter()
            try:
                close()
            except BaseException as error:
                request.failed(error)
                raise
            finally:
                request.leave()
        request.given_up()

    def __del__(self) -> None:
        # For servers that neither read a body to its end nor close it.
        self.request.given_up()


class SizedBody(Body):
    """A body with a length, from which servers make a `Content-Length`."""

    def __len__(self) -> int:
        return len(self.body)  # type: ignore[arg-type]


def follow(body: Any, request: "Request", file_wrapper: Any) -> Any:
    """What the server gets for `body`, so that `request` ends with its last byte.

    A file for the server's own way of sending comes back as it is, told of its end through its
    `close`; where that cannot be watched the request ends here. Never raises.
    """
    if isinstance(file_wrapper, type) and isinstance(body, file_wrapper):
        _watch_close(body, request)
        return body
    return SizedBody(body, request) if hasattr(body, "__len__") else Body(body, request)


def _watch_close(body: Any, request: "Request") -> None:
    close = getattr(body, "close", None)

    def watched() -> None:
        try:
            if close is not None:
                close()
        finally:
            request.finish()

    try:
        body.close = watched
    except AttributeError:
        request.finish()
