"""The codes with which Redis begins its error replies, out of what redis-py raises.

Only codes that are known are told, so that nothing of a reply's text ends in a span or a metric.
"""

from typing import Final

_CODES: Final = (
    "ASK BUSY BUSYGROUP BUSYKEY CLUSTERDOWN CROSSSLOT DENIED ERR EXECABORT INPROG INVALIDOBJ IOERR LOADING "
    "MASTERDOWN MISCONF MOVED NOAUTH NOGOODSLAVE NOGROUP NOMASTERLINK NOPERM NOPROTO NOQUORUM NOREPLICAS "
    "NOSCRIPT NOSUB NOTBUSY NOTREADY OOM READONLY TRYAGAIN UNBLOCKED UNKILLABLE WRONGPASS WRONGTYPE"
)
CODES: Final = frozenset(_CODES.split())
"""The codes of Redis 8, its sentinels and its clusters."""

_BY_CLASS: Final = {
    "AskError": "ASK",
    "BusyLoadingError": "LOADING",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "ExecAbortError": "EXECABORT",
    "MasterDownError": "MASTERDOWN",
    "ModuleError": "ERR",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "NoScriptError": "NOSCRIPT",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}
"""Exceptions for which redis-py takes the code out of the text."""
_BY_TEXT: Final = {"Authentication required.": "NOAUTH", "invalid username-password pair": "WRONGPASS"}
_IN_A_PIPELINE: Final = "caused error: "
"""What redis-py writes between the command, which it shows, and the reply."""
_LONGEST: Final = 16
"""Characters: more than any code has."""


def code_of(error: BaseException) -> str | None:
    """The code of the reply that became `error`, and None where it was no reply or the code is not known.

    redis-py 7.2 and later keep some codes in `status_code`.
    """
    kept = getattr(error, "status_code", None)
    if isinstance(kept, str):
        return kept if kept in CODES else None
    name = type(error).__name__
    if name in _BY_CLASS:
        return _BY_CLASS[name]
    if name not in {"ResponseError", "AuthenticationError", "AuthenticationWrongNumberOfArgsError"}:
        return None
    text = str(error.args[0]) if error.args else ""
    _, _, reply = text.rpartition(_IN_A_PIPELINE)
    for start, code in _BY_TEXT.items():
        if reply.startswith(start):
            return code
    word = reply[:_LONGEST].partition(" ")[0]
    if word in CODES:
        return word
    # Before redis-py 7.2 the text of such a reply begins behind its code; scripts' own codes stay there.
    return None if hasattr(error, "status_code") or word.isupper() else "ERR"
