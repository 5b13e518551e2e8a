"""The cases that are compared: who measures the application, and with which variables."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

from opentelemetry.instrumentation import auto_instrumentation

HERE = Path(__file__).parent
Who = Literal["plain", "contrib", "otelc2c"]

FOLDERS: Final[Mapping[Who, Path | None]] = {
    "plain": None,
    "contrib": HERE / "contrib",
    "otelc2c": Path(auto_instrumentation.__file__).parent,
}
"""The folder whose `sitecustomize` starts each of them."""

INHERITED: Final = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
VARIABLES: Final = 16
"""Variables that every case has, since some libraries walk the whole environment."""

METRICS_ONLY: Final = {"OTEL_TRACES_SAMPLER": "always_off"}
DISABLED: Final = {"OTEL_SDK_DISABLED": "true"}
NO_PROCESSES: Final = {"OTELC2C_PROCESS_METRICS": "off"}
"""The peer tells nothing of processes; a row of its own shows what that costs."""
RELAY_HERE: Final = {"OTELC2C_RELAY": "off"}
"""No relay process: the counted process does its work at the end of each round."""
OTHERS: Final = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx,jinja2,psycopg,urllib3"}
"""Instrumentations that tests need here: the peer's start does not load them either."""
OURS: Final = RELAY_HERE | NO_PROCESSES | OTHERS
SUBJECT: Final = "BENCH_SUBJECT"
"""Tells the peer's start which libraries to instrument."""


class Case(NamedTuple):
    """One way to run the application. `limit` is the largest part of the peer's added cost."""

    name: str
    who: Who
    variables: Mapping[str, str]
    peer: str = ""
    limit: float = 0.0
    limit_k: float = 0.0
    """The largest added cost in thousand instructions a request."""
    subject: str = "hello"
    """What the application does for a request."""


CASES: Final = (
    Case("plain", "plain", {}),
    Case("plain again", "plain", {}),
    Case("contrib, everything sampled", "contrib", {}),
    Case("contrib, metrics only", "contrib", METRICS_ONLY),
    Case("contrib, disabled", "contrib", DISABLED),
    Case("otelc2c, everything sampled", "otelc2c", OURS, "contrib, everything sampled", 0.1, 175),
    Case("otelc2c, the same with process metrics", "otelc2c", RELAY_HERE),
    Case("otelc2c, metrics only", "otelc2c", METRICS_ONLY | OURS, "contrib, metrics only", 0.125, 103),
    Case("otelc2c, disabled", "otelc2c", DISABLED | RELAY_HERE, "contrib, disabled", 0.01, 2),
)

_ADDED_K: Final = {
    "redis": {"otelc2c, everything sampled": 290, "otelc2c, metrics only": 125},
    "mixed": {"otelc2c, everything sampled": 715, "otelc2c, metrics only": 340},
}
"""The largest added cost of the cases that have a goal, by subject."""


def of_subject(case: Case, subject: str) -> Case:
    """The same case with an application that does something else for a request."""
    told = {SUBJECT: subject} if case.who == "contrib" and subject != "hello" else {}
    return case._replace(subject=subject, variables={**case.variables, **told})


def cases_of(subject: str) -> tuple[Case, ...]:
    """The cases with an application that does more for a request than to say hello."""
    added = _ADDED_K[subject]
    return tuple(
        of_subject(case, subject)._replace(limit_k=added.get(case.name, case.limit_k)) for case in CASES
    )


def environ(case: Case, endpoint: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a case: its launcher, the receiver, and padding to one number of variables.

    The periodic exports of the peer are put off beyond a round, so that each round holds exactly one.
    """
    made = {name: os.environ[name] for name in INHERITED if name in os.environ}
    made["PYTHONPATH"] = os.pathsep.join((str(FOLDERS[case.who] or HERE / "nothing"), str(HERE.parents[1])))
    if case.who != "plain":
        made |= {
            "OTEL_SERVICE_NAME": "bench",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
        }
    made |= case.variables
    made |= more or {}
    for number in range(VARIABLES - len(made)):
        made[f"BENCH_PADDING_{number}"] = "x"
    return made
