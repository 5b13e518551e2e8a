"""Which names a library's operations have: the stable conventions', those before them, or both."""

from collections.abc import Collection
from typing import NamedTuple


class Conventions(NamedTuple):
    """Whether attributes carry the names of before the stable conventions, the stable ones, or both."""

    old: bool
    new: bool


def asked_for(subject: str, opt_in: Collection[str]) -> Conventions:
    """What OTEL_SEMCONV_STABILITY_OPT_IN says of `subject`, which is "http" or "database".

    Nothing and the subject alone mean the stable names, `subject/dup` both, and `subject/old`, which other
    instrumentations take for their own default, those of before. As upstream, `dup` comes first.
    """
    if f"{subject}/dup" in opt_in:
        return Conventions(old=True, new=True)
    if f"{subject}/old" in opt_in and subject not in opt_in:
        return Conventions(old=True, new=False)
    return Conventions(old=False, new=True)
