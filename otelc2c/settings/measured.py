"""What is measured of an application, and what is left out or masked."""

from dataclasses import dataclass
from typing import Final

from otelc2c.settings import parsers
from otelc2c.settings.option import option
from otelc2c.settings.values import QueryPolicy

PROBES: Final = (
    r"/(health_?check|healthz?|livez|readyz|startupz|metrics|__heartbeat__|__lbheartbeat__|__version__)/?(\?|$)",
)
"""Paths that probes and scrapers ask, below any prefix."""


@dataclass(frozen=True, repr=False)
class MeasureOptions:
    """Instrumentations and requests."""

    instrumentations: tuple[str, ...] | None = option(
        "OTELC2C_INSTRUMENTATIONS",
        syntax=parsers.names(none=True),
        default=None,
        says="Only these instrumentations are loaded, by entry point.",
        unset="all that are installed",
    )
    """`None`: all; empty: none."""
    disabled_instrumentations: tuple[str, ...] = option(
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
        syntax=parsers.names(),
        default=(),
        says="These instrumentations are not loaded; `*` is all.",
    )
    excluded_urls: tuple[str, ...] = option(
        "OTELC2C_EXCLUDED_URLS",
        syntax=parsers.PATTERNS,
        default=PROBES,
        says="Requests that are neither traced nor timed, besides those of the next variables.",
        unset="health, metrics and version paths",
    )
    wsgi_excluded_urls: tuple[str, ...] = option(
        "OTEL_PYTHON_WSGI_EXCLUDED_URLS",
        "OTEL_PYTHON_EXCLUDED_URLS",
        syntax=parsers.PATTERNS,
        default=(),
        says="Requests of any WSGI application that are neither traced nor timed.",
    )
    pyramid_excluded_urls: tuple[str, ...] = option(
        "OTEL_PYTHON_PYRAMID_EXCLUDED_URLS",
        "OTEL_PYTHON_EXCLUDED_URLS",
        syntax=parsers.PATTERNS,
        default=(),
        says="Requests of a Pyramid application that are neither traced nor timed.",
    )
    requests_excluded_urls: tuple[str, ...] = option(
        "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS",
        "OTEL_PYTHON_EXCLUDED_URLS",
        syntax=parsers.PATTERNS,
        default=(),
        says="Outgoing calls of requests that are neither measured nor given a trace context.",
    )
    capture_request_headers: tuple[str, ...] = option(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
        syntax=parsers.PATTERNS,
        default=(),
        says="Request headers that become attributes of the server span.",
    )
    capture_response_headers: tuple[str, ...] = option(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE",
        syntax=parsers.PATTERNS,
        default=(),
        says="Response headers that become attributes of the server span.",
    )
    capture_call_headers: tuple[str, ...] = option(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST",
        syntax=parsers.PATTERNS,
        default=(),
        says="Headers of outgoing calls that become attributes of their spans.",
    )
    capture_answer_headers: tuple[str, ...] = option(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE",
        syntax=parsers.PATTERNS,
        default=(),
        says="Headers of the answers to outgoing calls that become attributes of their spans.",
    )
    sanitize_headers: tuple[str, ...] = option(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS",
        syntax=parsers.PATTERNS,
        default=(),
        says="Captured headers whose values are replaced by [REDACTED].",
    )
    response_headers: tuple[str, ...] = option(
        "OTELC2C_RESPONSE_HEADERS",
        syntax=parsers.one_of_each("X-Request-ID", "traceresponse", "Server-Timing"),
        default=("X-Request-ID",),
        says="Headers by which a caller gets the id of its request, and where its time went.",
    )
    redacted_query: QueryPolicy = option(  # noqa: RUF009 - an immutable value
        "OTELC2C_REDACTED_QUERY",
        syntax=parsers.QUERY_POLICY,
        default=QueryPolicy(),
        says="Values of the query string that are not recorded.",
        unset="`all`",
    )
    semconv_opt_in: tuple[str, ...] = option(
        "OTEL_SEMCONV_STABILITY_OPT_IN",
        syntax=parsers.names(),
        default=(),
        says="`database/dup`, `http/dup`: operations have the names of before the stable conventions, too; "
        "`database/old`, `http/old`: only those. Requests that are served always have the stable names.",
        unset="the stable names",
    )
    shortest_leaf: float = option(
        "OTELC2C_LEAF_SPAN_MIN_DURATION",
        syntax=parsers.milliseconds(),
        default=0.0,
        says="Statements and commands that take less have no span, unless they fail; numbers count them all "
        "the same. Outgoing calls keep theirs, because the other side has been told of it.",
    )
    """Seconds."""
    most_leaves: int = option(
        "OTELC2C_LEAF_SPAN_LIMIT",
        syntax=parsers.whole(1),
        default=1000,
        says="Spans of statements, commands and outgoing calls in one request; how many more there were is "
        "an attribute of its server span.",
    )
    query_text: str = option(
        "OTELC2C_QUERY_TEXT",
        syntax=parsers.choice("sanitized", "off"),
        default="sanitized",
        says="Whether spans of SQL statements have the text, with `?` for each literal.",
    )
    sql_comments: bool = option(
        "OTELC2C_SQL_COMMENTS",
        syntax=parsers.BOOLEAN,
        default=False,
        says="SQL statements are sent with a comment that has the trace context (sqlcommenter). Databases "
        "that remember statements by their text then remember none.",
    )
