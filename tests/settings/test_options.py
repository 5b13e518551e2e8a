"""Every variable: what it gives, what it does when it is wrong, and what is said then (F-31)."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelc2c.settings import Problem, QueryPolicy, Settings, View, reference, variables

PAIRS_WITHOUT_MEANING = {"PATH": "/bin", "HOME": "/root"}

CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
VALUES: list[tuple[str, str, str, Any]] = [
    ("OTEL_SDK_DISABLED", "TRUE", "disabled", True),
    ("OTEL_SDK_DISABLED", "false", "disabled", False),
    ("OTELC2C_STRICT", "true", "strict", True),
    ("OTEL_CONFIG_FILE", "/etc/otel.yaml", "config_file", "/etc/otel.yaml"),
    ("OTEL_SERVICE_NAME", " shop ", "service_name", "shop"),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=1, b = x%2Cy%20z ,", "resource_attributes", {"a": "1", "b": "x,y z"}),
    ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "os,*", "resource_detectors", ("os", "*")),
    ("OTEL_TRACES_EXPORTER", "otlp, console,otlp", "traces_exporters", ("otlp", "console")),
    ("OTEL_TRACES_EXPORTER", "None", "traces_exporters", ()),
    ("OTEL_METRICS_EXPORTER", "none", "metrics_exporters", ()),
    ("OTELC2C_PROCESS_METRICS", "Worker", "process_metrics", "worker"),
    ("OTEL_METRICS_EXPORTER", "otlp,my_own", "metrics_exporters", ("otlp", "my_own")),
    ("OTEL_TRACES_EXPORTER", "OTLP,Console,Mine", "traces_exporters", ("otlp", "console", "Mine")),
    ("OTEL_TRACES_SAMPLER", "ParentBased_Always_Off", "traces_sampler", "parentbased_always_off"),
    ("OTEL_TRACES_SAMPLER", "My_Sampler", "traces_sampler", "My_Sampler"),
    ("OTEL_TRACES_SAMPLER", "my_sampler", "traces_sampler", "my_sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "0.1", "sampling_ratio", 0.1),
    ("OTEL_PROPAGATORS", "b3,baggage,b3", "propagators", ("b3", "baggage")),
    ("OTEL_PROPAGATORS", "none", "propagators", ()),
    ("OTEL_PYTHON_ID_GENERATOR", "xray", "id_generator", "xray"),
    ("OTELC2C_TRACER_PROVIDER", "SDK", "tracer_provider", "sdk"),
    ("OTEL_BSP_SCHEDULE_DELAY", "250", "bsp_schedule_delay", 0.25),
    ("OTEL_BSP_EXPORT_TIMEOUT", "5000", "bsp_export_timeout", 5.0),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "4096", "bsp_max_queue_size", 4096),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100", "bsp_max_export_batch_size", 100),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0", "span_attribute_count_limit", 0),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9", "span_attribute_count_limit", 9),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9", "event_attribute_count_limit", 9),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9", "link_attribute_count_limit", 9),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "3", "event_attribute_count_limit", 3),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "3", "link_attribute_count_limit", 3),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "50", "span_attribute_value_length_limit", 50),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "50", "attribute_value_length_limit", 50),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7", "span_attribute_value_length_limit", 7),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "5", "span_event_count_limit", 5),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "6", "span_link_count_limit", 6),
    ("OTEL_METRIC_EXPORT_INTERVAL", "1500", "metric_export_interval", 1.5),
    ("OTEL_METRIC_EXPORT_TIMEOUT", "100", "metric_export_timeout", 0.1),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "ALWAYS_OFF", "exemplar_filter", "always_off"),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta", "temporality", "delta"),
    ("OTEL_EXPORTER_PROMETHEUS_HOST", "::", "prometheus_host", "::"),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", "0", "prometheus_port", 0),
    ("C2C_PROMETHEUS_PORT", "9090", "prometheus_port", 9090),
    ("OTELC2C_BUCKETS", "a.b=0.1,0.5; c=1,2,", "buckets", {"a.b": (0.1, 0.5), "c": (1.0, 2.0)}),
    ("OTELC2C_BUCKETS", "a=", "buckets", {"a": ()}),
    ("OTELC2C_GAUGES", "a=max;b=Worker", "gauges", {"a": "max", "b": "worker"}),
    ("OTELC2C_CARDINALITY_LIMIT", "10", "cardinality_limit", 10),
    ("OTELC2C_OBSERVE_INTERVAL", "0.5", "observe_interval", 0.5),
    ("OTELC2C_INSTRUMENTATIONS", "pyramid,redis", "instrumentations", ("pyramid", "redis")),
    ("OTELC2C_INSTRUMENTATIONS", "none", "instrumentations", ()),
    ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "a , b", "disabled_instrumentations", ("a", "b")),
    ("OTELC2C_EXCLUDED_URLS", "none", "excluded_urls", ()),
    ("OTELC2C_EXCLUDED_URLS", "/ping$", "excluded_urls", ("/ping$",)),
    ("OTEL_PYTHON_EXCLUDED_URLS", "a.*b,c", "wsgi_excluded_urls", ("a.*b", "c")),
    ("OTEL_PYTHON_EXCLUDED_URLS", "a.*b,c", "pyramid_excluded_urls", ("a.*b", "c")),
    ("OTEL_PYTHON_WSGI_EXCLUDED_URLS", "w", "wsgi_excluded_urls", ("w",)),
    ("OTEL_PYTHON_PYRAMID_EXCLUDED_URLS", "p", "pyramid_excluded_urls", ("p",)),
    ("OTEL_PYTHON_EXCLUDED_URLS", "a.*b,c", "requests_excluded_urls", ("a.*b", "c")),
    ("OTEL_PYTHON_REQUESTS_EXCLUDED_URLS", "r", "requests_excluded_urls", ("r",)),
    (CAPTURE + "SERVER_REQUEST", "x-.*", "capture_request_headers", ("x-.*",)),
    (CAPTURE + "SERVER_RESPONSE", "etag", "capture_response_headers", ("etag",)),
    (CAPTURE + "CLIENT_REQUEST", "x-.*", "capture_call_headers", ("x-.*",)),
    (CAPTURE + "CLIENT_RESPONSE", "etag", "capture_answer_headers", ("etag",)),
    (CAPTURE + "SANITIZE_FIELDS", "cookie", "sanitize_headers", ("cookie",)),
    ("OTELC2C_RESPONSE_HEADERS", "TraceResponse,x-request-id", "response_headers",
     ("traceresponse", "X-Request-ID")),
    ("OTELC2C_RESPONSE_HEADERS", "none", "response_headers", ()),
    ("OTELC2C_REDACTED_QUERY", "none", "redacted_query", QueryPolicy(False)),
    ("OTELC2C_REDACTED_QUERY", "true", "redacted_query", QueryPolicy(True)),
    ("OTELC2C_REDACTED_QUERY", "except:a, b", "redacted_query", QueryPolicy(True, frozenset("ab"))),
    ("OTELC2C_REDACTED_QUERY", "token", "redacted_query", QueryPolicy(False, frozenset({"token"}))),
    ("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database", "semconv_opt_in", ("http", "database")),
    ("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true", "internal_metrics", True),
    ("OTELC2C_LEAF_SPAN_MIN_DURATION", "5", "shortest_leaf", 0.005),
    ("OTELC2C_LEAF_SPAN_LIMIT", "20", "most_leaves", 20),
    ("OTELC2C_QUERY_TEXT", "off", "query_text", "off"),
    ("OTELC2C_SQL_COMMENTS", "true", "sql_comments", True),
    ("OTELC2C_FOLDER", "/run/x", "folder", "/run/x"),
    ("OTELC2C_POD", "/dev/shm/otelc2c-0-1", "pod", "/dev/shm/otelc2c-0-1"),
    ("OTEL_PYTHON_DISTRO", "otelc2c", "distro", "otelc2c"),
    ("OTEL_PYTHON_CONFIGURATOR", "otelc2c", "configurator", "otelc2c"),
    ("OTELC2C_RELAY", "thread", "relay", "thread"),
    ("OTELC2C_EXIT_TIMEOUT", "0", "exit_timeout", 0.0),
    ("OTEL_LOGS_EXPORTER", "otlp", "logs_exporters", ("otlp",)),
    ("OTEL_LOGS_EXPORTER", "none", "logs_exporters", ()),
    ("OTELC2C_BACKLOG_BYTES", "2 MiB", "backlog_bytes", 2 << 20),
    ("OTELC2C_BACKLOG_BYTES", "1024", "backlog_bytes", 1024),
]  # fmt: skip


@pytest.mark.parametrize(("variable", "text", "field", "value"), VALUES)
def test_a_variable_gives_its_field_the_value(variable: str, text: str, field: str, value: Any) -> None:
    settings = Settings.from_environ({**PAIRS_WITHOUT_MEANING, variable: text})
    assert getattr(settings, field) == value
    assert settings.problems == ()
    assert settings.sources.get(field, variable) == variable


DEFAULTS: dict[str, Any] = {
    "disabled": False,
    "traces_exporters": (),
    "metrics_exporters": ("prometheus",),
    "traces_sampler": "parentbased_always_on",
    "sampling_ratio": 1.0,
    "propagators": ("tracecontext", "baggage"),
    "bsp_schedule_delay": 1.0,
    "bsp_export_timeout": 30.0,
    "bsp_max_queue_size": 2048,
    "bsp_max_export_batch_size": 512,
    "span_attribute_count_limit": 128,
    "event_attribute_count_limit": 128,
    "link_attribute_count_limit": 128,
    "span_attribute_value_length_limit": None,
    "attribute_value_length_limit": None,
    "span_event_count_limit": 128,
    "span_link_count_limit": 128,
    "metric_export_interval": 60.0,
    "metric_export_timeout": 30.0,
    "exemplar_filter": "trace_based",
    "temporality": "cumulative",
    "prometheus_host": "localhost",
    "prometheus_port": 9464,
    "cardinality_limit": 2000,
    "instrumentations": None,
    "response_headers": ("X-Request-ID",),
    "redacted_query": QueryPolicy(),
    "relay": "process",
    "exit_timeout": 2.0,
    "observe_interval": 5.0,
    "backlog_bytes": 64 * 1024 * 1024,
}


@pytest.mark.parametrize("unset", ["absent", "", "  "])
def test_nothing_set_is_quiet_and_has_the_documented_defaults(unset: str) -> None:
    """Empty is unset, as the specification of variables says."""
    settings = Settings.from_environ({} if unset == "absent" else dict.fromkeys(variables(), unset))
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert settings.problems == ()
    assert settings.sources == {}


WRONG: list[tuple[str, str, str, str]] = [
    ("OTEL_SDK_DISABLED", "1", "disabled", "true or false"),
    ("OTELC2C_STRICT", "yes", "strict", "true or false"),
    ("OTEL_BSP_SCHEDULE_DELAY", "soon", "bsp_schedule_delay", "whole number"),
    ("OTEL_BSP_SCHEDULE_DELAY", "-1", "bsp_schedule_delay", "0 or more"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "bsp_max_queue_size", "1 or more"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "1e3", "bsp_max_queue_size", "whole number"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "\uff19", "bsp_max_queue_size", "whole number"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9999", "bsp_max_export_batch_size", "above OTEL_BSP_MAX_QUEUE_SIZE"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "0", "metric_export_interval", "1 or more"),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "some", "exemplar_filter", "one of trace_based"),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sum", "temporality", "one of cumulative"),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "linear",
     "histogram_aggregation", "one of explicit_bucket_histogram"),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", "70000", "prometheus_port", "from 0 to 65535"),
    ("C2C_PROMETHEUS_PORT", "http", "prometheus_port", "whole number"),
    ("OTELC2C_TRACER_PROVIDER", "heavy", "tracer_provider", "one of light, sdk"),
    ("OTELC2C_RELAY", "no", "relay", "one of process, thread, off"),
    ("OTELC2C_CARDINALITY_LIMIT", "0", "cardinality_limit", "from 1 to"),
    ("OTELC2C_OBSERVE_INTERVAL", "nan", "observe_interval", "finite"),
    ("OTELC2C_OBSERVE_INTERVAL", "0", "observe_interval", "from 0.1"),
    ("OTELC2C_EXIT_TIMEOUT", "1e9", "exit_timeout", "from 0 to 300"),
    ("OTELC2C_FOLDER", "here", "folder", "absolute path"),
    ("OTELC2C_BACKLOG_BYTES", "64 apples", "backlog_bytes", "number of bytes"),
    ("OTELC2C_BACKLOG_BYTES", "-5", "backlog_bytes", "number of bytes"),
    ("OTELC2C_BUCKETS", "a=2,1", "buckets", "must grow"),
    ("OTELC2C_BUCKETS", "a=1,inf", "buckets", "finite"),
    ("OTELC2C_BUCKETS", "0.1,0.5", "buckets", "is not instrument=boundaries"),
    ("OTELC2C_GAUGES", "a=mean", "gauges", "one of sum, max, recent, worker"),
    ("OTELC2C_EXCLUDED_URLS", "(", "wsgi_excluded_urls", "not a regular expression"),
    ("OTEL_PYTHON_EXCLUDED_URLS", "(", "wsgi_excluded_urls", "not a regular expression"),
    ("OTELC2C_RESPONSE_HEADERS", "Timing", "response_headers",
     "none of X-Request-ID, traceresponse, Server-Timing"),
    ("OTEL_RESOURCE_ATTRIBUTES", "service", "resource_attributes", "part 1 is not key=value"),
    ("OTEL_RESOURCE_ATTRIBUTES", "=x", "resource_attributes", "part 1 is not key=value"),
]  # fmt: skip


@pytest.mark.parametrize(("variable", "text", "field", "message"), WRONG)
def test_what_is_wrong_is_named_once_and_keeps_its_default(
    variable: str, text: str, field: str, message: str
) -> None:
    settings = Settings.from_environ({variable: text})
    (problem,) = settings.problems
    assert problem.variable == variable
    assert message in problem.message
    default = getattr(Settings(), field)
    wanted = 2048 if field == "bsp_max_export_batch_size" else default
    partly = {"response_headers": (), "excluded_urls": ()}
    assert getattr(settings, field) == partly.get(field, wanted)


def test_all_problems_are_collected() -> None:
    settings = Settings.from_environ({variable: text for variable, text, _, _ in WRONG})
    assert {problem.variable for problem in settings.problems} >= {variable for variable, *_ in WRONG} - {
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
    }


def test_right_parts_of_a_list_stay_when_another_part_is_wrong() -> None:
    settings = Settings.from_environ(
        {
            "OTELC2C_BUCKETS": "a=1,2;b=2,1;c",
            "OTEL_RESOURCE_ATTRIBUTES": "a=1,b,c=3",
            "OTEL_PYTHON_EXCLUDED_URLS": "a,(,b",
            "OTEL_TRACES_EXPORTER": "none,console",
        }
    )
    assert settings.buckets == {"a": (1.0, 2.0)}
    assert settings.resource_attributes == {"a": "1", "c": "3"}
    assert settings.wsgi_excluded_urls == ("a", "b")
    assert settings.traces_exporters == ("console",)
    assert [problem.variable for problem in settings.problems].count("OTELC2C_BUCKETS") == 2
    assert (
        Problem("OTEL_TRACES_EXPORTER", "has `none` beside other names; `none` is ignored")
        in settings.problems
    )


def test_a_wrong_variable_gives_way_to_the_next_in_the_order() -> None:
    settings = Settings.from_environ({"OTEL_EXPORTER_PROMETHEUS_PORT": "x", "C2C_PROMETHEUS_PORT": "9090"})
    assert settings.prometheus_port == 9090
    assert settings.sources["prometheus_port"] == "C2C_PROMETHEUS_PORT"
    assert [problem.variable for problem in settings.problems] == ["OTEL_EXPORTER_PROMETHEUS_PORT"]


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({"C2C_PROMETHEUS_PORT": "9090"}, "0.0.0.0"),
        ({"C2C_PROMETHEUS_PORT": "9090", "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1"}, "127.0.0.1"),
        ({"C2C_PROMETHEUS_PORT": "9090", "OTEL_EXPORTER_PROMETHEUS_PORT": "9091"}, "localhost"),
        ({"OTEL_EXPORTER_PROMETHEUS_PORT": "9091"}, "localhost"),
    ],
)
def test_the_page_is_for_every_host_only_where_the_port_is_c2cwsgiutils_own(
    environ: dict[str, str], host: str
) -> None:
    """EN-53: c2cwsgiutils serves on all interfaces; OpenTelemetry's specification says localhost."""
    assert Settings.from_environ(environ).prometheus_host == host


def test_batches_shrink_silently_with_a_small_queue() -> None:
    settings = Settings.from_environ({"OTEL_BSP_MAX_QUEUE_SIZE": "10"})
    assert settings.bsp_max_export_batch_size == 10
    assert settings.problems == ()


@pytest.mark.parametrize(
    ("argument", "ratio", "said"),
    [
        ("0", 0.0, 0),
        ("1", 1.0, 0),
        ("0.25", 0.25, 0),
        ("1.5", 1.0, 1),
        ("nan", 1.0, 1),
        ("-0.1", 1.0, 1),
        ("x", 1.0, 1),
    ],
)
def test_ratio_of_a_sampler(argument: str, ratio: float, said: int) -> None:
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": argument}
    settings = Settings.from_environ(environ)
    assert settings.sampling_ratio == ratio
    assert [problem.variable for problem in settings.problems] == ["OTEL_TRACES_SAMPLER_ARG"] * said


def test_the_argument_of_a_foreign_sampler_is_left_to_it() -> None:
    environ = {"OTEL_TRACES_SAMPLER": "jaeger", "OTEL_TRACES_SAMPLER_ARG": "endpoint=http://x"}
    settings = Settings.from_environ(environ)
    assert settings.traces_sampler_arg == "endpoint=http://x"
    assert settings.problems == ()


def test_an_unknown_variable_of_ours_is_named_with_the_likely_one() -> None:
    settings = Settings.from_environ(
        {"OTELC2C_BUKETS": "a=1", "OTELC2C_QQQ": "x", "OTELC2C_EMPTY": "", "OTHER": "y"}
    )
    assert settings.problems == (
        Problem("OTELC2C_BUKETS", "is not a variable of otelc2c; is it OTELC2C_BUCKETS?"),
        Problem("OTELC2C_QQQ", "is not a variable of otelc2c"),
    )


@pytest.mark.parametrize(
    ("text", "views"),
    [
        ("http.client.*:drop", [View("http.client.*", drop=True)]),
        ("a:name=b", [View("a", name="b")]),
        ("a:keys=x|y,buckets=0.1|1", [View("a", keys=("x", "y"), buckets=(0.1, 1.0))]),
        ("a:keys=", [View("a", keys=())]),
        ("a : exclude = x ; ?b:drop", [View("a", exclude=("x",)), View("?b", drop=True)]),
        ("a:buckets=", [View("a", buckets=())]),
    ],
)
def test_views_by_variable(text: str, views: list[View]) -> None:
    settings = Settings.from_environ({"OTELC2C_VIEWS": text})
    assert list(settings.views) == views
    assert settings.problems == ()
    assert Settings.from_environ({"OTELC2C_VIEWS": ";".join(map(str, views))}).views == settings.views


@pytest.mark.parametrize(
    "text", ["a", ":drop", "a:", "a:fly", "a:drop=1", "a:name=", "a*:name=b", "a:buckets=2|1"]
)
def test_a_wrong_view_is_left_out_and_named(text: str) -> None:
    settings = Settings.from_environ({"OTELC2C_VIEWS": f"{text};good:drop"})
    assert settings.views == (View("good", drop=True),)
    (problem,) = settings.problems
    assert repr(text) in problem.message


@pytest.mark.parametrize(
    ("policy", "redacted", "shown"),
    [
        ("all", {"token", "page"}, set()),
        ("none", set(), {"token", "page"}),
        ("except:page", {"token"}, {"page"}),
        ("token", {"token"}, {"page"}),
    ],
)
def test_query_policy(policy: str, redacted: set[str], shown: set[str]) -> None:
    found = Settings.from_environ({"OTELC2C_REDACTED_QUERY": policy}).redacted_query
    assert {name for name in redacted | shown if found.redacts(name)} == redacted
    assert str(found) == policy


@pytest.mark.parametrize(
    ("path", "excluded"),
    [
        ("/health_check", True),
        ("/c2c/health_check?max_level=1", True),
        ("/healthz", True),
        ("/livez", True),
        ("/readyz/", True),
        ("/metrics", True),
        ("/__heartbeat__", True),
        ("/__lbheartbeat__", True),
        ("/__version__", True),
        ("/", False),
        ("/metrics/of/mine", False),
        ("/my_health_check", False),
        ("/search?q=/metrics-of", False),
    ],
)
def test_probes_are_excluded_by_default_and_nothing_like_them(path: str, excluded: bool) -> None:
    patterns = Settings.from_environ({}).excluded_urls
    assert any(re.search(pattern, path) for pattern in patterns) is excluded


def test_every_variable_has_a_test_of_its_value() -> None:
    tested = {variable for variable, *_ in VALUES} | {"OTELC2C_VIEWS"} | {variable for variable, *_ in WRONG}
    assert {name for name in variables() if "_OTLP_" not in name} - tested == set()


def test_reference_has_each_variable_with_a_sentence() -> None:
    rows = reference()
    assert {name for row in rows for name in row.variables} == variables()
    assert all(row.says.endswith(".") and row.takes for row in rows)
    by_first = {row.variables[0]: row for row in rows}
    assert by_first["OTELC2C_CARDINALITY_LIMIT"].default == "2000"
    assert by_first["OTEL_EXPORTER_OTLP_TRACES_HEADERS"].secret is True


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=40)
_LIKELY = st.text("abc=;,:|.*?%0123456789-+enif() \tKMG/@[]http", max_size=40)


@given(st.dictionaries(st.sampled_from(sorted(variables())), _TEXT | _LIKELY, max_size=8))
def test_reading_never_raises_and_names_what_is_wrong(environ: dict[str, str]) -> None:
    settings = Settings.from_environ(environ)
    assert {problem.variable for problem in settings.problems} <= set(environ)
    assert set(settings.sources.values()) <= set(environ)
    assert all(problem.message.isprintable() for problem in settings.problems)
    repr(settings)
    settings.shown()


@given(st.sampled_from(sorted(variables())), _TEXT | _LIKELY)
def test_what_a_variable_is_taken_for_is_said_or_used(variable: str, text: str) -> None:
    """A text that is neither empty nor understood is never silently dropped."""
    settings = Settings.from_environ({variable: text})
    if text.strip():
        assert settings.problems or variable in settings.sources.values()
