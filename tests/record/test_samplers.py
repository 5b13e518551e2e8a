"""Inline decisions are the SDK's decisions; everything else is loaded and asked."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otelc2c.record import samplers
from otelc2c.record.provider import TracerProvider
from otelc2c.record.samplers import Inline, from_sdk, load
from tests.record.spans import ListSink

NAMES = ["always_on", "always_off", "traceidratio"]
NAMES += [f"parentbased_{name}" for name in NAMES]
IDS = st.integers(1, 2**128 - 1)
RATIOS = st.sampled_from([0.0, 1e-9, 0.1, 0.5, 0.999, 1.0]) | st.floats(0, 1)


def sdk_sampler(name: str, ratio: float) -> sampling.Sampler:
    """The SDK's own sampler of this name."""
    known: Any = sampling._KNOWN_SAMPLERS[name]
    return known(ratio) if isinstance(known, type) else known  # type: ignore[no-any-return]


@given(st.sampled_from(NAMES), RATIOS, IDS, st.none() | st.booleans())
def test_decisions_are_those_of_the_sdk(name: str, ratio: float, trace_id: int, parent: bool | None) -> None:
    """For roots and for callers that were sampled or not, through a whole provider."""
    context = Context()
    if parent is not None:
        above = SpanContext(trace_id, 5, True, TraceFlags(int(parent)))
        context = set_span_in_context(NonRecordingSpan(above), context)
    inline, problem = load(name, None, ratio)
    assert not problem
    assert isinstance(inline, Inline)
    expected = sdk_sampler(name, ratio).should_sample(context, trace_id, "a").decision.value == 2

    class OneId(IdGenerator):
        def generate_trace_id(self) -> int:
            return trace_id

        def generate_span_id(self) -> int:
            return 5

        def is_trace_id_random(self) -> bool:
            return True

    for sampler in (inline, inline.sdk()):
        provider = TracerProvider(
            ListSink(),
            sampler,
            id_generator=OneId(),
            shutdown_on_exit=False,
        )
        tracer = provider.get_tracer("t")
        span = tracer.start_span("a", context)
        assert span.sampled is expected
        assert tracer.start_span("b", set_span_in_context(span)).sampled is expected


@pytest.mark.parametrize("name", NAMES)
def test_samplers_of_the_sdk_are_recognised(name: str) -> None:
    """Passed as objects they cost no more than by variable (hot-path 4)."""
    found, named = from_sdk(sdk_sampler(name, 0.25)), load(name, None, 0.25)[0]
    assert found is not None
    assert isinstance(named, Inline)
    assert (found.bound, found.parent_based) == (named.bound, named.parent_based)


class Own(sampling.TraceIdRatioBased):
    """A sampler that only looks like one of the SDK's."""


class OwnStatic(sampling.StaticSampler):
    """Another one, with rules of its own."""

    def should_sample(self, *args: Any, **kwargs: Any) -> sampling.SamplingResult:
        return sampling.SamplingResult(sampling.Decision.DROP)


@pytest.mark.parametrize(
    "sampler",
    [
        Own(0.5),
        OwnStatic(sampling.Decision.DROP),
        sampling.StaticSampler(sampling.Decision.RECORD_ONLY),
        sampling.ParentBased(Own(0.5)),
        sampling.ParentBased(sampling.ALWAYS_ON, remote_parent_sampled=sampling.ALWAYS_OFF),
        sampling.AlwaysRecordSampler(sampling.ALWAYS_OFF),
    ],
    ids=lambda sampler: sampler.get_description(),
)
def test_other_samplers_are_asked(sampler: sampling.Sampler) -> None:
    """Whatever differs from the specification's in the least is not guessed."""
    assert from_sdk(sampler) is None


def entry_point(value: str) -> Any:
    """A replacement for `entry_points` that finds one sampler."""

    def find(group: str, name: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group)] if group == "opentelemetry_traces_sampler" else []

    return find


def make_own(argument: str | None) -> sampling.Sampler:
    """A sampler's factory as an entry point names it."""
    return Own(float(argument or 0))


def test_an_entry_point_is_called_with_its_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the SDK does."""
    monkeypatch.setattr(samplers, "entry_points", entry_point(f"{__name__}:make_own"))
    sampler, problem = load("mine", "0.25", 1.0)
    assert isinstance(sampler, Own)
    assert (sampler.rate, problem) == (0.25, "")


@pytest.mark.parametrize("value", ["builtins:str", "nowhere:at_all", f"{__name__}:entry_point"])
def test_a_sampler_that_cannot_be_loaded_is_replaced_and_told(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """Telemetry never stops the application (D1)."""
    monkeypatch.setattr(samplers, "entry_points", entry_point(value))
    sampler, problem = load("mine", "x", 1.0)
    assert isinstance(sampler, Inline)
    assert (sampler.always, sampler.parent_based) == (True, True)
    assert "'mine'" in problem


def test_an_unknown_sampler_is_told() -> None:
    """With its name."""
    assert "no entry point" in load("no_such_sampler", None, 1.0)[1]
