"""The resource: what all signals of a pod say of where they come from."""

import os
import platform
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from typing import Final

from opentelemetry.sdk.resources import Resource, ResourceDetector
from opentelemetry.sdk.version import __version__ as sdk_version
from opentelemetry.semconv._incubating.attributes import (
    process_attributes,
    service_attributes,
    telemetry_attributes,
)

from otelc2c.boot.installed import RESOURCE_DETECTORS, Installed
from otelc2c.settings import Problem, Settings

NAME: Final = "otelc2c"
_OF_ONE_PROCESS: Final = (
    process_attributes.PROCESS_PID,
    process_attributes.PROCESS_PARENT_PID,
    service_attributes.SERVICE_INSTANCE_ID,
)
"""Attributes that detectors find of the process that asks, wrong for a pod of several."""
_OWN_WAY: Final = frozenset({"otel", NAME, "service_instance"})
"""Detectors whose work is done here: from the settings, or once for the whole pod."""


def own_version() -> str:
    """The version of this distribution."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "unknown"


def new_instance_id() -> str:
    """A `service.instance.id` for a new pod: a random UUID, whatever the application seeds."""
    return str(uuid.UUID(bytes=os.urandom(16), version=4))


def runtime() -> dict[str, str]:
    """What all processes of a pod share: this distribution and the interpreter."""
    info = sys.version_info
    exact = info.releaselevel == "final" and not info.serial
    return {
        telemetry_attributes.TELEMETRY_DISTRO_NAME: NAME,
        telemetry_attributes.TELEMETRY_DISTRO_VERSION: own_version(),
        process_attributes.PROCESS_RUNTIME_NAME: sys.implementation.name,
        process_attributes.PROCESS_RUNTIME_VERSION: ".".join(map(str, info[:3] if exact else info)),
        process_attributes.PROCESS_RUNTIME_DESCRIPTION: f"{platform.python_implementation()} {sys.version}",
    }


class Detector(ResourceDetector):
    """The resource detector `otelc2c`, for providers that an application makes by itself."""

    def detect(self) -> Resource:
        """This distribution and the interpreter."""
        return Resource(dict(runtime()))


def build_resource(
    settings: Settings, instance_id: str, installed: Installed | None = None
) -> tuple[Resource, tuple[Problem, ...]]:
    """The resource of a pod, and what was wrong with detectors that were asked for.

    What the operator wrote wins: `OTEL_SERVICE_NAME`, then `OTEL_RESOURCE_ATTRIBUTES`, then the
    detectors in their order, then ours. `instance_id` is the pod's `service.instance.id` where
    the operator gave none. There is no process id, because several processes are one resource.
    """
    found = Resource(
        {
            telemetry_attributes.TELEMETRY_SDK_LANGUAGE: "python",
            telemetry_attributes.TELEMETRY_SDK_NAME: "opentelemetry",
            telemetry_attributes.TELEMETRY_SDK_VERSION: sdk_version,
            **runtime(),
        }
    )
    problems = []
    for name, entry in _detectors(settings, installed or Installed()):
        try:
            found = found.merge(_of_pod(entry.load()().detect()))
        except Exception as error:
            problems.append(Problem("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", f"{name}: {error}"))
    attributes: dict[str, str] = {service_attributes.SERVICE_INSTANCE_ID: instance_id}
    attributes.update(settings.resource_attributes)
    if settings.service_name:
        attributes[service_attributes.SERVICE_NAME] = settings.service_name
    elif not {**found.attributes, **attributes}.get(service_attributes.SERVICE_NAME):
        attributes[service_attributes.SERVICE_NAME] = unnamed_service()
    return found.merge(Resource(dict(attributes))), tuple(problems)


def unnamed_service() -> str:
    """What a service is called that nobody named, as OpenTelemetry's SDK calls it."""
    return f"unknown_service:{os.path.basename(sys.executable)}" if sys.executable else "unknown_service"


def _detectors(settings: Settings, installed: Installed) -> Iterator[tuple[str, EntryPoint]]:
    names: dict[str, None] = {}
    for name in settings.resource_detectors:
        every = [entry.name for entry in installed.group(RESOURCE_DETECTORS)] if name == "*" else [name]
        names.update(dict.fromkeys(every))
    for name in names:
        # One that is not installed is named by `boot.checks`.
        entry = installed.find(RESOURCE_DETECTORS, name)
        if entry is not None and name not in _OWN_WAY:
            yield name, entry


def _of_pod(detected: Resource) -> Resource:
    kept = {key: value for key, value in detected.attributes.items() if key not in _OF_ONE_PROCESS}
    return Resource(kept, detected.schema_url)
