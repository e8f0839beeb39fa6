"""Attempts that were refused, counted by where they come from, so that who attacks fills no disk.

In a minute at most `MOST_TOLD` addresses are told apart; what comes from others is counted together.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Sequence

from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.domain.instants import Instant
from sessiond.domain.projects import CONTROL_PARTITION

MOST_TOLD = 50


class Attempt(enum.StrEnum):
    """What was attempted, in vain."""

    SERVER_KEY = "server_key"
    MASTER_TOKEN = "master_token"
    PIN = "pin"
    THROTTLED = "throttled"


_Source = tuple[Attempt, ProjectId, str | None]


class RefusedCounts:
    """The counts since they were last told."""

    def __init__(self) -> None:
        self._counts: dict[_Source, int] = {}

    def add(self, attempt: Attempt, project: ProjectId, address: str, count: int = 1) -> None:
        """Count one attempt from *address*."""
        source: _Source = (attempt, project, prefix_of(address))
        if source not in self._counts and len(self._counts) >= MOST_TOLD:
            source = (attempt, DEFAULT_PROJECT, None)
        self._counts[source] = self._counts.get(source, 0) + count

    def events(self, now: Instant) -> Sequence[Event]:
        """Return what is to be told, and count anew."""
        counts, self._counts = self._counts, {}
        return [
            Event(
                type=EventType.ATTEMPTS_REFUSED,
                at=now,
                partition=CONTROL_PARTITION,
                project=project,
                data={"attempt": attempt.value, "network": network, "count": count},
            )
            for (attempt, project, network), count in counts.items()
        ]


def prefix_of(address: str) -> str | None:
    """Return what is told of an address: the /24 of an IPv4 one, the /48 of an IPv6 one; None for another text."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))  # noqa: PLR2004
