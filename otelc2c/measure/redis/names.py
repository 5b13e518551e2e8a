"""What is said of Redis commands, under the database conventions that were asked for.

Keys of the database and values are never part of it: a command is its name and the number of its
words. See "Redis" in the semantic conventions, and contrib's Redis instrumentation for the names of
before.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from otelc2c import catalog
from otelc2c.measure.conventions import Conventions
from otelc2c.measure.leaves import Described
from otelc2c.measure.redis.commands import OTHER, name_of
from otelc2c.record import wire

MOST_WORDS: Final = 8
"""Words of a command that its text shows, so that few texts are kept; the others are left out."""
MOST_TEXT: Final = 1000
"""Characters of the text of a pipeline, as many as contrib shows of a command."""
PROCEDURES: Final = frozenset({"EVALSHA", "EVALSHA_RO", "FCALL", "FCALL_RO"})
"""Commands that name what is run in the server; EVAL has a script's whole text there."""
SYSTEM: Final = "redis"
PIPELINE: Final = "PIPELINE"
MULTI: Final = "MULTI"
NO_FAILURES: Final = frozenset({"WatchError"})
"""What redis-py raises where nothing failed: somebody else changed a watched key, so nothing was done."""

_BATCH_SIZE: Final = wire.Key("db.operation.batch.size")
_QUERY_TEXT: Final = wire.Key("db.query.text")
_PROCEDURE: Final = wire.Key("db.stored_procedure.name")
_OLD_TEXT: Final = wire.Key("db.statement")
_OLD_WORDS: Final = wire.Key("db.redis.args_length")
_OLD_SIZE: Final = wire.Key("db.redis.pipeline_length")
_UNIX: Final = "unix"
_LONGEST_PROCEDURE: Final = 128


class Place(NamedTuple):
    """The database that commands go to."""

    address: str | None
    """Host name, IP address or path of a socket; None where it is not known."""
    port: int | None
    unix: bool
    database: str
    """Its number, as it was given when the client was made: a later SELECT is not seen."""


Key: TypeAlias = tuple[str, int, Place, str | None, str | None]
"""The operation's name, the number of words of a single command and 0 for several, the database, and the
type of the exception and the code of the reply where there was one."""


def text_of(operation: str, words: int) -> str:
    """A command without what it is about: `SET ? ?`. Contrib's `db.query.text`, cut at MOST_WORDS."""
    return " ".join((operation, *("?" for _ in range(min(words, MOST_WORDS) - 1))))


class Names:
    """Redis operations in spans and metrics."""

    def __init__(self, conventions: Conventions) -> None:
        self._old = conventions.old
        self._new = conventions.new

    def describe(self, key: Key) -> Described:
        """What all operations of this key have in common."""
        operation, words, place, error, code = key
        made: dict[str, Any] = {}
        if self._new:
            made |= _new(operation, words, place, code)
        if self._old:
            made |= _old(operation, words, place)
        made[catalog.ERROR_TYPE] = error
        values = (SYSTEM, operation, None, place.database, place.address, place.port, None, code, error)
        return Described(
            SYSTEM if operation == OTHER else operation,
            {name: value for name, value in made.items() if value is not None},
            values,
            None if error is None or error in NO_FAILURES else "",
        )


def text_of_batch(commands: Sequence[Sequence[Any]]) -> str:
    """The texts of several commands, a line each; one line where they are all the same (conventions)."""
    lines: list[str] = []
    length = 0
    for command in commands:
        line = text_of(name_of(command[0]), len(command))
        lines.append(line)
        length += len(line) + 1
        if length > MOST_TEXT:
            break
    if len(set(lines)) == 1:
        return lines[0]
    text = "\n".join(lines)
    return text if length <= MOST_TEXT else text[: MOST_TEXT - 3] + "..."


def batch_attributes(conventions: Conventions, commands: Sequence[Sequence[Any]]) -> bytes:
    """Attributes of one pipeline or transaction, encoded. One command is no batch (conventions)."""
    size = len(commands)
    text = text_of_batch(commands)
    extra = b""
    if conventions.new:
        extra = _QUERY_TEXT.string(text)
        if size > 1:
            extra += _BATCH_SIZE.integer(size)
    if conventions.old:
        extra += _OLD_TEXT.string(text) + _OLD_SIZE.integer(size)
    return extra


def command_attributes(conventions: Conventions, command: Sequence[Any]) -> bytes:
    """Attributes of one command, encoded: what is run in the server, and the number of words."""
    extra = b""
    if conventions.new and len(command) > 1 and type(command[0]) is str and command[0] in PROCEDURES:
        name = procedure_of(command[1])
        if name is not None:
            extra = _PROCEDURE.string(name)
    return extra + _OLD_WORDS.integer(len(command)) if conventions.old else extra


def procedure_of(sent: object) -> str | None:
    """The digest of a script, or the name of a function; None for what can be neither."""
    if isinstance(sent, bytes):
        sent = sent[:_LONGEST_PROCEDURE].decode("ascii", "replace")
    if isinstance(sent, str) and len(sent) < _LONGEST_PROCEDURE and (sent.isidentifier() or sent.isalnum()):
        return sent
    return None


def _new(operation: str, words: int, place: Place, code: str | None) -> Mapping[str, Any]:
    return {
        catalog.DB_SYSTEM_NAME: SYSTEM,
        catalog.DB_OPERATION_NAME: operation,
        catalog.DB_NAMESPACE: place.database,
        "db.query.text": text_of(operation, words) if words else None,
        catalog.SERVER_ADDRESS: place.address,
        catalog.SERVER_PORT: place.port,
        "network.transport": _transport(place, "tcp", _UNIX),
        catalog.DB_RESPONSE_STATUS_CODE: code,
    }


def _old(operation: str, words: int, place: Place) -> Mapping[str, Any]:
    return {
        "db.system": SYSTEM,
        "db.statement": text_of(operation, words) if words else None,
        "db.redis.database_index": int(place.database) if place.database.isdecimal() else None,
        "net.peer.name": place.address,
        "net.peer.port": place.port,
        "net.transport": _transport(place, "ip_tcp", "other"),
    }


def _transport(place: Place, tcp: str, unix: str) -> str | None:
    if place.address is None:
        return None
    return unix if place.unix else tcp
