"""Read the samples of a Prometheus page in text format 0.0.4."""

import re
import urllib.request
from collections.abc import Iterator, Mapping
from typing import NamedTuple

SECONDS = 5.0
"""Longest time for one scrape."""

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class Sample(NamedTuple):
    """One line of the page."""

    name: str
    labels: Mapping[str, str]
    value: float


class NoPage(RuntimeError):
    """The page cannot be read; the message says why."""


def scrape(url: str) -> list[Sample]:
    """The samples of the page at `url`. Raises NoPage."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 (a page of our own)
            text: str = answer.read().decode()
    except OSError as error:
        raise NoPage(f"the metrics page at {url} does not answer: {error}") from None
    return list(read(text))


def read(text: str) -> Iterator[Sample]:
    """The samples of a page. Raises NoPage at a line that is none of the format's."""
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        found = _SAMPLE.match(line)
        if found is None:
            raise NoPage(f"the metrics page has a line that cannot be read: {line!r}")
        name, labels, value = found.groups()
        yield Sample(name, dict(_labels(labels or "")), float(value))


def _labels(text: str) -> Iterator[tuple[str, str]]:
    for name, value in _LABEL.findall(text):
        yield name, _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], value)
