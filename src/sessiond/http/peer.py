"""Connections, and which local process holds a connection's other end (from the kernel's socket table).

`/proc/net/tcp` and `/proc/net/tcp6` (proc(5)) show each socket's two ends, state, owner and inode; addresses are
hexadecimal, each 32-bit word in the machine's byte order.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from pathlib import Path

Address = tuple[str, int]

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_TIME_WAIT = "06"
_UID, _INODE = 7, 9


class Connection:
    """One TCP connection as the server sees it; what is looked up about it is looked up once.

    *host* is the address at the other end, empty when there is none; *scheme* what is spoken on it, `http` or `https`.
    """

    __slots__ = ("_looked", "_uid", "client", "host", "logged", "scheme", "server")

    def __init__(self, client: Address | None, server: Address | None, scheme: str = "http") -> None:
        self.client = client
        self.host = client[0] if client else ""
        self.server = server
        self.scheme = scheme
        self.logged: str | None = None
        self._looked = False
        self._uid: int | None = None

    @property
    def peer_uid(self) -> int | None:
        """The user id of the local process at the other end; None when it is not of this machine, or unknown."""
        if not self._looked:
            self._looked = True
            if self.client and self.server:
                self._uid = owner_of(self.client, self.server)
        return self._uid


def owner_of(local: Address, remote: Address) -> int | None:
    """Return the user id that owns the socket whose own end is *local* and whose other end is *remote*, or None.

    A socket that no process holds any more counts as unknown: the table shows such ones (closed, or waiting for time
    to pass, inode 0) as root's.
    """
    wanted = {(own, other) for own, other in zip(_forms(*local), _forms(*remote), strict=False)}
    for table in _TABLES:
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except (OSError, UnicodeDecodeError):
            continue
        for row in rows:
            fields = row.split()
            if len(fields) > _INODE and (fields[1], fields[2]) in wanted:
                return int(fields[_UID]) if fields[3] != _TIME_WAIT and fields[_INODE] != "0" else None
    return None


def _forms(host: str, port: int) -> list[str]:
    """Return how the tables may write an address: as IPv4, and as IPv6 (mapped)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return []
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return [_written(socket.inet_pton(socket.AF_INET6, host), port)]
        address = address.ipv4_mapped
    packed = address.packed
    return [_written(packed, port), _written(b"\0" * 10 + b"\xff\xff" + packed, port)]


def _written(packed: bytes, port: int) -> str:
    words = [packed[i : i + 4] for i in range(0, len(packed), 4)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    return f"{b''.join(words).hex().upper()}:{port:04X}"
