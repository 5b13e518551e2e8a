"""Where a signal goes by OTLP: precedence, paths, defaults, and secrets that stay secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelc2c.settings import Settings, without_user

GENERAL = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
METRICS = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"


def test_without_an_endpoint_nothing_is_sent_and_the_default_address_is_known() -> None:
    settings = Settings.from_environ({})
    assert (settings.traces_exporters, settings.metrics_exporters) == ((), ("prometheus",))
    assert settings.otlp_traces.endpoint == "http://localhost:4318/v1/traces"
    assert settings.otlp_metrics.endpoint == "http://localhost:4318/v1/metrics"


@pytest.mark.parametrize(
    ("variable", "traces", "metrics"),
    [
        (GENERAL, ("otlp",), ("prometheus", "otlp")),
        (TRACES, ("otlp",), ("prometheus",)),
        (METRICS, (), ("prometheus", "otlp")),
    ],
)
def test_an_endpoint_turns_the_exporter_of_its_signals_on(
    variable: str, traces: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    settings = Settings.from_environ({variable: "http://collector:4318"})
    assert (settings.traces_exporters, settings.metrics_exporters) == (traces, metrics)


def test_named_exporters_win_over_those_an_endpoint_would_turn_on() -> None:
    environ = {GENERAL: "http://c", "OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"}
    settings = Settings.from_environ(environ)
    assert (settings.traces_exporters, settings.metrics_exporters) == (("console",), ())


@pytest.mark.parametrize(
    ("given_", "traces"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp", "https://c/otlp/v1/traces"),
        ("https://c/otlp/", "https://c/otlp/v1/traces"),
        ("https://c/otlp?key=1", "https://c/otlp/v1/traces?key=1"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
    ],
)
def test_the_path_is_appended_to_the_general_endpoint(given_: str, traces: str) -> None:
    settings = Settings.from_environ({GENERAL: given_})
    assert settings.otlp_traces.endpoint == traces
    assert settings.otlp_metrics.endpoint == traces.replace("/v1/traces", "/v1/metrics")


@pytest.mark.parametrize(
    ("given_", "traces"),
    [
        ("http://c:9/x", "http://c:9/x"),
        ("http://c:9", "http://c:9/"),
        ("http://c/v1/traces", "http://c/v1/traces"),
    ],
)
def test_the_endpoint_of_a_signal_is_used_as_it_is(given_: str, traces: str) -> None:
    settings = Settings.from_environ({GENERAL: "http://general", TRACES: given_})
    assert settings.otlp_traces.endpoint == traces
    assert settings.otlp_metrics.endpoint == "http://general/v1/metrics"


@pytest.mark.parametrize(
    ("environ", "endpoint", "address"),
    [
        ({}, "http://localhost:4317", ("localhost", 4317)),
        ({GENERAL: "https://c:4317"}, "https://c:4317", ("c", 4317)),
        ({TRACES: "c:99"}, "c:99", ("c", 99)),
        ({TRACES: "c"}, "c", ("c", 4317)),
    ],
)
def test_grpc_takes_an_address_without_a_path(
    environ: dict[str, str], endpoint: str, address: tuple[str, int]
) -> None:
    settings = Settings.from_environ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", **environ})
    assert settings.otlp_traces.grpc
    assert settings.otlp_traces.endpoint == endpoint
    assert settings.otlp_traces.address() == address
    assert settings.problems == ()


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [("http://c", ("c", 80)), ("https://c/x", ("c", 443)), ("http://[::1]:9", ("::1", 9))],
)
def test_address_to_connect_to(endpoint: str, address: tuple[str, int]) -> None:
    assert Settings.from_environ({TRACES: endpoint}).otlp_traces.address() == address


@pytest.mark.parametrize(
    "text",
    [
        "not a url",
        "ftp://c",
        "http://",
        "http://:4318",
        "http://c:0",
        "http://c:99999",
        "http://[::1",
        "c:4318",
        "/x",
    ],
)
def test_a_wrong_endpoint_is_named_and_turns_nothing_on(text: str) -> None:
    """Table 2.3 of the faults: stock says nothing at all of an endpoint that is no URL."""
    settings = Settings.from_environ({GENERAL: text})
    assert [problem.variable for problem in settings.problems] == [GENERAL]
    assert settings.traces_exporters == ()
    assert settings.otlp_traces.endpoint == "http://localhost:4318/v1/traces"


@pytest.mark.parametrize("signal", ["TRACES", "METRICS"])
@pytest.mark.parametrize(
    ("option", "field", "text", "value", "general"),
    [
        ("PROTOCOL", "protocol", "grpc", "grpc", "http/protobuf"),
        ("HEADERS", "headers", "A=1,b=x%20y", {"a": "1", "b": "x y"}, "c=3"),
        ("COMPRESSION", "compression", "gzip", "gzip", "none"),
        ("CERTIFICATE", "certificate", "/a.pem", "/a.pem", "/b.pem"),
        ("CLIENT_KEY", "client_key", "/a.pem", "/a.pem", "/b.pem"),
        ("CLIENT_CERTIFICATE", "client_certificate", "/a.pem", "/a.pem", "/b.pem"),
        ("INSECURE", "insecure", "true", True, "false"),
        ("TIMEOUT", "timeout", "2500", 2.5, "9000"),
    ],
)
def test_the_variable_of_the_signal_wins_over_the_general_one(
    signal: str, option: str, field: str, text: str, value: object, general: str
) -> None:
    own, other = ("otlp_traces", "otlp_metrics") if signal == "TRACES" else ("otlp_metrics", "otlp_traces")
    name = f"OTEL_EXPORTER_OTLP_{signal}_{option}"
    settings = Settings.from_environ({name: text, f"OTEL_EXPORTER_OTLP_{option}": general})
    assert settings.value(f"{own}.{field}") == value
    assert settings.value(f"{other}.{field}") != value
    assert settings.sources[f"{own}.{field}"] == name
    assert settings.problems == ()
    alone = Settings.from_environ({f"OTEL_EXPORTER_OTLP_{option}": text})
    assert alone.value(f"{own}.{field}") == alone.value(f"{other}.{field}") == value


@pytest.mark.parametrize(
    ("text", "seconds"), [("10000", 10.0), ("500", 0.5), ("100", 0.1), ("10", 10.0), ("2", 2.0), ("0.5", 0.5)]
)
def test_timeout_in_milliseconds_and_in_the_seconds_of_opentelemetry_python(
    text: str, seconds: float
) -> None:
    assert Settings.from_environ({"OTEL_EXPORTER_OTLP_TIMEOUT": text}).otlp_traces.timeout == seconds


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "no"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=se%0d%0acret"),
    ],
)
def test_wrong_values_are_named_once_although_two_signals_read_them(variable: str, text: str) -> None:
    settings = Settings.from_environ({variable: text})
    assert [problem.variable for problem in settings.problems] == [variable]
    assert settings.otlp_traces.headers == {}
    assert "cret" not in repr(settings.problems)


SECRET = "hunter2hunter2"


@given(
    st.sampled_from([GENERAL, TRACES, METRICS]),
    st.sampled_from(["http://user:{}@c/", "http://{}@c", "https://c/?key={}", "{}:x@c", "user:{}@c:4317", "ht!tp://u:{}@c",
                     "http://u:{}@[", "http://u:{}@c:bad", "http://c/a:{}@b"]),
    st.sampled_from(["a={}", "{}=a", "{}", "a=1,{}", "a=\u2028{}", "a b={}", "=%0a{}"]),
    st.sampled_from(["grpc", "http/protobuf"]),
)  # fmt: skip
def test_no_secret_is_ever_shown(variable: str, endpoint: str, headers: str, protocol: str) -> None:
    settings = Settings.from_environ(
        {
            variable: endpoint.format(SECRET),
            "OTEL_EXPORTER_OTLP_HEADERS": headers.format(SECRET)
            if not headers.startswith("{}=")
            else "a=" + SECRET,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        }
    )
    for shown in (settings.shown(), settings.problems, settings, settings.otlp_traces, settings.otlp_metrics):
        assert SECRET not in repr(shown)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://c:4318/x", "http://c:4318/x"),
        ("http://u:p@c:4318/x", "http://***@c:4318/x"),
        ("http://c/x?key=1#f", "http://c/x?***"),
        ("c:4317", "c:4317"),
        ("u:p@c:4317", "***"),
        ("http://[", "***"),
    ],
)
def test_urls_are_shown_without_user_and_query(url: str, shown: str) -> None:
    assert without_user(url) == shown
