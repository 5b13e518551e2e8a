"""Listening sockets on every address of a host."""

import errno
import socket


def listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of `host`. Raises OSError when one is taken, or none can be had."""
    found = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE, proto=socket.IPPROTO_TCP
    )
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    listeners: list[socket.socket] = []
    last: OSError | None = None
    for family, address in addresses:
        # Where the system chooses the port, it does so once for all addresses.
        chosen = port or (listeners[0].getsockname()[1] if listeners else 0)
        exact = (address[0], chosen, *address[2:])
        try:
            listeners.append(_listener(family, exact, alone=len(addresses) == 1))
        except OSError as error:
            last = error
            # An address family that this machine lacks is no obstacle while another is there.
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                break
    else:
        if listeners:
            return listeners
    for listener in listeners:
        listener.close()
    raise last or OSError(errno.EADDRNOTAVAIL, f"{host!r} has no address")


def _listener(family: int, address: tuple[object, ...], *, alone: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Alone, `::` takes IPv4 as well; beside an IPv4 socket it must not.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not alone)
        listener.bind(address)
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
