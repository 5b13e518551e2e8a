"""Lines of Prometheus' text format 0.0.4 and of OpenMetrics 1.0."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

from otelc2c.record.exponential import together
from otelc2c.record.points import Distribution, Exemplar, Exponential, Point
from otelc2c.relay.names import Name

EOF: Final = "# EOF\n"
"""The last line of an OpenMetrics page."""


def number(value: int | float) -> str:
    """A number as Go and `prometheus_client` write it: `25`, `0.005`, `1.5e+06`, `+Inf`, `NaN`."""
    if isinstance(value, int):
        return str(value)
    text = repr(value)
    dot = text.find(".")
    if dot < 0:
        return _NOT_FINITE.get(text, text)
    # Go changes to exponents sooner than Python does.
    if dot > 6 and text[0] != "-":
        mantissa = f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0").rstrip(".")
        return f"{mantissa}e+{dot - 1:02d}"
    return text


_NOT_FINITE: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


def header(name: Name, description: str, *, openmetrics: bool) -> str:
    """The lines that introduce a family."""
    if not openmetrics:
        kind = "gauge" if name.type == "info" else name.type
        return f"# HELP {name.plain} {_escaped(description)}\n# TYPE {name.plain} {kind}\n"
    text = f"# HELP {name.family} {_quoted(description)}\n# TYPE {name.family} {name.type}\n"
    return f"{text}# UNIT {name.family} {name.unit}\n" if name.unit else text


def label_text(labels: Mapping[str, str], names: Sequence[str]) -> str:
    """`a="b",c=""`: the labels of one series in the order of `names`, those it lacks empty.

    An empty label is the same as none; `names` gives each sample of a family the same labels.
    """
    return ",".join([f'{name}="{_quoted(labels.get(name, ""))}"' for name in names])


def single(sample: str, text: str, value: int | float, note: str = "") -> str:
    """The line of a counter or gauge. `text` is the series' label text, `note` its exemplar."""
    return f"{sample}{{{text}}} {number(value)}{note}\n" if text else f"{sample} {number(value)}{note}\n"


def histogram(
    sample: str, text: str, bounds: tuple[float, ...], value: Distribution, notes: Mapping[int, str]
) -> str:
    """The lines of one histogram: cumulative buckets, count, sum. `notes` are exemplars by bucket.

    Without count and sum where a boundary is negative: the sum might go down, and OpenMetrics
    then allows neither. Raises ValueError when buckets and boundaries do not fit.
    """
    prefix = f"{sample}_bucket{{{text}," if text else f"{sample}_bucket{{"
    totals = accumulate(value.counts)
    if notes:
        lines = [
            f"{prefix}{end}{total}{notes.get(index, '')}\n"
            for index, (end, total) in enumerate(zip(bucket_ends(bounds), totals, strict=True))
        ]
    else:
        lines = [f"{prefix}{end}{total}\n" for end, total in zip(bucket_ends(bounds), totals, strict=True)]
    if not bounds or bounds[0] >= 0:
        lines.append(single(f"{sample}_count", text, value.count))
        lines.append(single(f"{sample}_sum", text, value.sum))
    return "".join(lines)


@lru_cache(maxsize=256)
def bucket_ends(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """What closes the labels of each bucket: `le="0.005"} `; `1.0` and not `1`, as OpenMetrics asks."""
    ends = [number(float(bound)) for bound in bounds]
    return tuple(f'le="{end}"}} ' for end in (*ends, "+Inf"))


def exemplar_note(exemplar: Exemplar) -> str:
    """What follows a sample in OpenMetrics: trace, span, value, and time in seconds."""
    ids = f'trace_id="{exemplar.trace_id.hex()}",span_id="{exemplar.span_id.hex()}"'
    seconds, rest = divmod(exemplar.time_ns, 1_000_000_000)
    return f" # {{{ids}}} {number(exemplar.value)} {seconds}.{rest // 1_000_000:03d}"


def counter_note(exemplars: Iterable[Exemplar]) -> str:
    """The note of a counter: its newest exemplar, or nothing."""
    newest = max(exemplars, default=None)
    return "" if newest is None else exemplar_note(newest)


def bucket_notes(exemplars: Iterable[Exemplar], bounds: Sequence[float]) -> dict[int, str]:
    """The newest exemplar of each bucket, under the bucket's index."""
    newest: dict[int, Exemplar] = {}
    for exemplar in exemplars:
        index = bisect_left(bounds, exemplar.value)
        newest[index] = max(exemplar, newest.get(index, exemplar))
    return {index: exemplar_note(exemplar) for index, exemplar in newest.items()}


def combined(one: Point, other: Point, *, add: bool) -> Point:
    """One point of two whose attributes became the same labels: added, or the one that was set later.

    Histograms of different kinds or boundaries cannot be added: the first stays.
    """
    exemplars = one.exemplars + other.exemplars
    a, b = one.value, other.value
    if isinstance(a, Exponential) or isinstance(b, Exponential):
        if not (isinstance(a, Exponential) and isinstance(b, Exponential)):
            return one
        return one._replace(value=together(a, b), exemplars=exemplars)
    if isinstance(a, Distribution) or isinstance(b, Distribution):
        if not (isinstance(a, Distribution) and isinstance(b, Distribution)):
            return one
        if len(a.counts) != len(b.counts):
            return one
        counts = [x + y for x, y in zip(a.counts, b.counts, strict=True)]
        both = Distribution(counts, a.sum + b.sum, min(a.min, b.min), max(a.max, b.max))
        return one._replace(value=both, exemplars=exemplars)
    if add:
        return one._replace(value=a + b, exemplars=exemplars)
    return max(one, other, key=lambda point: point.time_ns)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    if '"' not in text and "\\" not in text and "\n" not in text:
        return text
    return _escaped(text).replace('"', '\\"')
