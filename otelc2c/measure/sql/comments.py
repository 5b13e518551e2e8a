"""The trace context as a comment of a statement, for databases whose logs show statements (sqlcommenter)."""

from typing import Any

from otelc2c.context import current_span


def with_trace(statement: str, span: Any) -> str:
    """The statement with a comment at its end that names `span`, or the current one; as it is without any.

    The comment is that of https://google.github.io/sqlcommenter/spec/, and stands before a semicolon.
    """
    context = (current_span() if span is None else span).get_span_context()
    if not context.is_valid:
        return statement
    trace = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}"
    text = statement.rstrip()
    end = ";" if text.endswith(";") else ""
    return f"{text[: len(text) - len(end)]} /*traceparent='{trace}'*/{end}"
