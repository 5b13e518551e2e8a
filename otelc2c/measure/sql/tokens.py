"""SQL as tokens: one pass over the text, in linear time, for any input.

The databases disagree about what a quotation mark means, and a wrong guess would take the rest of
a text for code that is data. So who has the text says which syntax it is written in.
"""

import re
from typing import Final, NamedTuple, TypeAlias

Kind: TypeAlias = int
SPACE: Final = 0
"""White space, and comments, which are not handed on."""
WORD: Final = 1
NAME: Final = 2
"""A quoted identifier, with its quotes."""
LITERAL: Final = 3
PARAMETER: Final = 4
OPEN: Final = 5
CLOSE: Final = 6
COMMA: Final = 7
DOT: Final = 8
SEMICOLON: Final = 9
SIGN: Final = 10
OTHER: Final = 11

Token: TypeAlias = tuple[Kind, str]
_LONGEST_KEYWORD: Final = 18


def keyword(value: str) -> str:
    """A word in the case of keywords; empty for what is too long for one."""
    return value.upper() if len(value) <= _LONGEST_KEYWORD else ""


def words(text: str) -> frozenset[str]:
    """The words of `text` as a set."""
    return frozenset(text.split())


class Syntax(NamedTuple):
    """Where databases differ."""

    backslashes: bool = False
    """Whether a backslash quotes the next character in every string."""
    double_quoted_text: bool = False
    """Whether "x" is a string, and no identifier."""
    hash_comments: bool = False
    """Whether # begins a comment."""
    nested_comments: bool = True
    brackets: bool = False
    """Whether [x] is always an identifier; else only where it looks like one."""
    money: bool = False
    """Whether $1 is an amount, and no parameter."""


STANDARD: Final = Syntax()
MYSQL: Final = Syntax(backslashes=True, double_quoted_text=True, hash_comments=True, nested_comments=False)
SQLITE: Final = Syntax(nested_comments=False, brackets=True)
MSSQL: Final = Syntax(brackets=True, money=True)
ORACLE: Final = Syntax(nested_comments=False)

SYNTAX: Final = {"mysql": MYSQL, "mariadb": MYSQL, "sqlite": SQLITE, "mssql": MSSQL, "oracle": ORACLE}
"""By SQLAlchemy's name of the dialect; what is not here has the standard one."""

# Every alternative is decided by its first characters and never gives back what it took.
_PARTS: Final = r"""
  (?P<space>\s+)
| (?P<word>{word})
| (?P<number>(?:\d|\.\d)[\w.]*(?:(?<=[eE])[+-]\d+)?)
| (?P<line>--)
| (?P<block>/\*)
| (?P<single>')
| (?P<double>")
| (?P<backtick>`)
| (?P<bracket>\[)
| (?P<dollar>\$(?:[^\W\d]\w*)?\$)
| (?P<numbered>\$\d+(?:\.\d+)?)
| (?P<cast>::)
| (?P<parameter>\?\d*|:\w+|%\([^()'"]{{0,80}}\)[a-z]|%[sbt](?!\w)|\$[^\W\d]\w*)
| (?P<hash>\#)
| (?P<dot>\.)
| (?P<sign>[+-])
| (?P<other>.)
"""
_WORD: Final = r"@{0,2}[^\W\d](?:[\w$]|[@](?=\w))*"
_WORD_WITH_HASH: Final = r"(?:\#{1,2}|@{0,2})[^\W\d](?:[\w$]|[\#@](?=\w))*"
_FLAGS: Final = re.VERBOSE | re.DOTALL
_NEXT: Final = {
    True: re.compile(_PARTS.format(word=_WORD), _FLAGS).match,
    False: re.compile(_PARTS.format(word=_WORD_WITH_HASH), _FLAGS).match,
}
_SINGLES: Final = {
    "dot": DOT,
    "sign": SIGN,
    "cast": OTHER,
    "other": OTHER,
    "word": WORD,
    "parameter": PARAMETER,
    "number": LITERAL,
}
_ALONE: Final = {"(": (OPEN, "("), ")": (CLOSE, ")"), ",": (COMMA, ","), ";": (SEMICOLON, ";")}
_PREFIXES: Final = frozenset({"e", "n", "b", "x", "r", "u", "q", "nq", "br"})
"""Letters that belong to the string which follows them without a space."""
_END_OF_LINE: Final = re.compile(r"[\r\n]")
_COMMENT_MARK: Final = re.compile(r"/\*|\*/")
_ESCAPED: Final = {
    "'": re.compile(r"'(?:[^'\\]++|\\.|'')*+(')?", re.DOTALL),
    '"': re.compile(r'"(?:[^"\\]++|\\.|"")*+(")?', re.DOTALL),
}
"""What is taken is never given back, so that time is linear."""
_LIKE_A_NAME: Final = re.compile(r"\[[^\W\d][\w $#@.-]{0,126}\]")
_ORACLE_CLOSING: Final = {"[": "]", "{": "}", "(": ")", "<": ">"}


def tokens(text: str, syntax: Syntax = STANDARD, most: int = 1 << 62) -> list[Token]:
    """The tokens of `text`, at most `most`. Never raises.

    A quotation or comment without an end goes to the end.
    """
    found: list[Token] = []
    add = found.append
    following = _NEXT[syntax.hash_comments]
    position, size = 0, len(text)
    while position < size and len(found) < most:
        alone = _ALONE.get(text[position])
        if alone is not None:
            add(alone)
            position += 1
            continue
        match = following(text, position)
        if match is None:  # pragma: no cover - the last alternative takes any character
            break
        part = match.lastgroup or "other"
        end = match.end()
        kind = _SINGLES.get(part)
        if kind is WORD and end < size and text[end] == "'" and _is_prefix(match[0]):
            kind, end = LITERAL, _string_end(text, end, match[0].lower(), syntax)
        elif kind is PARAMETER and text[position] == ":" and _is_slice(text, position, found):
            kind, end = OTHER, position + 1
        elif kind is None:
            kind, end = _longer(text, position, end, part, syntax)
        add((kind, text[position:end]))
        position = end
    return found


def _is_prefix(word: str) -> bool:
    return word.lower() in _PREFIXES or word[0] == "_"


def _is_slice(text: str, position: int, found: list[Token]) -> bool:
    """Whether the colon stands between two bounds of an array: `[1:2]`."""
    return bool(found) and found[-1][0] in (LITERAL, WORD) and text[position + 1].isdigit()


def _longer(text: str, position: int, end: int, part: str, syntax: Syntax) -> tuple[Kind, int]:
    """Kind and end of what begins like `part` and goes on until something closes it."""
    if part == "space":
        return SPACE, end
    if part == "line" or (part == "hash" and syntax.hash_comments):
        closing = _END_OF_LINE.search(text, end)
        return SPACE, closing.start() if closing else len(text)
    if part == "block":
        return SPACE, _comment_end(text, end, syntax.nested_comments)
    if part == "single":
        return LITERAL, _string_end(text, position, "", syntax)
    if part == "double" and syntax.double_quoted_text:
        return LITERAL, _escaped_end(text, position, '"')
    if part in ("double", "backtick"):
        return _name(text, position, text[position])
    if part == "bracket":
        return _bracket(text, position, syntax)
    if part == "dollar":
        return LITERAL, _dollar_end(text, position, end)
    if part == "numbered" and not syntax.money and "." not in text[position:end]:
        return PARAMETER, end
    return OTHER if part == "hash" else LITERAL, end


def _bracket(text: str, position: int, syntax: Syntax) -> tuple[Kind, int]:
    if syntax.brackets:
        return _name(text, position, "]")
    named = _LIKE_A_NAME.match(text, position)
    before = text[position - 1] if position else " "
    if named is None or before.isalnum() or before in "_])\"'":
        return OTHER, position + 1
    return NAME, named.end()


def _dollar_end(text: str, position: int, end: int) -> int:
    """The end of what is quoted in two tags like `$body$`."""
    tag = text[position:end]
    closing = text.find(tag, end)
    return len(text) if closing < 0 else closing + len(tag)


def _name(text: str, position: int, mark: str) -> tuple[Kind, int]:
    """A quoted identifier; without an end it is data as far as we know."""
    end = _doubled_end(text, position, mark)
    return (NAME, end) if end else (LITERAL, len(text))


def _string_end(text: str, position: int, prefix: str, syntax: Syntax) -> int:
    """The end of the string whose quotation mark is at `position`."""
    if prefix in ("q", "nq") and position + 1 < len(text):
        opening = text[position + 1]
        closing = text.find(_ORACLE_CLOSING.get(opening, opening) + "'", position + 2)
        return len(text) if closing < 0 else closing + 2
    if syntax.backslashes or prefix == "e":
        return _escaped_end(text, position, "'")
    return _doubled_end(text, position, "'") or len(text)


def _doubled_end(text: str, position: int, mark: str) -> int:
    """The end of a quotation in which the mark itself is written twice; 0 where there is none."""
    while True:
        closing = text.find(mark, position + 1)
        if closing < 0:
            return 0
        if text[closing + 1 : closing + 2] != mark:
            return closing + 1
        position = closing + 1


def _escaped_end(text: str, position: int, mark: str) -> int:
    """The same where a backslash quotes the next character too; the end of the text where there is none."""
    found = _ESCAPED[mark].match(text, position)
    return found.end() if found is not None and found[1] else len(text)


def _comment_end(text: str, position: int, nested: bool) -> int:
    depth = 1
    while depth:
        found = _COMMENT_MARK.search(text, position) if nested else None
        if nested and found is not None:
            position = found.end()
            depth += 1 if found[0] == "/*" else -1
            continue
        closing = -1 if nested else text.find("*/", position)
        return len(text) if closing < 0 else closing + 2
    return position
