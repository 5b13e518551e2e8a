"""Where spans and numbers go: the list of exporters that the settings ask for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otelc2c import __version__, guard
from otelc2c.record.points import AttributeValue, Family
from otelc2c.relay.delivery import Exporter
from otelc2c.relay.http import HttpSender
from otelc2c.relay.metric_push import MetricPush, OtlpMetrics
from otelc2c.relay.otlp import OtlpSpans
from otelc2c.relay.state import State
from otelc2c.relay.temporality import PREFERENCES, Baseline
from otelc2c.settings import Otlp, Settings

OTLP_GRPC = "otlp_proto_grpc"
"""The entry point of OpenTelemetry's own gRPC exporters: gRPC is not for us to speak."""


class Exporters:
    """Makes what the settings name. One that cannot be made is said, and the others go on."""

    def __init__(
        self,
        settings: Settings,
        site: Sequence[str],
        resource: bytes,
        attributes: Mapping[str, AttributeValue],
        schema_url: str,
        state: State,
    ) -> None:
        """`resource` is the OTLP message of the `attributes`; `site` is where packages of others are."""
        self._settings = settings
        self._site = site
        self._resource = resource
        self._attributes = attributes
        self._schema_url = schema_url
        self._state = state
        self.spans: list[Exporter] = []
        for number, name in enumerate(settings.traces_exporters):
            made = self._make(self._span_exporter, name, number)
            if made is not None:
                self.spans.append(made)

    def _make(self, make: Callable[[str, int], Any], name: str, number: int) -> Any:
        try:
            return make(name, number)
        except Exception as error:
            # It is the operator's to mend, so the sentence has to name what was asked for.
            guard.say(f"exporter {name} cannot be used: {type(error).__name__}: {error}")
            return None

    def _sender(self, otlp: Otlp) -> HttpSender:
        return HttpSender(
            otlp.endpoint,
            otlp.headers,
            otlp.timeout,
            otlp.compression,
            otlp.certificate,
            otlp.client_certificate,
            otlp.client_key,
            __version__,
        )

    def _span_exporter(self, name: str, number: int) -> Exporter:
        otlp = self._settings.otlp_traces
        if name == "otlp" and not otlp.grpc:
            return OtlpSpans(self._sender(otlp), self._resource, number, self._schema_url)
        from otelc2c.relay import foreign  # brings the SDK, which ours do without

        return foreign.span_exporter(
            OTLP_GRPC if name == "otlp" else name, number, self._site, self._attributes, self._schema_url
        )

    def metrics(
        self, collect: Callable[[], Sequence[Family]], start_ns: int, state_path: str
    ) -> list[MetricPush]:
        """A push for each exporter of numbers, of what `collect` gives, counted since `start_ns`.

        What a push must not forget is kept beside `state_path`.
        """
        pushes = []
        for number, name in enumerate(self._settings.metrics_exporters):
            if name == "prometheus":
                continue
            exporter = self._make(self._metric_exporter, name, number)
            if exporter is None:
                continue
            # An exporter of others says itself which numbers it wants as differences.
            kinds = getattr(exporter, "delta_kinds", PREFERENCES[self._settings.temporality])
            pushes.append(
                MetricPush(
                    collect,
                    exporter,
                    Baseline(kinds, start_ns, f"{state_path}.{number}"),
                    self._state,
                    interval=self._settings.metric_export_interval,
                    timeout=self._settings.metric_export_timeout,
                )
            )
        return pushes

    def _metric_exporter(self, name: str, number: int) -> Exporter:
        otlp = self._settings.otlp_metrics
        if name == "otlp" and not otlp.grpc:
            return OtlpMetrics(self._sender(otlp), self._resource, number, self._schema_url)
        from otelc2c.relay import foreign  # brings the SDK, which ours do without

        return foreign.metric_exporter(
            OTLP_GRPC if name == "otlp" else name, number, self._site, self._attributes, self._schema_url
        )
