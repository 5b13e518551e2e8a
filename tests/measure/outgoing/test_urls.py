"""What is told of URLs: never user, password or query (T41)."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelc2c.measure.conventions import Conventions
from otelc2c.measure.http import OTHER
from otelc2c.measure.outgoing.urls import MOST_SERVERS, NOWHERE, Place, Urls, parts
from otelc2c.record import wire
from otelc2c.settings import QueryPolicy

NEW, OLD, BOTH = Conventions(False, True), Conventions(True, False), Conventions(True, True)


def attributes(url: str, policy: QueryPolicy | None = None, asked: Conventions = NEW) -> dict[str, Any]:
    """What a span of a call of `url` would have."""
    return dict(wire.read_attributes(Urls(policy or QueryPolicy(), asked).told[url].attributes))


def place(url: str) -> Place:
    return Urls(QueryPolicy(), NEW).places[parts(url)[0]]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://shop.example.com/a/b", ("http", "shop.example.com", 80)),
        ("https://shop.example.com", ("https", "shop.example.com", 443)),
        ("https://Shop.Example.com:8443/", ("https", "shop.example.com", 8443)),
        ("HTTP://user:secret@shop/", ("http", "shop", 80)),
        ("http://user@shop@home:81/", ("http", "home", 81)),
        ("http://[::1]:8000/", ("http", "::1", 8000)),
        ("http://a?x=/y", ("http", "a", 80)),
        ("http+unix://%2Frun%2Fa.sock/info", (OTHER, "%2frun%2fa.sock", None)),
        ("http://user:secret", ("http", None, None)),
        ("http:///a", ("http", None, None)),
        ("mailto:a@b", (OTHER, None, None)),
        ("", (OTHER, None, None)),
    ],
)
def test_a_place_is_scheme_host_and_port(url: str, found: tuple[str, str | None, int | None]) -> None:
    """The port is the scheme's own where none is given."""
    assert place(url)[:3] == found


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://user:secret@shop/a?token=secret#secret", "http://shop/a"),
        ("http://user:se@cret@shop:80/a", "http://shop:80/a"),
        ("https://shop#secret?a=/b", "https://shop"),
        ("https://shop?secret", "https://shop"),
        ("http://[::1]:8000/x/", "http://[::1]:8000/x/"),
        ("http://user:secret/", None),
        ("mailto:secret@shop?secret", None),
        ("data:text/plain,secret", None),
    ],
)
def test_neither_user_nor_query_is_told(url: str, told: str | None) -> None:
    """Nor anything of what is no address."""
    assert attributes(url).get("url.full") == told


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_nothing_behind_the_path_or_before_the_host_is_told(user: str, path: str, query: str) -> None:
    secret = "S3CRET"
    clean = re.sub(r"[/?#@\s]", "", user)
    urls = [f"http://{clean}{secret}:{clean}{secret}@shop/{path}", f"http://shop/{path}?{query}{secret}"]
    if "?" not in path and "#" not in path:
        urls.append(f"http://shop/{path}#{secret}{query}")
    for url in urls:
        assert secret not in str(attributes(url)), url


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (QueryPolicy(), "http://shop/a"),
        (QueryPolicy(names=frozenset({"page"})), "http://shop/a?page=1&token=REDACTED"),
        (QueryPolicy(False, frozenset({"token"})), "http://shop/a?page=1&token=REDACTED"),
        (QueryPolicy(False), "http://shop/a?page=1&token=x"),
    ],
)
def test_a_query_is_told_as_far_as_the_operator_wants_it(policy: QueryPolicy, told: str) -> None:
    """The same variable as for requests that come in."""
    assert attributes("http://shop/a?page=1&token=x#f", policy)["url.full"] == told


@pytest.mark.parametrize(
    ("asked", "keys"), [(NEW, {"url.full"}), (OLD, {"http.url"}), (BOTH, {"url.full", "http.url"})]
)
def test_the_url_has_the_names_that_were_asked_for(asked: Conventions, keys: set[str]) -> None:
    assert attributes("http://shop/", asked=asked) == dict.fromkeys(keys, "http://shop/")


def test_the_number_of_servers_with_numbers_of_their_own_is_bounded() -> None:
    """A crawler makes no series without end (T34); spans still say whom they called."""
    urls = Urls(QueryPolicy(), NEW)
    for at in range(MOST_SERVERS):
        assert urls.places[f"http://host{at}"].host == f"host{at}"
    late = urls.places["http://late:81"]
    assert late[:3] == ("http", OTHER, None)
    assert wire.read_attributes(urls.told["http://late:81/x"].attributes) == {
        "server.address": "late",
        "server.port": 81,
        "url.full": "http://late:81/x",
    }
    urls.places.clear()
    assert urls.places["http://host7"].host == "host7"
    assert len(urls.places) == 1


def test_a_long_url_is_cut_and_not_kept() -> None:
    urls = Urls(QueryPolicy(), NEW)
    told = urls.told["http://" + "a" * 100_000 + "/" + "b" * 100_000]
    assert len(wire.read_attributes(told.attributes)["url.full"]) == 4096
    assert not urls.places
    assert not urls.told


@pytest.mark.parametrize(
    ("sent", "method", "original"),
    [("GET", "GET", None), ("get", "GET", "get"), ("BREW", OTHER, "BREW"), (" brew ", OTHER, " brew ")],
)
def test_methods_are_of_a_closed_set(sent: str, method: str, original: str | None) -> None:
    found, extra = Urls(QueryPolicy(), NEW).methods[sent]
    assert found == method
    assert wire.read_attributes(extra).get("http.request.method_original") == original
    assert Urls(QueryPolicy(), OLD).methods[sent] == (method, b"")


def test_urls_are_excluded_as_by_other_instrumentations() -> None:
    """The patterns are searched in the whole URL, and nowhere beyond its first kilobytes."""
    urls = Urls(QueryPolicy(), NEW, ("client/.*/info", "probe$"))
    assert urls.excludes("https://site/client/123/info?x")
    assert urls.excludes("http://site/probe")
    assert not urls.excludes("http://site/probe?x")
    assert not urls.excludes("http://site/" + "a" * 9000 + "probe")
    assert not urls.excludes(None)
    assert not Urls(QueryPolicy(), NEW).excludes("http://site/probe")


def test_what_is_no_text_is_nowhere() -> None:
    assert place("") == NOWHERE
