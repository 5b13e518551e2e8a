"""OpenTelemetry's names in Prometheus' words, checked against the exporter's own mapping."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import _mapping

from otelc2c.record.points import Instrument, Kind, Scope
from otelc2c.relay import names

SCOPE = Scope("library", "1.2", "https://example.org/1", (("part", "a"), ("version", "9")))


def called(name: str, kind: Kind = "counter", unit: str = "") -> names.Name:
    """The family's name of an instrument."""
    return names.family_name(Instrument(SCOPE, name, kind, unit))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_names_labels_and_units_are_the_exporters(text: str) -> None:
    """Any text at all, also what no instrument may be called."""
    assert names.metric_name(text) == _mapping.sanitize_full_name(text)
    assert names.label_name(text) == _mapping.sanitize_attribute(text)
    assert names.unit_word(text) == _mapping.map_unit(text)


@settings(max_examples=100, deadline=None)
@given(st.text("{}/ s1%mByKi_.h", max_size=10))
def test_units_are_the_exporters(unit: str) -> None:
    """Texts that look like units."""
    assert names.unit_word(unit) == _mapping.map_unit(unit)


@pytest.mark.parametrize(
    ("name", "kind", "unit", "family", "plain"),
    [
        (
            "http.server.request.duration",
            "histogram",
            "s",
            "http_server_request_duration_seconds",
            "http_server_request_duration_seconds",
        ),
        ("http.server.active_requests", "up_down_counter", "{request}", *["http_server_active_requests"] * 2),
        ("requests", "counter", "{request}", "requests", "requests_total"),
        ("requests_total", "counter", "", "requests", "requests_total"),
        ("cpu.time", "observable_counter", "s", "cpu_time_seconds", "cpu_time_seconds_total"),
        ("cpu_seconds", "counter", "s", "cpu_seconds", "cpu_seconds_total"),
        ("io", "gauge", "By/s", *["io_bytes_per_second"] * 2),
        ("cpu.utilization", "gauge", "1", *["cpu_utilization"] * 2),
        ("load", "observable_gauge", "%", *["load_percent"] * 2),
    ],
)
def test_families(name: str, kind: Kind, unit: str, family: str, plain: str) -> None:
    """The unit's word, then `_total` for what only grows; neither is said twice."""
    found = called(name, kind, unit)
    assert (found.family, found.plain) == (family, plain)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("counter", "counter"),
        ("observable_counter", "counter"),
        ("up_down_counter", "gauge"),
        ("observable_up_down_counter", "gauge"),
        ("gauge", "gauge"),
        ("observable_gauge", "gauge"),
        ("histogram", "histogram"),
    ],
)
def test_types(kind: Kind, expected: str) -> None:
    """Compatibility specification: a sum that may fall is a gauge."""
    assert called("x", kind).type == expected


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="thermometer"):
        called("x", "thermometer")  # type: ignore[arg-type]


def test_a_counter_claims_its_names_in_both_formats() -> None:
    assert called("x").claims() == {"x", "x_total", "x_created"}


def test_scope_labels() -> None:
    """The scope's own name, version and schema win over attributes of these names."""
    assert names.scope_labels(SCOPE) == {
        "otel_scope_name": "library",
        "otel_scope_version": "1.2",
        "otel_scope_schema_url": "https://example.org/1",
        "otel_scope_part": "a",
    }


def test_a_key_without_any_letter_is_an_underscore_and_an_empty_one_nothing() -> None:
    assert names.labels([("é", "1"), ("", "2")]) == {"_": "1"}
