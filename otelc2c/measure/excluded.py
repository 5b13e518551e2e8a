"""Requests that are neither traced nor timed: probes, scrapes, and what the operator names."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from otelc2c.guard import swallowed

_MOST_PATHS: Final = 1024
"""Paths are the caller's choice: this many are remembered."""
_LONGEST_KEPT: Final = 256
_LONGEST: Final = 8192
"""Characters that are looked at."""


def url_of(environ: Mapping[str, Any]) -> str:
    """The URL as WebOb and `wsgiref` make it, which is what OpenTelemetry's own patterns are written for."""
    scheme = environ.get("wsgi.url_scheme", "http")
    host = environ.get("HTTP_HOST")
    if not host:
        host = environ.get("SERVER_NAME", "")
        port = environ.get("SERVER_PORT", "")
        if port and port != ("443" if scheme == "https" else "80"):
            host = f"{host}:{port}"
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    query = environ.get("QUERY_STRING")
    url = f"{scheme}://{host}{quote(path, safe='/~!$&()*+,;=:@', encoding='latin-1', errors='replace')}"
    return f"{url}?{query}" if query else url


class Excluded:
    """Two lists of regular expressions: ours search the path, OpenTelemetry's search the URL."""

    __slots__ = ("_paths", "_urls", "clear")

    def __init__(self, paths: tuple[str, ...], urls: tuple[str, ...] = ()) -> None:
        """`paths` is searched in the path alone, so that no query string can hide a request.

        Raises `re.error` for what is no regular expression.
        """
        self._paths = re.compile("|".join(paths)) if paths else None
        self._urls = re.compile("|".join(urls)) if urls else None
        self.clear: Final[dict[str, bool]] = {}
        """Paths of applications without a root of which it is known that they are not left out."""

    def __call__(self, environ: Mapping[str, Any]) -> bool:
        """Whether this request is left out. Never raises."""
        try:
            if self._urls is not None and self._urls.search(url_of(environ)[:_LONGEST]):
                return True
            root, path = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
            if self._paths is not None and self._paths.search((root + path)[:_LONGEST]):
                return True
            if self._urls is None and not root and len(path) < _LONGEST_KEPT:
                if len(self.clear) >= _MOST_PATHS:
                    self.clear.clear()
                self.clear[path] = True
        except Exception as error:
            swallowed("measure.excluded", error)
        return False
