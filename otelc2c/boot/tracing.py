"""The tracer provider that the settings ask for."""

from importlib.metadata import entry_points

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.id_generator import IdGenerator

from otelc2c.record import samplers
from otelc2c.record.api_spans import ApiTracer
from otelc2c.record.limits import Limits
from otelc2c.record.own import SCOPE
from otelc2c.record.pipeline import RingSink
from otelc2c.record.provider import TracerProvider
from otelc2c.record.recorder import Recorder
from otelc2c.record.tracer import Tracer
from otelc2c.settings import Problem, Settings


def records_spans(settings: Settings) -> bool:
    """Whether a span may ever be written: somebody takes them, and the sampler leaves some."""
    never = samplers.never(settings.traces_sampler, settings.sampling_ratio)
    return bool(settings.traces_exporters) and not never


def tracer_provider(
    settings: Settings, resource: Resource, recorder: Recorder
) -> tuple[trace.TracerProvider, list[Problem]]:
    """A provider that writes to the process' ring, and what was asked for and cannot be had."""
    problems = []
    sampler, sentence = samplers.load(
        settings.traces_sampler, settings.traces_sampler_arg, settings.sampling_ratio
    )
    if sentence:
        problems.append(Problem("OTEL_TRACES_SAMPLER", sentence))
    generator = None
    try:
        generator = _id_generator(settings.id_generator)
    except Exception as error:
        problems.append(Problem("OTEL_PYTHON_ID_GENERATOR", f"{error}; random ids are used"))
    sink = RingSink(recorder.ring.put, recorder.store.scope_id) if records_spans(settings) else None
    if settings.tracer_provider == "sdk":
        from otelc2c.record.sdk_provider import sdk_tracer_provider

        return sdk_tracer_provider(settings, resource, sink, sampler, generator), problems
    return TracerProvider(sink, sampler, resource, generator, Limits.from_settings(settings)), problems


def own_tracer(provider: trace.TracerProvider) -> Tracer | ApiTracer:
    """The tracer for our own instruments, of whichever provider there is."""
    tracer = provider.get_tracer(SCOPE.name, SCOPE.version)
    return tracer if isinstance(tracer, Tracer) else ApiTracer(tracer)


def _id_generator(name: str) -> IdGenerator | None:
    """The generator with this entry point; None for our own. Raises whatever its code raises."""
    if name == "random":
        return None
    found = next(iter(entry_points(group="opentelemetry_id_generator", name=name)), None)
    if found is None:
        raise LookupError(f"there is no id generator {name!r}")
    made = found.load()()
    if not isinstance(made, IdGenerator):
        raise TypeError(f"{name!r} is not an id generator")
    return made
