"""The text of a statement without its data: literals become `?`, lists of values become one.

Names of parameters stay, comments go, white space becomes one space (conventions for database
spans, "Sanitization of db.query.text"; T42).
"""

from collections.abc import Sequence
from typing import Final

from otelc2c.measure.sql.tokens import (
    CLOSE,
    COMMA,
    LITERAL,
    NAME,
    OPEN,
    OTHER,
    PARAMETER,
    SIGN,
    SPACE,
    WORD,
    Token,
    keyword,
    words,
)

_BOOLEANS: Final = frozenset({"TRUE", "FALSE"})
_VALUE_WORDS: Final = frozenset({"NULL", "DEFAULT", "TRUE", "FALSE"})
_LISTS: Final = frozenset({"IN", "VALUES", "VALUE", "ARRAY", "ANY", "ALL"})
_BEFORE_A_VALUE: Final = words(
    "SELECT THEN ELSE AND OR NOT LIMIT OFFSET BETWEEN IN LIKE WHEN CASE BY DEFAULT VALUES RETURN SET WHERE "
    "ON HAVING TOP DISTINCT ALL IS GLOB ILIKE REGEXP RLIKE RETURNING"
)
"""Words after which a sign belongs to the number."""
_DEEPER: Final = {"(": 1, ")": -1, "[": 1, "]": -1}
_COMPARED: Final = frozenset({"LIKE", "GLOB", "ILIKE", "REGEXP", "RLIKE", "THEN", "ELSE", "BETWEEN"})


def without_literals(tokens: Sequence[Token], most: int) -> str:
    """The sanitised text, at most `most` characters of it."""
    writer = _Writer(tokens)
    writer.run()
    text = "".join(writer.out).strip()
    return text if len(text) <= most else text[: most - 3] + "..."


class _Writer:
    """One walk over the tokens. `rows` are the depths at which rows of VALUES stand."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self.out: list[str] = []
        self._depth = 0
        self._rows: list[int] = []
        self._operand = False
        """Whether what was written last is something that a sign could stand behind."""
        self._unary = False
        """Whether what was written last is the sign of a number."""
        self._compared = False
        """Whether a value is to be expected next."""

    def run(self) -> None:
        at = 0
        while at < len(self._tokens):
            kind, value = self._tokens[at]
            at += 1
            if kind == SPACE:
                self._space()
                continue
            if kind == LITERAL or (kind == NAME and value[0] == '"' and self._is_data(at)):
                self._literal()
            elif kind == WORD:
                at = self._word(value, at)
                continue
            elif kind == OPEN:
                self._depth += 1
                self._put(value, operand=False)
            elif kind == CLOSE:
                self._put(value, operand=True)
                at = self._closed(at)
            else:
                self._mark(kind, value)
            self._compared = kind == OTHER and value in "=<>!"

    def _space(self) -> None:
        if self.out and self.out[-1] != " ":
            self.out.append(" ")

    def _put(self, text: str, *, operand: bool) -> None:
        self.out.append(text)
        self._operand = operand
        self._unary = False

    def _mark(self, kind: int, value: str) -> None:
        unary = kind == SIGN and not self._operand
        self._put(value, operand=kind in (NAME, PARAMETER))
        self._unary = unary

    def _literal(self) -> None:
        if self._unary:
            self.out.pop()
        self._put("?", operand=True)

    def _is_data(self, after: int) -> bool:
        """Whether a name in double quotes is what SQLite takes for a string: it stands for a value."""
        following = self._tokens[after][1] if after < len(self._tokens) else ""
        return following != "." and (self._compared or bool(self._rows))

    def _word(self, value: str, at: int) -> int:
        word = keyword(value)
        if word in _BOOLEANS:
            self._literal()
            self._compared = False
            return at
        self._put(value, operand=word not in _BEFORE_A_VALUE)
        self._compared = word in _COMPARED
        if word not in _LISTS:
            return at
        begin = _after_space(self._tokens, at)
        end = _end_of_values(self._tokens, begin)
        if end:
            self.out.append("[?]" if self._tokens[begin][1] == "[" else " (?)")
            self._operand = True
            return _after_rows(self._tokens, end) if word == "VALUES" else end
        if word == "VALUES" and begin < len(self._tokens) and self._tokens[begin][0] == OPEN:
            self._rows.append(self._depth)
        return at

    def _closed(self, at: int) -> int:
        self._depth -= 1
        if self._rows and self._rows[-1] >= self._depth:
            self._rows.pop()
            return _after_rows(self._tokens, at)
        return at


def _after_space(tokens: Sequence[Token], at: int) -> int:
    while at < len(tokens) and tokens[at][0] == SPACE:
        at += 1
    return at


def _end_of_values(tokens: Sequence[Token], at: int) -> int:
    """Where a group of nothing but values in parentheses or brackets ends; 0 if it is none.

    A group that the end of the text cuts off counts. The walk ends at the first word that is no
    value, so that the walks from all lists together are no longer than the text.
    """
    if at >= len(tokens) or (tokens[at][0] != OPEN and tokens[at][1] != "["):
        return 0
    depth, values, in_type = 0, False, False
    while at < len(tokens):
        kind, value = tokens[at]
        at += 1
        depth += _DEEPER.get(value, 0)
        if not depth:
            return at if values else 0
        if kind == WORD:
            if not in_type and keyword(value) not in _VALUE_WORDS:
                return 0
            values = values or not in_type
        elif kind in (LITERAL, PARAMETER):
            values = True
        elif kind == COMMA or value == "::":
            in_type = kind != COMMA
        elif value not in _DEEPER and kind not in (SPACE, SIGN):
            return 0
    return at if values else 0


def _after_rows(tokens: Sequence[Token], at: int) -> int:
    """Where the further rows of a VALUES end."""
    while True:
        comma = _after_space(tokens, at)
        begin = _after_space(tokens, comma + 1)
        if begin >= len(tokens) or tokens[comma][0] != COMMA or tokens[begin][0] != OPEN:
            return at
        depth, at = 0, begin
        while at < len(tokens):
            kind = tokens[at][0]
            at += 1
            depth += (kind == OPEN) - (kind == CLOSE)
            if not depth:
                break
