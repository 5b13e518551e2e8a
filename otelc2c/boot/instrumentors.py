"""Which instrumentations are loaded, and why the others are not."""

from collections.abc import Iterable
from importlib.metadata import Distribution, EntryPoint
from typing import Final, Literal, NamedTuple, TypeAlias

from opentelemetry.instrumentation.dependencies import (
    DependencyConflict,
    get_dependency_conflicts,
    get_dist_dependency_conflicts,
)

from otelc2c.boot.installed import INSTRUMENTORS, Installed
from otelc2c.settings import Settings

State: TypeAlias = Literal["active", "absent", "refused", "disabled", "replaced", "failed", "ready"]
OURS: Final = {
    "otelc2c_pyramid": "pyramid",
    "otelc2c_redis": "redis",
    "otelc2c_requests": "requests",
    "otelc2c_sqlalchemy": "sqlalchemy",
    "otelc2c_threading": "threading",
    "otelc2c_wsgi": "wsgi",
}
"""Our instrumentations, and the name under which contrib's of the same subject is known."""
BELOW: Final = {
    "urllib3": "otelc2c_requests",
    "aiopg": "otelc2c_sqlalchemy",
    "asyncpg": "otelc2c_sqlalchemy",
    "mysqlclient": "otelc2c_sqlalchemy",
    "psycopg": "otelc2c_sqlalchemy",
    "psycopg2": "otelc2c_sqlalchemy",
    "pymysql": "otelc2c_sqlalchemy",
    "sqlite3": "otelc2c_sqlalchemy",
}
"""Others' instrumentations of what a library works with that ours measures.

They measure what an application does with it directly, and are kept quiet below ours.
"""

_THERE: Final = frozenset({"active", "ready"})


class Instrumentor(NamedTuple):
    """What became of one instrumentation.

    `active`: it is at work. `absent`: the library is not installed. `refused`: the library has a
    version it does not know. `disabled`: by a variable. `replaced`: ours measures the same.
    `failed`: it raised. `ready`: nothing stands against it, and it has not been loaded.
    """

    name: str
    state: State
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})" if self.detail else self.name


def by_choice(name: str, settings: Settings, names: frozenset[str]) -> Instrumentor | None:
    """Why the settings keep `name` from being loaded, or `None`; `names` are all that are installed.

    The name of a subject (`pyramid`) means contrib's instrumentation and ours.
    """
    known_as = {name, OURS.get(name, name)}
    if settings.disabled:
        return Instrumentor(name, "disabled", "OTEL_SDK_DISABLED")
    if known_as & {*settings.disabled_instrumentations} or "*" in settings.disabled_instrumentations:
        return Instrumentor(name, "disabled", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")
    if settings.instrumentations is not None and not known_as & {*settings.instrumentations}:
        return Instrumentor(name, "disabled", "not in OTELC2C_INSTRUMENTATIONS")
    for ours, subject in OURS.items():
        if subject == name and ours in names and by_choice(ours, settings, names) is None:
            return Instrumentor(name, "replaced", f"by {ours}")
    return None


def by_version(name: str, conflict: DependencyConflict | None) -> Instrumentor | None:
    """Why installed versions keep `name` from being loaded, or `None`."""
    if conflict is None:
        return None
    wanted = [conflict.required] if conflict.required else list(conflict.required_any or ())
    needs = " or ".join(str(each).partition(";")[0].strip() for each in wanted)
    found = [conflict.found] if conflict.found else list(conflict.found_any or ())
    if not found:
        return Instrumentor(name, "absent", f"needs {needs}")
    return Instrumentor(name, "refused", f"needs {needs}, found {', '.join(map(str, found))}")


def with_overlaps(found: Iterable[Instrumentor]) -> list[Instrumentor]:
    """The same, where those at work that ours keeps quiet below itself say so."""
    told = list(found)
    there = {what.name for what in told if what.state in _THERE}
    return [
        what._replace(detail=f"quiet below {BELOW[what.name]}")
        if what.state in _THERE and BELOW.get(what.name) in there
        else what
        for what in told
    ]


def dependencies_of(instrumentor: object) -> DependencyConflict | None:
    """What an instrumentor says itself of the versions it needs."""
    ask = getattr(instrumentor, "instrumentation_dependencies", None)
    return get_dependency_conflicts(ask()) if callable(ask) else None


def survey(settings: Settings, installed: Installed) -> dict[str, Instrumentor]:
    """Every installed instrumentation by name, without loading any: those that could be are `ready`."""
    entries = installed.group(INSTRUMENTORS)
    names = frozenset(entry.name for entry in entries)
    return {
        entry.name: by_choice(entry.name, settings, names)
        or by_version(entry.name, _requirements(entry.dist))
        or Instrumentor(entry.name, "ready")
        for entry in entries
    }


def _requirements(distribution: Distribution | None) -> DependencyConflict | None:
    return None if distribution is None else get_dist_dependency_conflicts(distribution)


def missing(name: str, error: ModuleNotFoundError) -> Instrumentor:
    """The library is not there; where it is a module of ours that is missing, we failed."""
    ours = (error.name or "").partition(".")[0] == "otelc2c"
    return Instrumentor(name, "failed" if ours else "absent", str(error))


def at_work(entry: EntryPoint) -> Instrumentor:
    """What became of an instrumentation that another distribution may have switched on."""
    try:
        is_active = bool(getattr(entry.load()(), "is_instrumented_by_opentelemetry", False))
    except Exception as error:  # any code may run when a module is imported
        return Instrumentor(entry.name, "failed", f"{type(error).__name__}: {error}")
    return Instrumentor(entry.name, "active" if is_active else "ready")


def imported(entry: EntryPoint) -> Instrumentor:
    """What loading the instrumentation without switching it on shows; for looking only."""
    try:
        found = by_version(entry.name, dependencies_of(entry.load()()))
    except ModuleNotFoundError as error:
        return missing(entry.name, error)
    except Exception as error:
        return Instrumentor(entry.name, "failed", f"{type(error).__name__}: {error}")
    return found or Instrumentor(entry.name, "ready")
