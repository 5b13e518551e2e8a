"""The catalogue of metrics, against the semantic conventions and against itself."""

import importlib
import inspect
import pkgutil
import re
from types import ModuleType

import pytest
from opentelemetry.semconv import metrics as stable_metrics
from opentelemetry.semconv._incubating import attributes as incubating_attributes
from opentelemetry.semconv._incubating import metrics as incubating_metrics

from otelc2c import catalog
from otelc2c.catalog import Metric

CONVENTIONAL = [metric for metric in catalog.ALL if not metric.name.startswith("otelc2c.")]
_DOCUMENTED = re.compile(
    r'^[A-Z_]+: Final = "(?P<name>[^"]+)"\n"""\n(?P<sentence>.*)\n'
    r"Instrument: (?P<kind>.*)\nUnit: (?P<unit>.*)\n",
    re.MULTILINE,
)
_KINDS = {
    "counter": "counter",
    "updowncounter": "up_down_counter",
    "histogram": "histogram",
    "gauge": "gauge",
}


@pytest.fixture(scope="module")
def conventions() -> dict[str, tuple[str, str, str]]:
    """Kind, unit and sentence of the conventions' metrics by name; deprecated ones have none."""
    return {
        found["name"]: (_KINDS[found["kind"]], found["unit"], found["sentence"] + ".")
        for package in (incubating_metrics, stable_metrics)
        for module in _modules(package)
        for found in _DOCUMENTED.finditer(inspect.getsource(module))
    }


def _modules(package: ModuleType) -> list[ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def _conventional_attributes() -> set[str]:
    return {
        value
        for module in _modules(incubating_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }


@pytest.mark.parametrize("metric", CONVENTIONAL, ids=lambda metric: metric.name)
def test_conventional_metrics_are_what_the_conventions_say(
    metric: Metric, conventions: dict[str, tuple[str, str, str]]
) -> None:
    kind, unit, description = conventions[metric.name]
    assert (metric.kind, metric.unit, metric.description) == (kind, unit, description)


def test_conventional_attributes_have_the_conventions_names() -> None:
    used = {key for metric in catalog.ALL for key in metric.attributes if not key.startswith("otelc2c.")}
    assert used - _conventional_attributes() == set()


def test_http_durations_have_the_conventions_buckets() -> None:
    assert catalog.HTTP_SERVER_REQUEST_DURATION.bounds == (
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    )  # fmt: skip


def test_every_metric_is_listed_once_under_one_name() -> None:
    declared = [value for value in vars(catalog).values() if isinstance(value, Metric)]
    assert list(catalog.ALL) == declared
    assert len({metric.name for metric in catalog.ALL}) == len(catalog.ALL)


@pytest.mark.parametrize("metric", catalog.ALL, ids=lambda metric: metric.name)
def test_every_metric_is_complete(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_.]{0,254}", metric.name)
    assert metric.unit
    assert metric.description.endswith(".")
    assert bool(metric.bounds) == (metric.kind == "histogram")
    assert list(metric.bounds) == sorted(set(metric.bounds))
    assert len(set(metric.attributes)) == len(metric.attributes)


def test_reference_has_a_row_for_each_metric_in_order() -> None:
    rows = catalog.reference()
    assert [row[0] for row in rows] == [metric.name for metric in catalog.ALL]
    row = rows[0]
    assert row[1:3] == ("histogram", "s")
    assert row[3].startswith("http.request.method, url.scheme, http.route")
