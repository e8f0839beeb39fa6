"""How much one connection may take: time, bytes, and how many there may be."""

from __future__ import annotations

import resource

import msgspec

_FILES_KEPT_BACK = 256
_LEAST_CONNECTIONS = 64


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of connections; seconds are counted by a sweep once a second.

    *head_seconds*: from the first byte of a request, or from the connection's beginning, to the end of its head.
    *body_seconds*: from there to the end of the body. *idle_seconds*: between two requests. *stalled_seconds*: for a
    client that does not read its answer. *head_bytes*: request line and headers.
    """

    connections: int = 16_384
    head_bytes: int = 32 * 1024
    head_seconds: int = 10
    body_seconds: int = 30
    idle_seconds: int = 75
    stalled_seconds: int = 30

    def within_files(self) -> Limits:
        """Let this process open the files that so many connections need, and return the limits that it can keep.

        The soft limit of open files is often 1,024, for programs that use select(2); the hard one is the operator's.
        """
        wanted = self.connections + _FILES_KEPT_BACK
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < wanted and soft != resource.RLIM_INFINITY:
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        most = wanted if soft == resource.RLIM_INFINITY else soft
        most = max(_LEAST_CONNECTIONS, most - _FILES_KEPT_BACK)
        return msgspec.structs.replace(self, connections=min(self.connections, most))
