"""Statements as telemetry shows them: a summary of low cardinality, an operation, a text without data.

The text of a statement is the caller's choice. It is cut before it is looked at (F-80, F-81), what is
made of it is bounded in length, and what is remembered is bounded in number.
"""

from typing import Final, NamedTuple

from otelc2c.measure.sql.sanitizing import without_literals
from otelc2c.measure.sql.summaries import Summary
from otelc2c.measure.sql.tokens import STANDARD, Syntax, tokens

MOST_READ: Final = 16_384
"""Characters of a statement that are looked at; the rest has no part in its summary or text."""
MOST_TOKENS: Final = 3000
"""Words and marks that are looked at: what costs time is their number."""
MOST_TEXT: Final = 4096
"""Characters of a sanitised text."""
MOST_KEPT: Final = 2000
"""Statements that are remembered in a process, by their own text and by what is shown of them."""
LONGEST_KEPT: Final = 4096
"""Characters of such a statement. Longer ones are looked up by their beginning."""
MOST_LONG: Final = 128
"""Of those so many are remembered."""
_GIVES_ROWS: Final = frozenset({"SELECT", "VALUES", "TABLE", "SHOW", "EXPLAIN"})


class Statement:
    """What is shown of a statement. Those of which the same is shown are one object."""

    __slots__ = ("gives_rows", "operation", "summary", "text")

    def __init__(self, summary: str, operation: str, text: str) -> None:
        self.summary: Final = summary
        """Operations and targets; empty where nothing is known of it."""
        self.operation: Final = operation
        self.text: Final = text
        """Without literals, cut."""
        self.gives_rows: Final = operation in _GIVES_ROWS
        """Whether the rows that a driver counts are those that the database returned."""


class _Shown(NamedTuple):
    summary: str
    operation: str
    text: str


def summary(text: str, syntax: Syntax = STANDARD) -> str:
    """Operations and targets, such as `INSERT shipping_details SELECT orders`; perhaps empty.

    At most 255 characters, never a literal; nothing is cut within a name. Never raises.
    """
    return _shown(text, syntax).summary


def operation(text: str, syntax: Syntax = STANDARD) -> str:
    """The operation of the (first) statement itself, such as `INSERT`; empty where it is unknown."""
    return _shown(text, syntax).operation


def sanitized(text: str, syntax: Syntax = STANDARD) -> str:
    """The text with `?` for each literal and one `?` for each list of values. Never raises."""
    return _shown(text, syntax).text


def _shown(text: str, syntax: Syntax) -> _Shown:
    found = tokens(text[:MOST_READ], syntax, MOST_TOKENS)
    read = Summary(found)
    return _Shown(read.text, read.operation, without_literals(found, MOST_TEXT))


class Statements(dict[str, Statement]):
    """The statements of one syntax by their text: `statements[text]`. Bounded in number and in length.

    Texts with literals in them are many where what is shown of them is little; so what is shown is
    kept apart, and texts share it.
    """

    def __init__(self, syntax: Syntax = STANDARD) -> None:
        super().__init__()
        self.syntax = syntax
        self._same = _Same()
        self._long: dict[str, Statement] = {}

    def __missing__(self, text: str) -> Statement:
        if len(text) > LONGEST_KEPT:
            # What is behind the beginning has no part in what is shown.
            return self._among(self._long, text[:MOST_READ], MOST_LONG)
        return self._among(self, text, MOST_KEPT)

    def _among(self, kept: dict[str, Statement], text: str, most: int) -> Statement:
        statement = kept.get(text)
        if statement is None:
            statement = self._same[_shown(text, self.syntax)]
            if len(kept) >= most:
                kept.clear()
            kept[text] = statement
        return statement


class _Same(dict[_Shown, Statement]):
    """One object for all texts of which the same is shown."""

    def __missing__(self, shown: _Shown) -> Statement:
        if len(self) >= MOST_KEPT:
            self.clear()
        statement = self[shown] = Statement(shown.summary, shown.operation, shown.text)
        return statement
