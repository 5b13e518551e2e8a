"""The start, as a list of steps. Called by `opentelemetry-instrument` before the application is loaded."""

from collections.abc import MutableMapping
from typing import ClassVar

from opentelemetry import metrics, trace
from opentelemetry.sdk._configuration import _BaseConfigurator
from opentelemetry.sdk.resources import Resource

from otelc2c import guard
from otelc2c.boot import arbiter
from otelc2c.boot.distro import Distro
from otelc2c.boot.life import Life
from otelc2c.boot.resource import build_resource, new_instance_id
from otelc2c.boot.tracing import own_tracer, records_spans, tracer_provider
from otelc2c.measure import gunicorn
from otelc2c.measure.garbage import Collections
from otelc2c.measure.gunicorn_master import Master
from otelc2c.measure.measurer import Instruments, Measurer, install
from otelc2c.record.layout import ROLE_SERVER
from otelc2c.record.meter import MeterProvider
from otelc2c.record.views import Views
from otelc2c.settings import Settings


class Started:
    """What a start has made. It lives as long as the process."""

    current: ClassVar["Started | None"] = None

    def __init__(self, settings: Settings, environ: MutableMapping[str, str]) -> None:
        """Join or make the pod, and make the providers on the files of this process."""
        resource, resource_problems = build_resource(settings, new_instance_id())
        self.life = Life(settings, environ, records_spans=records_spans(settings))
        self.life.begin(resource.attributes, resource.schema_url)
        self.resource = Resource(dict(self.life.resource), resource.schema_url)
        recorder = self.life.recorder
        guard.on_swallow(lambda: recorder.store.note_guarded(guard.total()))
        self.tracers, tracer_problems = tracer_provider(settings, self.resource, recorder)
        self.problems = (*resource_problems, *tracer_problems)
        self.meters = MeterProvider(
            recorder.store,
            views=views_of(settings),
            cardinality_limit=settings.cardinality_limit,
            resource=self.resource,
            exemplar_filter=settings.exemplar_filter,
            observe_interval=settings.observe_interval,
            observe_here=lambda: not arbiter.is_master(),
            observe_works=self._works,
            flush=self.life.flush,
        )
        self.measurer = Measurer(
            settings,
            own_tracer(self.tracers),
            Instruments.of(recorder.store, settings.cardinality_limit, self.meters.views),
        )
        self.life.at_end(self.meters.observer.close)
        if settings.metrics_exporters:
            self._watch_the_process(settings)

    def _watch_the_process(self, settings: Settings) -> None:
        """Measure what happens besides requests: gunicorn's workers, and the garbage collector."""
        store = self.life.recorder.store
        if self.life.created:
            store.note_role(ROLE_SERVER)
        views = self.meters.views
        gunicorn.Hooks(Master(store, settings.cardinality_limit, views)).install()
        if settings.process_metrics != "off":
            Collections(store, settings.cardinality_limit, views).start()

    def _works(self) -> bool:
        """Whether this process is no master: it has answered a request, or gunicorn made it for that."""
        return arbiter.is_below_master() or bool(self.measurer.entries)


def views_of(settings: Settings) -> Views:
    """The views that the settings ask for; the kind of histograms is a wish of the OTLP exporter's."""
    wished = settings.histogram_aggregation == "base2_exponential_bucket_histogram"
    exponential = wished and "otlp" in settings.metrics_exporters
    return Views(settings.views, settings.buckets, settings.gauges, exponential=exponential)


class Configurator(_BaseConfigurator):
    """What the entry point `otelc2c` in `opentelemetry_configurator` names."""

    @guard.guarded("boot")
    def _configure(self, **kwargs: object) -> None:
        """Switch on what the environment asks for. A failure of ours ends here; the application starts."""
        distro = Distro()
        if distro.settings.disabled or Started.current is not None:
            return
        distro.report.refuse_if_strict()
        started = Started.current = Started(distro.settings, distro.environ)
        distro.report.joined = not started.life.created
        for problem in started.problems:
            distro.report.problem(*problem)
        trace.set_tracer_provider(started.tracers)
        metrics.set_meter_provider(started.meters)
        install(started.measurer)
