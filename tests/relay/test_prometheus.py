"""The Prometheus page says what `opentelemetry-exporter-prometheus` says of the same numbers.

Differences on purpose, each with a test that names it:

- exemplars are shown in OpenMetrics (the exporter drops them; the specification asks for them);
- boundaries are canonical in `le`, `1e+06` (the exporter's `1000000.0` is refused by OpenMetrics' parser);
- values of keys that become one label are joined with `;` (the exporter shows the last one only, against
  the specification);
- an attribute `le` of a histogram becomes `exported_le` (the exporter's buckets and sums disagree about it);
- a metric whose name is taken by another type is left out, one with another description or unit is merged
  (the exporter repeats the metadata, which promtool and parsers refuse);
- scopes whose samples have other labels keep them (the exporter writes values under the first one's labels);
- series that have the same labels are combined (the exporter shows one series twice, which parsers refuse);
- a colon in a unit stays (`prometheus_client` replaces it in OpenMetrics' samples, not in their family);
- a resource without attributes gives no `target_info`, a metric without points no metadata.
"""

import math
import os
import re
import shutil
import subprocess
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import export
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otelc2c import catalog, guard
from otelc2c.record.points import (
    SUM_KINDS,
    Distribution,
    Exemplar,
    Exponential,
    Family,
    Instrument,
    Kind,
    Point,
    Scope,
)
from otelc2c.relay import names
from otelc2c.relay.prometheus import CHUNK_CHARACTERS, Renderer
from otelc2c.relay.text import combined
from tests.parts.install import cache_folder

SCOPE = Scope("library", "1.2")
BOUNDS = (0.005, 0.5, 10.0)
EXEMPLAR = Exemplar(1_700_000_000_123_456_789, 0.3, bytes(range(16)), bytes(range(8)))


# -- the same numbers, told twice -----------------------------------------------------------


def sdk_data(families: Iterable[Family], resource: Mapping[str, Any]) -> export.MetricsData:
    """What the SDK would hand to an exporter for these families."""
    scopes = [
        export.ScopeMetrics(
            scope=InstrumentationScope(
                instrument.scope.name,
                instrument.scope.version,
                instrument.scope.schema_url,
                dict(instrument.scope.attributes),
            ),
            metrics=[
                export.Metric(
                    instrument.name, instrument.description, instrument.unit, sdk_metric(instrument, points)
                )
            ],
            schema_url=instrument.scope.schema_url,
        )
        for instrument, points in families
    ]
    return export.MetricsData([export.ResourceMetrics(Resource(resource), scopes, "")])


def sdk_metric(instrument: Instrument, points: Iterable[Point]) -> Any:
    """The SDK's data of one stream."""
    cumulative = export.AggregationTemporality.CUMULATIVE
    if instrument.kind == "histogram":
        return export.Histogram([sdk_histogram(instrument, point) for point in points], cumulative)
    numbers = [export.NumberDataPoint(point.attributes, 1, 2, plain_number(point)) for point in points]
    if instrument.kind in SUM_KINDS:
        return export.Sum(numbers, cumulative, instrument.monotonic)
    return export.Gauge(numbers)


def plain_number(point: Point) -> int | float:
    """The value of a point that is no distribution."""
    assert not isinstance(point.value, Distribution)
    return point.value


def sdk_histogram(instrument: Instrument, point: Point) -> export.HistogramDataPoint:
    """The SDK's point of a distribution."""
    value = point.value
    assert isinstance(value, Distribution)
    return export.HistogramDataPoint(
        point.attributes,
        1,
        2,
        value.count,
        value.sum,
        list(value.counts),
        list(instrument.bounds),
        value.min,
        value.max,
    )


def theirs(families: Iterable[Family], resource: Mapping[str, Any], *, openmetrics: bool) -> str:
    """The exporter's page."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry)
    data = sdk_data(families, resource)
    # The data were made before: there is no SDK to ask for them.
    reader._collector._callback = lambda: reader._receive_metrics(data)  # type: ignore[assignment]
    generate = openmetrics_exposition.generate_latest if openmetrics else generate_latest
    return str(generate(registry).decode())


def ours(
    families: Iterable[Family],
    resource: Mapping[str, Any] | None = None,
    *,
    openmetrics: bool = False,
    renderer: Renderer | None = None,
    **options: Any,
) -> str:
    """Our page."""
    chosen = renderer or Renderer()
    return "".join(chosen.render(families, resource or {}, openmetrics=openmetrics, **options))


def parsed(page: str, *, openmetrics: bool) -> list[Metric]:
    """The families of a page, by `prometheus_client`'s parser for its format."""
    parse: Callable[[str], Iterable[Metric]] = parse_openmetrics if openmetrics else parse_text
    return list(parse(page))


def said(page: str, *, openmetrics: bool) -> dict[str, Any]:
    """What a page says, so that two pages that say the same are equal."""
    metrics = parsed(page, openmetrics=openmetrics)
    assert len({metric.name for metric in metrics}) == len(metrics)
    return {
        metric.name: (
            metric.type,
            metric.unit,
            metric.documentation,
            sorted((s.name, sorted(s.labels.items()), repr(float(s.value))) for s in metric.samples),
        )
        for metric in metrics
    }


# -- descriptions ---------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.one_of(
    st.from_regex(r"[a-z][a-z._]{0,8}[a-z]", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
)
values = st.one_of(
    words,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.lists(words, max_size=3),
    st.lists(st.booleans(), max_size=3),
    st.lists(st.floats(allow_nan=False), max_size=3),
)
units = st.sampled_from(
    ["", "s", "By", "1", "%", "{request}", "m/s", "By/s", "{a}/s", "s/{a}", "/s", "/", "a/b/c", "__"]
) | st.text(st.characters(max_codepoint=127, exclude_characters=":"), max_size=8)


def plain_attributes(attributes: Mapping[str, Any]) -> bool:
    """Whether every key is a label of its own that nothing else uses."""
    labels = [names.label_name(key) for key in attributes]
    taken = any(label == "le" or label.startswith(names.SCOPE_PREFIX) for label in labels)
    return len(set(labels)) == len(labels) and not taken


def own_fields(attributes: Mapping[str, Any]) -> bool:
    """Whether the attributes of a scope stay clear of its name, version and schema."""
    return plain_attributes(attributes) and not {"name", "version", "schema_url"} & {
        names.label_name("x" + key)[1:].lstrip("_") for key in attributes
    }


attributes = st.dictionaries(keys, values, max_size=4).filter(plain_attributes)
scopes = st.builds(
    Scope,
    words,
    words,
    words,
    st.dictionaries(keys, values, max_size=2).filter(own_fields).map(lambda d: tuple(sorted(d.items()))),
)
growing = st.one_of(st.integers(0, 2**63 - 1), st.floats(0, allow_nan=False, allow_infinity=False))
kinds: st.SearchStrategy[Kind] = st.sampled_from(
    ["counter", "up_down_counter", "histogram", "gauge", "observable_counter"]
)


def identifiers(size: int) -> st.SearchStrategy[bytes]:
    """Of a trace (16 bytes) or a span (8); longer ones cannot be, and are not OpenMetrics any more."""
    return st.binary(min_size=size, max_size=size)


exemplars = st.builds(Exemplar, st.integers(0, 2**63 - 1), st.floats(), identifiers(16), identifiers(8))


@st.composite
def distributions(draw: st.DrawFn, bounds: tuple[float, ...]) -> Distribution:
    size = len(bounds) + 1
    counts = draw(st.lists(st.integers(0, 2**40), min_size=size, max_size=size))
    return Distribution(counts, draw(st.floats(0, 1e12)), 0.0, 1.0)


@st.composite
def families(draw: st.DrawFn) -> Family:
    kind = draw(kinds)
    size = 4 if kind == "histogram" else 0
    bounds = draw(st.lists(st.integers(-2000, 900_000), unique=True, max_size=size))
    instrument = Instrument(
        draw(scopes),
        draw(st.from_regex(r"[a-zA-Z][a-zA-Z0-9_./-]{0,12}(_total|_seconds)?", fullmatch=True)),
        kind,
        draw(units),
        draw(words),
        tuple(sorted(bound / 1000 for bound in bounds)),
    )
    value: st.SearchStrategy[Any] = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats())
    if kind == "histogram":
        value = distributions(instrument.bounds)
    elif instrument.monotonic:
        value = growing
    # Neither guessed by `builds` from the types: an exemplar has ids of a certain size.
    noted = st.lists(exemplars, max_size=2).map(tuple)
    points = draw(st.lists(st.builds(Point, attributes, value, noted, st.just(0)), min_size=1, max_size=4))
    return Family(instrument, points)


def distinct(several: Iterable[Family]) -> bool:
    """Whether no name and no series clashes with another."""
    taken = set(names.TARGET_INFO.claims())
    for instrument, points in several:
        claims = names.family_name(instrument).claims()
        series = {
            tuple(sorted((k, v) for k, v in names.labels(p.attributes.items()).items() if v)) for p in points
        }
        if taken & claims or len(series) < len(points):
            return False
        taken |= claims
    return True


@settings(max_examples=25, deadline=None)
@given(st.lists(families(), max_size=3).filter(distinct), attributes, st.booleans())
def test_says_what_the_exporter_says(
    several: list[Family], resource: dict[str, Any], openmetrics: bool
) -> None:
    """Names, types, units, help, labels and values are the exporter's, in both formats."""
    assume(resource)
    expected = said(theirs(several, resource, openmetrics=openmetrics), openmetrics=openmetrics)
    page = ours(several, resource, openmetrics=openmetrics)
    assert said(page, openmetrics=openmetrics) == expected


@settings(max_examples=10, deadline=None)
@given(st.lists(families(), max_size=3).filter(distinct), attributes, st.booleans())
def test_a_page_does_not_depend_on_those_rendered_before(
    several: list[Family], resource: dict[str, Any], openmetrics: bool
) -> None:
    """What is remembered between scrapes, or forgotten, never changes a page but for empty labels."""
    first, last = several[:1], several
    remembering, forgetting = Renderer(), Renderer(cache_bytes=0)
    for renderer in (remembering, forgetting):
        ours(last, resource, renderer=renderer)
        ours(first, resource, renderer=renderer)
    pages = [ours(last, resource, openmetrics=openmetrics, renderer=r) for r in (remembering, forgetting)]
    assert pages[0] == pages[1] == ours(last, resource, openmetrics=openmetrics)


# -- one behaviour at a time ----------------------------------------------------------------


def number(name: str, *points: Point, kind: Any = "counter", scope: Scope = SCOPE, **fields: Any) -> Family:
    return Family(Instrument(scope, name, kind, **fields), points or (Point({}, 1),))


def duration(*points: Point, bounds: tuple[float, ...] = BOUNDS, scope: Scope = SCOPE) -> Family:
    return Family(Instrument(scope, "call.duration", "histogram", "s", "Time of calls", bounds), points)


def samples(page: str, *, openmetrics: bool = False) -> dict[str, Any]:
    """Values by sample name, without labels of the scope."""
    return {
        s.name: (s.value, {k: v for k, v in s.labels.items() if not k.startswith("otel_scope")})
        for metric in parsed(page, openmetrics=openmetrics)
        for s in metric.samples
    }


def test_text_of_a_histogram() -> None:
    """Buckets are cumulative, and the count is that of the last one."""
    page = ours([duration(Point({"http.route": "/a"}, Distribution([1, 2, 0, 3], 7.5, 0.1, 9.0)))])
    labels = 'http_route="/a",otel_scope_name="library",otel_scope_schema_url="",otel_scope_version="1.2"'
    assert page.splitlines() == [
        "# HELP call_duration_seconds Time of calls",
        "# TYPE call_duration_seconds histogram",
        f'call_duration_seconds_bucket{{{labels},le="0.005"}} 1',
        f'call_duration_seconds_bucket{{{labels},le="0.5"}} 3',
        f'call_duration_seconds_bucket{{{labels},le="10.0"}} 3',
        f'call_duration_seconds_bucket{{{labels},le="+Inf"}} 6',
        f"call_duration_seconds_count{{{labels}}} 6",
        f"call_duration_seconds_sum{{{labels}}} 7.5",
    ]


def test_openmetrics_of_a_counter() -> None:
    """A counter's samples end with `_total`, its family does not, and the page ends with EOF."""
    page = ours(
        [number("requests", Point({}, 3), description='a "b" \\ c\nd')],
        openmetrics=True,
        renderer=Renderer(scope_labels=False),
    )
    assert page.splitlines() == [
        '# HELP requests a \\"b\\" \\\\ c\\nd',
        "# TYPE requests counter",
        "requests_total 3",
        "# EOF",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (25, "25"),
        (2**63 - 1, "9223372036854775807"),
        (25.0, "25.0"),
        (0.1, "0.1"),
        (1234567.0, "1.234567e+06"),
        (1000000.0, "1e+06"),
        (1e22, "1e+22"),
        (1e-05, "1e-05"),
        (-1234567.5, "-1234567.5"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_are_written_as_the_python_client_writes_them(value: float, text: str) -> None:
    page = ours([number("g", Point({}, value), kind="gauge")], renderer=Renderer(scope_labels=False))
    assert page.splitlines()[-1] == f"g {text}"


def test_label_values_are_escaped() -> None:
    """Backslash, quote and line end come back from both parsers as they were."""
    value = 'a\\b"c\nd\\n'
    for openmetrics in (False, True):
        page = ours([number("x", Point({"k": value}, 1))], openmetrics=openmetrics)
        assert samples(page, openmetrics=openmetrics)["x_total"] == (1, {"k": value})


def test_labels_lacking_in_one_series_are_empty() -> None:
    """All samples of a metric have the same labels, as from the exporter, also when a label comes later."""
    renderer = Renderer()
    before = number("x", Point({"a": "1"}, 1))
    after = number("x", Point({"a": "1"}, 1), Point({"b": "2"}, 1))
    ours([before], renderer=renderer)
    expected = said(theirs([after], {"r": "1"}, openmetrics=False), openmetrics=False)
    assert said(ours([after], {"r": "1"}, renderer=renderer), openmetrics=False) == expected


def test_equal_values_of_different_types_are_different_labels() -> None:
    """`True`, `1` and `1.0` are one key in Python, and must not find each other's text."""
    points = [Point({"k": value}, 1) for value in (True, 1, 1.0, [True], [1])]
    page = ours([number("x", *points)])
    assert re.findall(r'k="([^"]*)"', page) == ["true", "1", "1.0", "[true]", "[1]"]


def test_exemplars_stand_on_their_buckets_in_openmetrics_only() -> None:
    """Trace and span lead from a bucket to a trace; of two in one bucket the newer is shown."""
    older = EXEMPLAR._replace(time_ns=5, value=0.2)
    last = EXEMPLAR._replace(value=11.0)
    family = duration(Point({}, Distribution([0, 2, 0, 1], 11.5, 0.2, 11.0), (EXEMPLAR, older, last)))
    page = ours([family], openmetrics=True)
    [metric] = parsed(page, openmetrics=True)
    found = {s.labels["le"]: s.exemplar for s in metric.samples if s.exemplar}
    assert set(found) == {"0.5", "+Inf"}
    assert found["0.5"].value == 0.3
    assert found["0.5"].labels == {
        "trace_id": "000102030405060708090a0b0c0d0e0f",
        "span_id": "0001020304050607",
    }
    assert float(str(found["0.5"].timestamp)) == pytest.approx(1_700_000_000.123)
    assert "trace_id" not in ours([family])


def test_an_exemplar_on_the_boundary_belongs_to_the_bucket_it_closes() -> None:
    family = duration(Point({}, Distribution([0, 1, 0, 0], 0.5, 0.5, 0.5), (EXEMPLAR._replace(value=0.5),)))
    [line] = [line for line in ours([family], openmetrics=True).splitlines() if "trace_id" in line]
    assert 'le="0.5"' in line


def test_counters_show_their_newest_exemplar_and_gauges_none() -> None:
    older = EXEMPLAR._replace(time_ns=5, value=4.0)
    counter = number("c", Point({}, 3, (older, EXEMPLAR)))
    gauge = number("g", Point({}, 3, (EXEMPLAR,)), kind="up_down_counter")
    page = ours([counter, gauge], openmetrics=True)
    found = {s.name: s.exemplar for m in parsed(page, openmetrics=True) for s in m.samples}
    assert found["g"] is None
    assert found["c_total"] is not None
    assert found["c_total"].value == 0.3


@pytest.mark.parametrize("openmetrics", [False, True])
def test_an_exponential_histogram_has_boundaries_that_are_powers_of_two(openmetrics: bool) -> None:
    """Upstream's page leaves it out; these stay the same ones when buckets become wider."""
    seconds = Instrument(SCOPE, "x", "histogram", "s", buckets=160)
    one = Point(
        {"a": "1"}, Exponential(3, -1, [1, 0, 2, 1], 2, 3.5, 0.0, 1.2), (EXEMPLAR._replace(value=1.2),)
    )
    other = Point({"a": "2"}, Exponential(-1, 0, [3], 0, 9.0, 3.0, 3.0))
    page = ours([Family(seconds, [one, other])], openmetrics=openmetrics)
    found = {
        (sample.labels["a"], sample.labels["le"]): sample.value
        for family in parsed(page, openmetrics=openmetrics)
        for sample in family.samples
        if sample.name == "x_seconds_bucket"
    }
    assert found == {
        ("1", "0.5"): 2,
        ("1", "1.0"): 3,
        ("1", "2.0"): 6,
        ("1", "+Inf"): 6,
        ("2", "1.0"): 0,
        ("2", "4.0"): 3,
        ("2", "+Inf"): 3,
    }
    assert ("trace_id" in page) is openmetrics


def test_exponential_histograms_that_become_one_series_are_added() -> None:
    """At the smaller scale; one of another kind stays away."""
    seconds = Instrument(SCOPE, "x", "histogram", "s", buckets=160)
    points = [
        Point({"a.b": "1"}, Exponential(1, 0, [1, 1], 1, 3.0, 0.0, 2.0)),
        Point({"a_b": "1"}, Exponential(0, 0, [2], 0, 3.0, 1.5, 1.5)),
    ]
    page = ours([Family(seconds, points)])
    assert samples(page)["x_seconds_count"][0] == 5
    merged = combined(*points, add=False)
    assert merged.value == Exponential(0, 0, [4], 1, 6.0, 0.0, 2.0)
    assert combined(points[0], Point({}, 1), add=False) is points[0]


def test_large_boundaries_are_canonical() -> None:
    """OpenMetrics 1.0 names one spelling of each boundary; a series must not change with the format."""
    point = Point({}, Distribution([1, 1], 2e6, 1.0, 2e6))
    for openmetrics in (False, True):
        page = ours([duration(point, bounds=(1e6,))], openmetrics=openmetrics)
        assert parsed(page, openmetrics=openmetrics)
        assert 'le="1e+06"' in page


def test_values_of_keys_that_become_one_label_are_joined() -> None:
    """Compatibility specification: joined by `;`, in the order of the original keys."""
    page = ours([number("x", Point({"a_b": "2", "a.b": "1", "c": "3"}, 1))])
    assert samples(page)["x_total"] == (1, {"a_b": "1;2", "c": "3"})


def test_an_attribute_le_leaves_the_buckets_alone() -> None:
    page = ours([duration(Point({"le": "x"}, Distribution([1, 0, 0, 0], 0.0, 0.0, 0.0)))], openmetrics=True)
    [metric] = parsed(page, openmetrics=True)
    assert {s.labels["exported_le"] for s in metric.samples} == {"x"}


@pytest.mark.parametrize("openmetrics", [False, True])
def test_of_two_types_under_one_name_one_is_left_out(
    openmetrics: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compatibility specification: metrics with conflicting types are dropped, and it is said once."""
    lines: list[str] = []
    monkeypatch.setattr(guard, "say", lines.append)
    counter, gauge = number("x", description="c"), number("x", kind="gauge", description="g")
    renderer = Renderer()
    for order in ([counter, gauge], [gauge, counter]):
        found = said(ours(order, openmetrics=openmetrics, renderer=renderer), openmetrics=openmetrics)
        assert {name: metric[0] for name, metric in found.items()} == {"x": "counter"}
    assert len(lines) == 1
    assert "'x' (gauge)" in lines[0]


def test_a_name_may_not_hide_in_the_samples_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gauge `x_count` beside a histogram `x` would make the page ambiguous."""
    monkeypatch.setattr(guard, "say", lambda line: True)
    histogram = Family(Instrument(SCOPE, "x", "histogram"), [Point({}, Distribution([1], 1.0, 1.0, 1.0))])
    page = ours([number("x.count", kind="gauge"), histogram], openmetrics=True)
    assert [metric.name for metric in parsed(page, openmetrics=True)] == ["x"]


def test_two_scopes_share_one_metric() -> None:
    """Same name and type: one family with the points of both, whatever their help and labels are."""
    other = Scope("other", attributes=(("part", "b"),))
    page = ours(
        [
            number("x", Point({"a": "1"}, 1), description="first"),
            number("x", Point({"b": "2"}, 2), description="second", scope=other),
        ],
        openmetrics=True,
    )
    [metric] = parsed(page, openmetrics=True)
    found = {s.labels["otel_scope_name"]: (s.value, s.labels["a"], s.labels["b"]) for s in metric.samples}
    assert found == {"library": (1, "1", ""), "other": (2, "", "2")}
    assert {s.labels["otel_scope_part"] for s in metric.samples} == {"", "b"}
    assert metric.documentation == "first"


def test_a_unit_may_be_in_the_name_of_one_and_the_unit_of_the_other() -> None:
    page = ours(
        [number("x.seconds", kind="gauge"), number("x", kind="gauge", unit="s", scope=Scope("other"))],
        openmetrics=True,
    )
    [metric] = parsed(page, openmetrics=True)
    assert (metric.name, metric.unit, len(metric.samples)) == ("x_seconds", "seconds", 2)


def test_series_with_the_same_labels_are_combined() -> None:
    """Sums and histograms are added, of gauges the one that was set last stays."""
    one, two = {"a.b": "1"}, {"a_b": "1"}
    page = ours(
        [
            number("c", Point(one, 1), Point(two, 2)),
            number("u", Point(one, 1), Point(two, 2.5), kind="up_down_counter"),
            number("g", Point(one, 7, time_ns=9), Point(two, 8, time_ns=3), kind="gauge"),
            duration(
                Point(one, Distribution([1, 0, 0, 1], 11.0, 0.0, 11.0)),
                Point(two, Distribution([0, 2, 0, 0], 0.5, 0.2, 0.3)),
            ),
        ],
        openmetrics=True,
    )
    found = samples(page, openmetrics=True)
    assert [found[name][0] for name in ("c_total", "u", "g")] == [3, 3.5, 7]
    assert found["call_duration_seconds_count"][0] == 4
    assert found["call_duration_seconds_sum"][0] == 11.5


def test_without_scope_labels_scopes_are_added_up() -> None:
    page = ours(
        [number("x", Point({}, 1)), number("x", Point({}, 2), scope=Scope("other"))],
        openmetrics=True,
        renderer=Renderer(scope_labels=False),
    )
    assert samples(page, openmetrics=True) == {"x_total": (3, {})}


def test_target_info_carries_the_resource() -> None:
    resource = {"service.name": "shop", "numbers": [1, 2]}
    labels = {"service_name": "shop", "numbers": "[1, 2]"}
    assert samples(ours([], resource)) == {"target_info": (1, labels)}
    [metric] = parsed(ours([], resource, openmetrics=True), openmetrics=True)
    assert (metric.name, metric.type, metric.samples[0].labels) == ("target", "info", labels)


def test_nothing_is_said_of_nothing() -> None:
    empty = Family(Instrument(SCOPE, "x", "counter"), ())
    assert ours([empty]) == ""
    assert ours([empty], openmetrics=True) == "# EOF\n"


def test_without_suffixes_names_stay() -> None:
    """`UnderscoreEscapingWithoutSuffixes`; OpenMetrics has no counter without `_total` all the same."""
    renderer = Renderer(scope_labels=False, translation="UnderscoreEscapingWithoutSuffixes")
    several = [number("a.b", unit="s"), number("g", kind="gauge", unit="By")]
    lines = ours(several, renderer=renderer).splitlines()
    assert [line for line in lines if "HELP" not in line] == [
        "# TYPE a_b counter",
        "a_b 1",
        "# TYPE g gauge",
        "g 1",
    ]
    found = samples(ours(several, openmetrics=True, renderer=renderer), openmetrics=True)
    assert set(found) == {"a_b_total", "g"}


def test_an_unknown_translation_is_refused() -> None:
    with pytest.raises(ValueError, match="UnderscoreEscapingWithSuffixes"):
        Renderer(translation="Latin")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["x_total", "x", "call_duration_seconds", "call_duration_seconds_bucket"])
def test_only_the_families_asked_for(name: str) -> None:
    point = Point({}, Distribution([1, 0, 0, 0], 0.0, 0.0, 0.0))
    page = ours([number("x"), duration(point), number("y")], {"a": "b"}, only=[name])
    assert [metric.name for metric in parsed(page, openmetrics=False)] == [
        "x" if name.startswith("x") else "call_duration_seconds"
    ]


@pytest.fixture
def lenient() -> Iterator[Callable[[], int]]:
    """The guard swallows as in production; gives the number of what it swallowed here."""
    before = guard.strict(False)
    start = guard.counts().get("relay.prometheus", 0)
    yield lambda: guard.counts().get("relay.prometheus", 0) - start
    guard.strict(before)


def test_a_broken_family_costs_only_itself(
    lenient: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """T46: what cannot be rendered is left out and counted, the page has the rest."""
    monkeypatch.setattr(guard, "say", lambda line: True)
    torn = duration(Point({}, Distribution([1, 1], 0.0, 0.0, 0.0)))
    unknown = number("y", kind="thermometer")
    odd = Family(Instrument(SCOPE, "z", "counter"), [Point(None, 1)])  # type: ignore[arg-type]
    page = ours([torn, unknown, odd, number("x")], openmetrics=True)
    assert samples(page, openmetrics=True) == {"x_total": (1, {})}
    assert lenient() == 3


# -- size -----------------------------------------------------------------------------------


@pytest.fixture
def promtool() -> str:
    """The path of promtool, from the PATH or from where `tests.parts.install` puts it.

    Without one the test is skipped, or fails where services are required.
    """
    places = [str(cache_folder(os.environ) / "bin"), os.environ.get("PATH", "")]
    found = shutil.which("promtool", path=os.pathsep.join(places))
    if found is None:
        (pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip)("there is no promtool")
    return found


def many(count: int) -> Family:
    return number("calls", *(Point({"http.route": f"/some/route/{i}"}, i) for i in range(count)))


def test_a_long_page_comes_in_chunks_and_is_never_held_whole() -> None:
    """10,000 series stream: beyond the labels remembered, memory is a small part of the page."""
    family = many(10_000)
    renderer = Renderer()
    ours([family], renderer=renderer)
    tracemalloc.start()
    try:
        lengths = [len(chunk) for chunk in renderer.render([family], {})]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert max(lengths) < 2 * CHUNK_CHARACTERS
    assert sum(lengths) > 1_200_000
    # Nothing is kept for each series but its place in a list and, for a moment, in a set.
    assert peak < 10_000 * 80 + 8 * CHUNK_CHARACTERS


def test_what_is_remembered_is_bounded() -> None:
    """F-64: series that come and go, as of recycled workers, leave nothing behind for ever."""
    renderer = Renderer(cache_bytes=100_000)
    for round_ in range(20):
        family = number("x", *(Point({"worker": f"{round_}-{i}"}, 1) for i in range(100)))
        ours([family], renderer=renderer)
        assert renderer.cached_bytes < 101_000
    page = ours([many(1000)], renderer=renderer)
    assert page.count("calls_total{") == 1000
    assert 100_000 < renderer.cached_bytes < 101_000
    ours([number("x")], renderer=renderer)
    assert 0 < renderer.cached_bytes < 1000


def test_threads_may_render_at_once() -> None:
    """Labels that one thread adds do not spoil the page of another."""
    renderer = Renderer(cache_bytes=20_000)
    several = [number("x", *(Point({f"k{i}": str(j)}, j) for j in range(20))) for i in range(8)]
    everything = number("x", *(point for family in several for point in family.points))
    expected = said(ours([everything]), openmetrics=False)["x"][3]
    ready = threading.Barrier(8)

    def render(family: Family) -> list[Any]:
        ready.wait(10)
        for _ in range(10):
            found = said(ours([family], renderer=renderer), openmetrics=False)["x"][3]
        return [(name, [pair for pair in labels if pair[1]], value) for name, labels, value in found]

    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(render, several))
    shown = [(name, [pair for pair in labels if pair[1]], value) for name, labels, value in expected]
    assert sorted(row for page in pages for row in page) == sorted(shown)


def of_catalog() -> list[Family]:
    """One series of every metric of ours."""
    found = []
    for metric in catalog.ALL:
        instrument = Instrument(
            SCOPE, metric.name, metric.kind, metric.unit, metric.description, metric.bounds
        )
        counts = [1] * (len(metric.bounds) + 1)
        value = Distribution(counts, 1.0, 0.0, 1.0) if metric.kind == "histogram" else 1
        found.append(Family(instrument, [Point(dict.fromkeys(metric.attributes, "x"), value)]))
    return found


def test_all_metrics_of_ours_stand_on_one_page() -> None:
    """No two of them clash, and OpenMetrics' parser takes them all."""
    page = ours(of_catalog(), openmetrics=True)
    assert len(parsed(page, openmetrics=True)) == len(catalog.ALL)


@pytest.mark.services
def test_promtool_finds_nothing_to_improve_in_ours(promtool: str) -> None:
    """But for names of the semantic conventions that end with "count" and are no histograms."""
    told = [one for one in of_catalog() if not re.match(r"(?!otelc2c).*\.count$", one.instrument.name)]
    page = ours(told, {"service.name": "shop"})
    done = subprocess.run(
        [promtool, "check", "metrics"], input=page, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.services
def test_promtool_accepts_the_page(promtool: str) -> None:
    """`promtool check metrics` finds nothing wrong with the text, and nothing to improve."""
    point = Point({"a.b": "1"}, Distribution([1, 0, 0, 2], 30.0, 0.0, 20.0))
    several = [duration(point), number("requests", description="Requests"), many(10)]
    several[2] = several[2]._replace(instrument=several[2].instrument._replace(description="Calls"))
    page = ours(several, {"service.name": "shop"})
    done = subprocess.run(
        [promtool, "check", "metrics"], input=page, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
