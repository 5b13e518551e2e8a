"""Which requests are left out."""

from typing import Any

import pytest
from opentelemetry.util.http import ExcludeList
from webob import Request

from otelc2c.measure.excluded import Excluded, url_of
from otelc2c.settings import Settings
from tests.measure.corpus import make_environ

DEFAULT = Settings.from_environ({})


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("/health", True),
        ("/api/health_check", True),
        ("/healthz/", True),
        ("/metrics", True),
        ("/__heartbeat__", True),
        ("/__lbheartbeat__", True),
        ("/livez", True),
        ("/healthy", False),
        ("/metrics/1", False),
        ("/", False),
        ("", False),
    ],
)
def test_probes_and_scrapes_are_left_out_by_default(path: str, left_out: bool) -> None:
    """Below any prefix, and asked twice."""
    excluded = Excluded(DEFAULT.excluded_urls)
    for _ in range(2):
        assert excluded(make_environ({"PATH_INFO": path})) is left_out


def test_a_query_or_a_host_hides_no_request() -> None:
    """Nobody leaves traces out by what they send along."""
    excluded = Excluded(DEFAULT.excluded_urls)
    for changes in ({"QUERY_STRING": "next=/healthz"}, {"HTTP_HOST": "metrics"}):
        assert not excluded(make_environ(changes))


URLS = [
    {},
    {"PATH_INFO": "/client/7/info", "QUERY_STRING": "a=b"},
    {"PATH_INFO": "/caf\xc3\xa9 x", "SCRIPT_NAME": "/root"},
    {"HTTP_HOST": "h:81"},
    {"HTTP_HOST": None, "SERVER_NAME": "s", "SERVER_PORT": "80"},
    {"HTTP_HOST": None, "SERVER_NAME": "s", "SERVER_PORT": "8080"},
    {"HTTP_HOST": None, "SERVER_NAME": "s", "SERVER_PORT": "443", "wsgi.url_scheme": "https"},
]


@pytest.mark.parametrize("changes", URLS)
def test_opentelemetrys_patterns_search_the_url_that_it_searches(changes: dict[str, Any]) -> None:
    """The URL is WebOb's, which contrib's Pyramid instrumentation looks at."""
    environ = make_environ(changes)
    url = Request(environ).url
    assert url_of(environ) == url
    for pattern in ("client/.*/info", "^http://h", ":8080/", "a=b$", "caf%C3%A9", "^https://s/", "nothing"):
        expected = ExcludeList([pattern]).url_disabled(url)
        assert Excluded((), (pattern,))(environ) is expected


def test_what_is_known_is_bounded() -> None:
    """F-70: paths are the caller's choice."""
    excluded = Excluded(DEFAULT.excluded_urls)
    for number in range(3000):
        excluded(make_environ({"PATH_INFO": f"/{number}"}))
    excluded(make_environ({"PATH_INFO": "/" + "x" * 5000}))
    assert len(excluded.clear) <= 1024
    assert max(map(len, excluded.clear)) < 256


def test_without_patterns_nothing_is_left_out() -> None:
    """`OTELC2C_EXCLUDED_URLS=none`."""
    settings = Settings.from_environ({"OTELC2C_EXCLUDED_URLS": "none"})
    assert not Excluded(settings.excluded_urls)(make_environ({"PATH_INFO": "/healthz"}))
