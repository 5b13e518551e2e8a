"""Outgoing calls by the names of the conventions."""

import pytest

from otelc2c import catalog
from otelc2c.measure.conventions import Conventions
from otelc2c.measure.http import OTHER
from otelc2c.measure.outgoing.names import Names

NEW, OLD, BOTH = Conventions(False, True), Conventions(True, False), Conventions(True, True)
KEY = ("GET", "https", "shop.example.com", 443, 200, "1.1", None)
STABLE = {
    "http.request.method": "GET",
    "server.address": "shop.example.com",
    "server.port": 443,
    "http.response.status_code": 200,
    "network.protocol.version": "1.1",
}
BEFORE = {"http.method": "GET", "http.status_code": 200}
WITH_BOTH = {"http.host": "shop.example.com", "net.peer.port": 443, "http.flavor": "1.1"}


@pytest.mark.parametrize(
    ("asked", "attributes"), [(NEW, STABLE), (OLD, BEFORE), (BOTH, {**STABLE, **BEFORE, **WITH_BOTH})]
)
def test_spans_have_the_names_that_were_asked_for(asked: Conventions, attributes: dict[str, object]) -> None:
    found = Names(asked).describe(KEY)
    assert (found.name, found.error) == ("GET", None)
    assert found.attributes == attributes


def test_the_metric_has_the_stable_names_whatever_was_asked_for() -> None:
    for asked in (NEW, OLD, BOTH):
        values = Names(asked).describe(KEY).values
        named = dict(zip(catalog.HTTP_CLIENT_REQUEST_DURATION.attributes, values, strict=True))
        assert named == {**STABLE, "url.scheme": "https", "error.type": None}


@pytest.mark.parametrize(("status", "kind"), [(399, None), (400, "400"), (404, "404"), (599, "599")])
def test_an_answer_from_400_on_is_an_error_for_who_asked(status: int, kind: str | None) -> None:
    found = Names(NEW).describe((*KEY[:4], status, "1.1", None))
    assert found.values[-1] == found.attributes.get("error.type") == kind
    assert found.error == (None if kind is None else "")


def test_an_exception_goes_before_the_status() -> None:
    """A body that broke off had one."""
    found = Names(NEW).describe((*KEY[:4], 500, "1.1", "ChunkedEncodingError"))
    assert found.attributes["error.type"] == found.values[-1] == "ChunkedEncodingError"
    assert found.attributes["http.response.status_code"] == 500


def test_what_is_beside_the_closed_sets_has_a_name_of_its_own_nowhere() -> None:
    """Neither the method nor one server of too many (T34)."""
    found = Names(BOTH).describe((OTHER, OTHER, OTHER, None, 200, None, None))
    assert found.name == "HTTP"
    assert found.values == (OTHER, OTHER, None, 200, None, OTHER, None)
    assert found.attributes == {
        "http.request.method": OTHER,
        "http.method": OTHER,
        "http.response.status_code": 200,
        "http.status_code": 200,
    }
