"""The peer's start: what `opentelemetry-instrument` does with upstream's own distro.

Upstream's distro is not installed beside us, because one environment would then have two;
its defaults and its order are repeated here, with OTLP over HTTP as the exporter.
"""

import os

from opentelemetry.instrumentation.pyramid import PyramidInstrumentor
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

os.environ.setdefault("OTEL_TRACES_EXPORTER", "otlp")
os.environ.setdefault("OTEL_METRICS_EXPORTER", "otlp")
os.environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")

_OTelSDKConfigurator().configure()  # type: ignore[no-untyped-call]
PyramidInstrumentor().instrument(skip_dep_check=True)
subject = os.environ.get("BENCH_SUBJECT")
if subject in {"redis", "mixed"}:
    from opentelemetry.instrumentation.redis import RedisInstrumentor

    RedisInstrumentor().instrument(skip_dep_check=True)
if subject == "mixed":
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    RequestsInstrumentor().instrument(skip_dep_check=True)
    # It refuses SQLAlchemy 2.1, and works with it as far as this application goes.
    SQLAlchemyInstrumentor().instrument(skip_dep_check=True)
