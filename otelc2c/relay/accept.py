"""Which format and encoding a client of the page gets (RFC 9110, 12.5)."""

from collections.abc import Iterator
from typing import Final, NamedTuple


class Format(NamedTuple):
    """One of the formats of the page."""

    openmetrics: bool
    content_type: str


TEXT: Final = Format(False, "text/plain; version=0.0.4; charset=utf-8")
TEXT_1: Final = Format(False, "text/plain; version=1.0.0; charset=utf-8")
OPENMETRICS: Final = Format(True, "application/openmetrics-text; version=1.0.0; charset=utf-8")

_FORMATS: Final = {
    ("application/openmetrics-text", ""): OPENMETRICS,
    ("application/openmetrics-text", "1.0.0"): OPENMETRICS,
    ("text/plain", "0.0.4"): TEXT,
    ("text/plain", "1.0.0"): TEXT_1,
    ("text/plain", ""): TEXT,
    ("application/*", ""): OPENMETRICS,
    ("text/*", ""): TEXT,
    ("*/*", ""): TEXT,
}


def chosen_format(accept: str) -> Format:
    """The format that `accept`, an Accept header, likes best; text 0.0.4 when it likes none of ours.

    A client that speaks of escaping is told ours in the content type: every name is escaped
    with underscores already.
    """
    best, best_rank = TEXT, (0.0, 0)
    for media, parameters in _items(accept):
        found = _FORMATS.get((media, parameters.get("version", "")))
        if found is None:
            continue
        rank = (_quality(parameters), 2 - media.count("*"))
        if rank[0] > 0 and rank > best_rank:
            if "escaping" in parameters:
                found = found._replace(content_type=f"{found.content_type}; escaping=underscores")
            best, best_rank = found, rank
    return best


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client with this Accept-Encoding header takes gzip."""
    codings = {coding: _quality(parameters) for coding, parameters in _items(accept_encoding)}
    return codings.get("gzip", codings.get("*", 0.0)) > 0


def _items(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    for item in header.split(","):
        value, *parameters = item.split(";")
        pairs = (parameter.partition("=") for parameter in parameters)
        yield value.strip().lower(), {k.strip().lower(): v.strip().strip('"') for k, _, v in pairs}


def _quality(parameters: dict[str, str]) -> float:
    """The `q` of one item: 1 where there is none, 0 where it is no number between 0 and 1."""
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
