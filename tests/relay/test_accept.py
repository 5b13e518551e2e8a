"""Content negotiation of the page."""

import pytest

from otelc2c.relay.accept import OPENMETRICS, TEXT, TEXT_1, accepts_gzip, chosen_format

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT.content_type),
        ("*/*", TEXT.content_type),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT.content_type),
        ("text/plain", TEXT.content_type),
        ("text/*", TEXT.content_type),
        ("text/plain;version=1.0.0", TEXT_1.content_type),
        ("application/openmetrics-text", OPENMETRICS.content_type),
        ("Application/OpenMetrics-Text ; Version=1.0.0", OPENMETRICS.content_type),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS.content_type),
        ("*/*, application/openmetrics-text", OPENMETRICS.content_type),
        (PROMETHEUS_2, OPENMETRICS.content_type),
        (PROMETHEUS_3, OPENMETRICS.content_type + "; escaping=underscores"),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.3", TEXT.content_type),
        ("application/openmetrics-text;q=0,*/*;q=0.1", TEXT.content_type),
        # What we cannot serve gets the floor of the specification, never an error.
        ("application/openmetrics-text;version=0.0.1", TEXT.content_type),
        ("application/vnd.google.protobuf", TEXT.content_type),
        ("application/openmetrics-text;q=much", TEXT.content_type),
        ("application/openmetrics-text;q=nan", TEXT.content_type),
        (";;;,,=;q", TEXT.content_type),
    ],
)
def test_format(accept: str, content_type: str) -> None:
    assert chosen_format(accept).content_type == content_type


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=x", False),
    ],
)
def test_gzip(accept_encoding: str, expected: bool) -> None:
    assert accepts_gzip(accept_encoding) is expected
