"""Which traces are recorded: the specification's samplers inline, all others as they ask to be asked."""

from importlib.metadata import entry_points
from typing import Any, Final

from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, StaticSampler, TraceIdRatioBased

_ALWAYS: Final = 1 << 64
_ROOTS: Final = {"always_on": _ALWAYS, "always_off": 0}


class Inline:
    """One of the specification's samplers as two values, decided without a call to it.

    A trace is sampled when the low 64 bits of its id are below `bound`, as `TraceIdRatioBased`
    of the SDK decides; `parent_based` follows the parent's decision where there is a parent.
    """

    __slots__ = ("always", "bound", "parent_based")

    def __init__(self, bound: int, parent_based: bool) -> None:
        self.bound: Final = bound
        self.parent_based: Final = parent_based
        self.always: Final = True if bound >= _ALWAYS else False if bound <= 0 else None
        """The decision for every root, or None where it depends on the trace id."""

    def root(self, trace_id: bytes) -> bool:
        """The decision for a trace that has no parent to follow."""
        if self.always is not None:
            return self.always
        return int.from_bytes(trace_id[8:], "big") < self.bound

    def sdk(self) -> Sampler:
        """The SDK's sampler that decides the same."""
        root: Sampler = sampling.ALWAYS_ON if self.always else sampling.ALWAYS_OFF
        if self.always is None:
            root = TraceIdRatioBased(self.bound / _ALWAYS)
        return ParentBased(root) if self.parent_based else root


def from_sdk(sampler: Sampler) -> Inline | None:
    """The same decisions inline, or None for a sampler that must be asked."""
    bound = _bound(sampler)
    if bound is not None:
        return Inline(bound, parent_based=False)
    if not isinstance(sampler, ParentBased) or type(sampler).should_sample is not ParentBased.should_sample:
        return None
    # Private, and only looked at to recognise the defaults; anything else is simply asked.
    parts = [getattr(sampler, f"_{name}", None) for name in ("root", *_FOLLOWERS)]
    bound = _bound(parts[0])
    if bound is None or parts[1:] != list(_FOLLOWERS.values()):
        return None
    return Inline(bound, parent_based=True)


_FOLLOWERS: Final = {
    "remote_parent_sampled": sampling.ALWAYS_ON,
    "remote_parent_not_sampled": sampling.ALWAYS_OFF,
    "local_parent_sampled": sampling.ALWAYS_ON,
    "local_parent_not_sampled": sampling.ALWAYS_OFF,
}


def _bound(sampler: object) -> int | None:
    if type(sampler) is TraceIdRatioBased:
        return sampler.bound
    if isinstance(sampler, StaticSampler) and type(sampler).should_sample is StaticSampler.should_sample:
        decision = sampler.should_sample(None, 1, "").decision
        if decision is sampling.Decision.RECORD_AND_SAMPLE:
            return _ALWAYS
        if decision is sampling.Decision.DROP:
            return 0
    return None


def load(name: str, argument: str | None, ratio: float) -> tuple[Inline | Sampler, str]:
    """The sampler that `OTEL_TRACES_SAMPLER` names, and a sentence when it had to be another.

    The specification's names come inline with `ratio` for those that take one; any other is the
    name of an entry point in `opentelemetry_traces_sampler`, called with `argument`. Never raises.
    """
    known = _inline(name, ratio)
    if known is not None:
        return known, ""
    try:
        return _load_foreign(name, argument), ""
    except Exception as error:
        return Inline(_ALWAYS, parent_based=True), f"sampler {name!r}: {error}; parentbased_always_on is used"


def never(name: str, ratio: float) -> bool:
    """Whether this sampler leaves out every trace, whatever a caller says of it."""
    known = _inline(name, ratio)
    return known is not None and known.always is False and not known.parent_based


def _inline(name: str, ratio: float) -> Inline | None:
    """One of the specification's samplers; None for any other name."""
    root = name.removeprefix("parentbased_")
    bound = TraceIdRatioBased.get_bound_for_rate(ratio) if root == "traceidratio" else _ROOTS.get(root)
    return None if bound is None else Inline(bound, parent_based=root != name)


def _load_foreign(name: str, argument: str | None) -> Sampler:
    found = next(iter(entry_points(group="opentelemetry_traces_sampler", name=name)), None)
    if found is None:
        raise LookupError("no entry point of this name in opentelemetry_traces_sampler")
    factory: Any = found.load()
    made = factory(argument)
    if not isinstance(made, Sampler):
        raise TypeError(f"made {type(made).__name__}, which is not a Sampler")
    return made
