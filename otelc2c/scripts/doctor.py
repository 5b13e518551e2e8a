"""`otelc2c doctor`: what a start in this environment would do, as a table, and what cannot work.

Nothing is switched on. Connections are tried with a limit of one second each.
"""

import os
import shutil
import socket
import sys
import urllib.request
import warnings
from collections.abc import Iterable, MutableMapping, Sequence
from importlib.metadata import entry_points
from typing import NamedTuple, TextIO

from otelc2c.settings import Otlp, Settings

LIMIT = 1.0
"""Seconds for each connection that is tried."""
PAGE_OF_OURS = b'telemetry_distro_name="otelc2c"'


class Check(NamedTuple):
    """One thing that was tried."""

    what: str
    works: bool
    found: str


def doctor(environ: MutableMapping[str, str], out: TextIO | None = None) -> int:
    """Print the table to `out`; 1 when something that was asked for cannot work, otherwise 0."""
    settings = Settings.from_environ(environ)
    _make_importable(settings, environ)
    # Only now, because these imports fail where a propagator is not installed.
    from otelc2c.boot.instrumentors import imported
    from otelc2c.boot.report import StartReport

    report = StartReport(settings)
    for what in report.instrumentors:
        entry = report.installed.find("opentelemetry_instrumentor", what.name)
        if what.state == "ready" and entry is not None:
            with warnings.catch_warnings(action="ignore"):
                report.instrumentor(imported(entry))
    checks = [] if settings.disabled else [*reachable(settings), *page(settings), *folder(settings)]
    text = render(
        ("Settings", settings_rows(settings)),
        ("Instrumentations", [(what.name, what.state, what.detail) for what in report.instrumentors]),
        ("Signals", [tuple(found) for found in report.destinations]),
        ("Checks", [(check.what, "works" if check.works else "FAILS", check.found) for check in checks]),
        ("Notes", [(note,) for note in report.notes]),
        ("Problems", [tuple(problem) for problem in report.problems]),
    )
    # What came from the environment may be no valid text.
    (out or sys.stdout).write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
    return 1 if report.problems or not all(check.works for check in checks) else 0


def _make_importable(settings: Settings, environ: MutableMapping[str, str]) -> None:
    """Leave out propagators that are not installed: OpenTelemetry's API cannot be imported with them."""
    names = {entry.name for entry in entry_points(group="opentelemetry_propagator")}
    there = [name for name in settings.propagators if name in names]
    if len(there) < len(settings.propagators):
        environ["OTEL_PROPAGATORS"] = ",".join(there) or "none"


def settings_rows(settings: Settings) -> list[tuple[str, str, str]]:
    """Variable, whether it is set, and value of each setting; secrets are masked.

    Addresses that nothing is sent to are left out, unless they are set.
    """
    users = {"otlp_traces": settings.traces_exporters, "otlp_metrics": settings.metrics_exporters}
    rows = []
    for name, text in settings.shown().items():
        is_set = name in settings.sources
        if is_set or "otlp" in users.get(name.partition(".")[0], ("otlp",)):
            rows.append((settings.variable(name), "set" if is_set else "default", text or "-"))
    return rows


def reachable(settings: Settings) -> Iterable[Check]:
    """Whether something listens where OTLP is to be sent."""
    tried: dict[tuple[str, int], str] = {}
    for signal, exporters, otlp in (
        ("spans", settings.traces_exporters, settings.otlp_traces),
        ("numbers", settings.metrics_exporters, settings.otlp_metrics),
    ):
        if "otlp" in exporters:
            address = otlp.address()
            if address not in tried:
                tried[address] = _connect(otlp)
            failure = tried[address]
            shown = f"{address[0]}:{address[1]}"
            yield Check(
                f"OTLP {signal}", not failure, f"{shown}: {failure}" if failure else f"{shown} is reachable"
            )


def _connect(otlp: Otlp) -> str:
    """Why no connection can be made, or nothing."""
    try:
        socket.create_connection(otlp.address(), LIMIT).close()
    except OSError as error:
        return f"{otlp.address()[0]}: {error}" if isinstance(error, socket.gaierror) else str(error)
    return ""


def page(settings: Settings) -> Iterable[Check]:
    """Whether the page of numbers can be served, or is served already by a pod of ours."""
    if "prometheus" not in settings.metrics_exporters or settings.relay == "off":
        return
    host, port = settings.prometheus_host, settings.prometheus_port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
    except OSError as error:
        if port and _is_ours(host, port):
            yield Check("page of numbers", True, f"{host}:{port} is served by a running otelc2c")
        else:
            yield Check("page of numbers", False, f"{host}:{port}: {error}")
    else:
        yield Check("page of numbers", True, f"{host}:{port or '(any free port)'} is free")


def _is_ours(host: str, port: int) -> bool:
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - asked, not bound
    url = f"http://[{local}]:{port}/metrics" if ":" in local else f"http://{local}:{port}/metrics"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=LIMIT) as answer:
            return PAGE_OF_OURS in answer.read(1 << 20)
    except (OSError, ValueError):
        return False


def folder(settings: Settings) -> Iterable[Check]:
    """Whether the folder of a pod can be made; it is made, and removed at once."""
    from otelc2c.boot.life import ring_bytes
    from otelc2c.record import folder as folders
    from otelc2c.record.layout import CHUNK_BYTES, HEADER_BYTES

    parents = (settings.folder,) if settings.folder else folders.default_parents()
    try:
        made = folders.create(parents, CHUNK_BYTES + HEADER_BYTES + ring_bytes(settings.bsp_max_queue_size))
    except OSError as error:
        yield Check("folder of the pod", False, str(error))
    else:
        made.leave()
        shutil.rmtree(made.path, ignore_errors=True)
        yield Check("folder of the pod", True, f"can be made in {os.path.dirname(made.path)}")


def render(*sections: tuple[str, Sequence[Sequence[str]]]) -> str:
    """Sections with aligned columns; empty ones are left out."""
    lines: list[str] = []
    for title, rows in sections:
        if not rows:
            continue
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["", title] if lines else [title]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"
