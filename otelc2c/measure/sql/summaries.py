"""What a statement does, to what: its operations and their targets, in the order of the text.

That is the conventions' `db.query.summary`, with two differences. Operations are in capital letters,
because the same statement in other letters is the same statement. A string is never a target, even
where a database would take it for the name of a table, because a string may hold anything.
"""

from collections.abc import Sequence
from typing import Final

from otelc2c.measure.sql.tokens import (
    CLOSE,
    COMMA,
    DOT,
    NAME,
    OPEN,
    OTHER,
    PARAMETER,
    SEMICOLON,
    SPACE,
    WORD,
    Token,
    keyword,
    words,
)

MOST: Final = 255
"""Characters of a summary (conventions)."""


_PLAIN: Final = words(
    "BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE SAVE SET RESET SHOW GRANT REVOKE DENY "
    "FETCH MOVE CLOSE DECLARE OPEN DEALLOCATE PREPARE DISCARD LISTEN NOTIFY UNLISTEN CHECKPOINT CLUSTER "
    "ATTACH DETACH KILL FLUSH WAITFOR DO IF PRINT RETURN IMPORT EXPORT BACKUP RESTORE INSTALL XA "
    "HANDLER DBCC VALUES COMMENT RENAME SECURITY REASSIGN HELP"
)
"""Commands of which nothing but the first word is told: what follows is no collection, or may be anything."""
_WITH_TARGET: Final = words(
    "TRUNCATE LOCK UNLOCK ANALYZE ANALYSE VACUUM REINDEX OPTIMIZE CHECK REPAIR DESCRIBE DESC USE CALL "
    "EXEC EXECUTE COPY TABLE PRAGMA LOAD BULK"
)
_CHANGES: Final = words("INSERT REPLACE MERGE UPSERT UPDATE DELETE")
_DEFINES: Final = words("CREATE ALTER DROP REFRESH")
_OBJECTS: Final = words(
    "TABLE VIEW INDEX SEQUENCE SCHEMA DATABASE FUNCTION PROCEDURE PROC TRIGGER TYPE DOMAIN EXTENSION "
    "EVENT SYNONYM RULE POLICY AGGREGATE COLLATION CAST OPERATOR PUBLICATION SUBSCRIPTION SERVER "
    "STATISTICS TABLESPACE LANGUAGE"
)
_PEOPLE: Final = words("USER ROLE LOGIN GROUP")
_SKIPPED: Final = words(
    "INTO ONLY LATERAL TABLE TABLES IGNORE LOW_PRIORITY HIGH_PRIORITY DELAYED QUICK OVERWRITE TOP "
    "CONCURRENTLY FULL VERBOSE FREEZE IF EXISTS NOT DATA LOCAL INFILE TEMP TEMPORARY UNLOGGED "
    "NO_WRITE_TO_BINLOG BINARY INSERT INDEX SCHEMA DATABASE SYSTEM PROCEDURE"
)
"""Words that may stand between a command and its target."""
_ENDS_TABLES: Final = words(
    "WHERE GROUP ORDER HAVING LIMIT SET RETURNING WINDOW UNION EXCEPT INTERSECT MINUS FOR OFFSET FETCH "
    "VALUES WHEN CONNECT QUALIFY OUTPUT DEFAULT"
)
_NO_NAMES: Final = words(
    "ON AS OUTFILE DUMPFILE WITH INNER LEFT RIGHT CROSS NATURAL OUTER SELECT FROM STDIN STDOUT"
)
_WITH_OPTIONS: Final = words("TOP VACUUM ANALYZE REINDEX")
"""Words after which something in parentheses stands before the target."""
_EXPLAINS: Final = words("EXPLAIN")
_INSIDE: Final = words("SELECT INSERT UPDATE DELETE MERGE WITH")
"""What begins a statement in parentheses; other commands are names of functions there."""


class _Level:
    """A statement, or what stands in parentheses."""

    __slots__ = ("common", "fresh", "held", "inner", "on", "op", "sources", "tables", "target")

    def __init__(self, *, inner: bool = False, target: bool = False) -> None:
        self.inner = inner
        self.fresh = True
        """Whether a command may come next."""
        self.op = ""
        self.target = target
        """Whether the next name is a target."""
        self.tables = target
        """Whether this is a list of tables: names after commas and joins are targets."""
        self.sources = False
        """Whether FROM is followed by tables, and no part of a function's arguments."""
        self.on = False
        """Whether a table's name follows ON."""
        self.common = False
        """Whether these are common table expressions, between WITH and the statement itself."""
        self.held = -1
        """Where targets begin that a FROM makes void."""


class Summary:
    """`text`: the summary, `operation`: the first operation that is not part of another; perhaps empty."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = [token for token in tokens if token[0] != SPACE]
        self._parts: list[str] = []
        self._size = 0
        self._levels = [_Level()]
        self._common: set[str] = set()
        self._first = self._outermost = ""
        self._full = False
        at = 0
        while at < len(self._tokens) and not self._full:
            at = self._step(at)
        self.text: Final = " ".join(self._parts)
        self.operation: Final = self._outermost or self._first

    # -- walking -------------------------------------------------------------------------

    def _step(self, at: int) -> int:
        kind, value = self._tokens[at]
        level = self._levels[-1]
        if kind == WORD:
            return self._word(level, at, value)
        if kind == NAME:
            return self._named(level, at)
        if kind == OPEN:
            self._open(level, at)
        elif kind == CLOSE:
            if len(self._levels) > 1:
                self._levels.pop()
        elif kind == COMMA:
            level.target = level.tables
        elif kind == SEMICOLON:
            self._levels = [_Level()]
        elif kind == OTHER and value in "{}":
            level.fresh = level.fresh or value == "{"
        elif kind != DOT:
            # The result of a call may stand before it: `{? = call x}`, `EXEC @code = x`.
            level.target = level.target and (value == "=" or kind == PARAMETER)
        return at + 1

    def _open(self, level: _Level, at: int) -> None:
        options = self._before(at) in _WITH_OPTIONS
        inner = _Level(inner=True, target=level.target and not options)
        if level.op in _PLAIN and level.op != "DECLARE":
            inner.fresh = False
        level.target = level.target and options
        self._levels.append(inner)

    def _before(self, at: int) -> str:
        """The keyword before, empty where something else stands there."""
        if at == 0 or self._tokens[at - 1][0] != WORD:
            return ""
        return keyword(self._tokens[at - 1][1])

    def _named(self, level: _Level, at: int) -> int:
        if level.common and self._names_common(at):
            self._common.add(self._tokens[at][1].strip('"`[]').lower())
            return at + 1
        level.fresh = False
        if level.target:
            return self._take(level, at)
        return at + 1

    def _word(self, level: _Level, at: int, value: str) -> int:
        if at and self._tokens[at - 1][0] == DOT:
            return at + 1
        word = keyword(value)
        if word == "SELECT" and level.op not in ("GRANT", "REVOKE", "DENY"):
            return self._select(level, at)
        if level.common:
            return self._after_with(level, at, word, value)
        if level.fresh:
            return self._command(level, at, word)
        if word == "FROM":
            return self._from(level, at)
        if self._is_clause(level, at, word):
            return at + 1
        if not level.target or (word in _SKIPPED and not self._is_alone(at)):
            return at + 1
        if word in _NO_NAMES:
            level.target = False
            return at + 1
        return at + 2 if word == "OR" else self._take(level, at)

    def _is_alone(self, at: int) -> bool:
        """Whether a word that is mostly skipped must be the name itself: nothing follows it."""
        return at + 1 >= len(self._tokens) or self._tokens[at + 1][0] in (SEMICOLON, CLOSE)

    # -- commands ------------------------------------------------------------------------

    def _command(self, level: _Level, at: int, word: str) -> int:
        if level.op in _EXPLAINS and word not in _CHANGES | _DEFINES | {"WITH"}:
            return at + 1
        if level.inner and word not in _INSIDE:
            level.fresh = False
            return self._word(level, at, self._tokens[at][1]) if level.target or level.tables else at + 1
        level.fresh = False
        if word == "WITH":
            level.common = True
            return at + 1
        if word in _CHANGES:
            self._begin(level, word)
            level.target = True
            level.tables = word == "UPDATE"
            level.sources = word in ("UPDATE", "DELETE", "MERGE")
            level.held = len(self._parts) if word == "DELETE" else -1
            level.tables = level.tables or word == "DELETE"
        elif word in _DEFINES:
            return self._define(level, at, word)
        elif word in _WITH_TARGET:
            self._begin(level, word)
            level.target = True
            level.tables = word == "TRUNCATE"
        elif word in _EXPLAINS:
            self._begin(level, word)
            level.fresh = True
        elif word in _PLAIN:
            self._begin(level, self._transaction(at, word))
            level.op = word
        return at + 1

    def _transaction(self, at: int, word: str) -> str:
        """`RELEASE SAVEPOINT` and `ROLLBACK TO SAVEPOINT` are told apart from their first words."""
        following = [keyword(value) for kind, value in self._tokens[at + 1 : at + 4] if kind == WORD]
        if word == "RELEASE":
            return "RELEASE SAVEPOINT"
        return "ROLLBACK TO SAVEPOINT" if word == "ROLLBACK" and "TO" in following else word

    def _define(self, level: _Level, at: int, word: str) -> int:
        """`CREATE UNIQUE INDEX IF NOT EXISTS name ON table`: the object's kind is part of the operation."""
        found = ""
        for further in range(at + 1, min(at + 10, len(self._tokens))):
            kind, value = self._tokens[further]
            found = keyword(value) if kind == WORD else ""
            if found in _OBJECTS or found in _PEOPLE:
                break
        else:
            further = at
        self._begin(level, f"{word} {found}" if further > at else word)
        level.target = found in _OBJECTS and further > at
        level.tables = level.target and word == "DROP"
        level.on = found in ("INDEX", "TRIGGER", "RULE", "POLICY")
        return further + 1

    def _select(self, level: _Level, at: int) -> int:
        level.common = level.fresh = level.target = level.tables = False
        level.sources = True
        level.held = -1
        self._begin(level, "SELECT")
        return at + 1

    def _begin(self, level: _Level, operation: str) -> None:
        level.op = operation
        self._first = self._first or operation
        if len(self._levels) == 1:
            self._outermost = self._outermost or operation
        self._add(operation)

    # -- clauses -------------------------------------------------------------------------

    def _from(self, level: _Level, at: int) -> int:
        if level.sources and self._before(at) != "DISTINCT":
            if level.held >= 0:
                self._forget(level.held)
            level.held = -1
            level.target = level.tables = True
            level.sources = level.op == "DELETE" and self._before(at) == "DELETE"
        elif level.op not in ("CALL", "EXEC", "EXECUTE"):
            level.target = False
        return at + 1

    def _is_clause(self, level: _Level, at: int, word: str) -> bool:
        """Whether the word is one that changes what names mean."""
        if word in _ENDS_TABLES:
            level.target = level.tables = False
        elif word in ("JOIN", "STRAIGHT_JOIN", "APPLY"):
            level.target = level.tables
        elif word == "INTO":
            level.target = level.op in ("SELECT", "INSERT", "REPLACE", "MERGE", "LOAD", "UPSERT")
        elif word == "USING":
            following = self._tokens[at + 1][0] if at + 1 < len(self._tokens) else SPACE
            level.target = level.op in ("MERGE", "DELETE") and (following != OPEN or level.op == "MERGE")
            level.tables = level.tables or level.target
        elif word == "ON" and level.on:
            level.target = True
            level.on = False
        else:
            return False
        return True

    def _after_with(self, level: _Level, at: int, word: str, value: str) -> int:
        if word in _CHANGES and self._tokens[at - 1][0] == CLOSE:
            level.common = False
            return self._command(level, at, word)
        if self._names_common(at) and word != "RECURSIVE":
            self._common.add(value.lower())
        return at + 1

    def _names_common(self, at: int) -> bool:
        return self._tokens[at - 1][0] == COMMA or self._before(at) in ("WITH", "RECURSIVE")

    # -- parts ---------------------------------------------------------------------------

    def _take(self, level: _Level, at: int) -> int:
        """A target: a name with what stands around its dots."""
        pieces = [self._tokens[at][1]]
        at += 1
        while at < len(self._tokens) and self._tokens[at][0] == DOT:
            pieces.append(".")
            at += 1
            if at < len(self._tokens) and self._tokens[at][0] in (WORD, NAME):
                pieces.append(self._tokens[at][1])
                at += 1
        if at < len(self._tokens) and self._tokens[at][1] == "=" and level.op in ("EXEC", "EXECUTE"):
            return at + 1
        level.target = False
        name = "".join(pieces)
        if name.strip('"`[]').lower() not in self._common:
            self._add(" ".join(name.split()))
        return at

    def _add(self, part: str) -> None:
        size = self._size + len(part) + bool(self._parts)
        if size > MOST:
            self._full = True
            return
        self._parts.append(part)
        self._size = size

    def _forget(self, begin: int) -> None:
        del self._parts[begin:]
        self._size = len(" ".join(self._parts))
