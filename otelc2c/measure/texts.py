"""Texts of exceptions may be told, but not what URLs in them hold: users, passwords and queries (T41).

Libraries put the whole URL into what they raise: requests does for each call that fails, and drivers of
databases do. Linear in the length of the text.
"""

import re
from typing import Final

REDACTED: Final = "REDACTED"
_WORD: Final = re.compile(r'[^\s"<>]+')
_AUTHORITY_END: Final = re.compile("[/?#]")


def without_secrets(text: str) -> str:
    """`text` with URLs, and paths with a query, as they may be told."""
    if "?" not in text and "@" not in text and "#" not in text:
        return text
    return _WORD.sub(_word, text)


def _word(found: re.Match[str]) -> str:
    word = found[0]
    scheme = word.find("://")
    if scheme < 0:
        return _without_query(word, word.find("/"), "?")
    # Several URLs may be in one word, with a comma between them.
    first, *rest = _without_query(word, scheme, "?#").split("://")
    return "://".join([first, *map(_without_user, rest)])


def _without_query(word: str, start: int, marks: str) -> str:
    """The word without what stands behind the first of `marks` after `start`, which is -1 for no URL."""
    if start < 0:
        return word
    ends = [end for mark in marks if (end := word.find(mark, start)) >= 0]
    return f"{word[: min(ends) + 1]}{REDACTED}" if ends else word


def _without_user(rest: str) -> str:
    """What stands behind "://", without user and password."""
    end = _AUTHORITY_END.search(rest)
    authority, path = (rest, "") if end is None else (rest[: end.start()], rest[end.start() :])
    return authority.rpartition("@")[2] + path
