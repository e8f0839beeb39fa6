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

    connections: int = 4096
    head_bytes: int = 32 * 1024
    head_seconds: int = 10
    body_seconds: int = 30
    idle_seconds: int = 75
    stalled_seconds: int = 30

    def within_files(self) -> Limits:
        """Return the limits with no more connections than this process may open files for."""
        most = max(_LEAST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _FILES_KEPT_BACK)
        return msgspec.structs.replace(self, connections=min(self.connections, most))
