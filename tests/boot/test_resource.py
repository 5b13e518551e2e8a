"""The resource of a pod: the operator's words win, and nothing in it belongs to one process."""

import uuid
from importlib.metadata import PackageNotFoundError

import pytest
from opentelemetry.sdk.resources import Resource, ResourceDetector

from otelc2c.boot.installed import RESOURCE_DETECTORS, Installed
from otelc2c.boot.resource import Detector, build_resource, new_instance_id, own_version
from otelc2c.settings import Settings
from tests.boot.fakes import entry_point

POD_ID = "6b3f1c2e-0000-4000-8000-000000000000"


class Cloud(ResourceDetector):
    """Finds a region, and things of its own process."""

    def detect(self) -> Resource:
        return Resource(
            {
                "cloud.region": "eu",
                "service.name": "guessed",
                "service.instance.id": "mine",
                "process.pid": 7,
            },
            "https://opentelemetry.io/schemas/1.30.0",
        )


class Broken(ResourceDetector):
    """Raises."""

    def detect(self) -> Resource:
        raise RuntimeError("no metadata service")


INSTALLED = Installed(
    [
        entry_point(RESOURCE_DETECTORS, "cloud", "tests.boot.test_resource:Cloud"),
        entry_point(RESOURCE_DETECTORS, "broken", "tests.boot.test_resource:Broken"),
        entry_point(RESOURCE_DETECTORS, "otel", "no_such_module:Otel"),
    ]
)


def build(**environ: str) -> tuple[Resource, list[str]]:
    resource, problems = build_resource(Settings.from_environ(environ), POD_ID, INSTALLED)
    return resource, list(map(str, problems))


def test_a_pod_says_its_service_its_instance_and_what_it_runs_on() -> None:
    resource, problems = build(OTEL_SERVICE_NAME="shop", OTEL_RESOURCE_ATTRIBUTES="a=1,service.name=other")
    found = dict(resource.attributes)
    assert problems == []
    assert str(found.pop("process.runtime.description")).startswith("CPython 3.")
    assert set(found) == {
        "service.name", "service.instance.id", "a", "telemetry.sdk.name", "telemetry.sdk.language",
        "telemetry.sdk.version", "telemetry.distro.name", "telemetry.distro.version",
        "process.runtime.name", "process.runtime.version",
    }  # fmt: skip
    assert found["service.name"] == "shop"
    assert found["service.instance.id"] == POD_ID
    assert found["telemetry.distro.name"] == "otelc2c"
    assert found["a"] == "1"


def test_an_instance_id_of_the_users_is_respected() -> None:
    resource, _ = build(OTEL_RESOURCE_ATTRIBUTES="service.instance.id=web-1")
    assert resource.attributes["service.instance.id"] == "web-1"


def test_the_service_name_may_come_from_the_attributes() -> None:
    resource, _ = build(OTEL_RESOURCE_ATTRIBUTES="service.name=by%20attribute")
    assert resource.attributes["service.name"] == "by attribute"


def test_without_a_name_the_service_is_called_what_the_sdk_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"):
        monkeypatch.delenv(name, raising=False)
    theirs = Resource.create().attributes
    ours = build()[0].attributes
    assert {key: ours[key] for key in theirs if key != "service.instance.id"} == {
        key: value for key, value in theirs.items() if key != "service.instance.id"
    }


@pytest.mark.parametrize("names", ["cloud", "*", "otel,cloud,otelc2c"])
def test_detectors_are_asked_and_lose_what_belongs_to_one_process(names: str) -> None:
    resource, _ = build(
        OTEL_EXPERIMENTAL_RESOURCE_DETECTORS=names, OTEL_RESOURCE_ATTRIBUTES="cloud.region=us"
    )
    assert resource.attributes["cloud.region"] == "us"
    assert resource.attributes["service.name"] == "guessed"
    assert resource.attributes["service.instance.id"] == POD_ID
    assert "process.pid" not in resource.attributes
    assert resource.schema_url == "https://opentelemetry.io/schemas/1.30.0"


def test_a_detector_that_fails_is_named_and_the_others_count() -> None:
    resource, problems = build(OTEL_EXPERIMENTAL_RESOURCE_DETECTORS="broken,cloud")
    assert resource.attributes["cloud.region"] == "eu"
    assert problems == ["OTEL_EXPERIMENTAL_RESOURCE_DETECTORS: broken: no metadata service"]


def test_the_detector_for_providers_of_the_applications_own() -> None:
    assert Detector().detect().attributes["telemetry.distro.name"] == "otelc2c"


def test_a_copy_that_was_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("otelc2c.boot.resource.version", not_installed)
    assert own_version() == "unknown"


def test_instance_ids_are_uuids_and_differ() -> None:
    first, second = new_instance_id(), new_instance_id()
    assert uuid.UUID(first).version == 4
    assert first != second
