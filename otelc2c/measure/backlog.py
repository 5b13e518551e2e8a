"""How many connections wait in the kernel for somebody to accept them, and how many may."""

import contextlib
import os
import socket
import struct
from typing import Any, Final, NamedTuple

# linux/tcp.h: of a listening socket, `tcpi_unacked` is what waits and `tcpi_sacked` what may wait.
_TCP_INFO_BYTES: Final = 104
_TCP_UNACKED: Final = 24

# linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h
_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_ANY: Final = 0xFFFFFFFF
_UDIAG_SHOW_RQLEN: Final = 0x10
_UNIX_DIAG_RQLEN: Final = 4
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBHIIIII")
_ANSWER_BYTES: Final = 16
_ATTRIBUTE: Final = struct.Struct("=HH")
_TWO: Final = struct.Struct("=II")
_ANSWER_SECONDS: Final = 0.1


class Backlog(NamedTuple):
    """Connections of one listening socket."""

    waiting: int
    most: int


def backlog(listener: Any) -> Backlog | None:
    """The backlog of a listening socket; None where the kernel does not tell, or it does not listen."""
    try:
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        if listener.family == socket.AF_UNIX:
            return _unix(listener.fileno())
        return _tcp(listener)
    except (OSError, AttributeError, struct.error, ValueError):
        return None


def _tcp(listener: Any) -> Backlog:
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    return Backlog(*_TWO.unpack_from(info, _TCP_UNACKED))


def _unix(fd: int) -> Backlog | None:
    """Ask as `ss -xl` does: there is no option of the socket for it."""
    inode = os.fstat(fd).st_ino
    body = _REQUEST.pack(socket.AF_UNIX, 0, 0, _ANY, inode & _ANY, _UDIAG_SHOW_RQLEN, _ANY, _ANY)
    head = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with contextlib.closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)) as asked:
        # The kernel answers at once or not at all.
        asked.settimeout(_ANSWER_SECONDS)
        asked.send(head + body)
        answer = asked.recv(4096)
    length, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY:
        return None
    at = _HEADER.size + _ANSWER_BYTES
    while at + _ATTRIBUTE.size <= min(length, len(answer)):
        size, name = _ATTRIBUTE.unpack_from(answer, at)
        if name == _UNIX_DIAG_RQLEN:
            return Backlog(*_TWO.unpack_from(answer, at + _ATTRIBUTE.size))
        at += max(size + 3 & ~3, _ATTRIBUTE.size)
    return None
