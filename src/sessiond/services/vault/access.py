"""Who reaches what in the vault, and the events that tell who did."""

from __future__ import annotations

from collections.abc import Mapping

from sessiond.domain.callers import Caller, SubjectCaller
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import Partition, SessionId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Kind
from sessiond.domain.vault import VaultEntry
from sessiond.services.keys import Keys
from sessiond.services.ports import Selection


def reaches(caller: Caller, user: SubjectId) -> bool:
    """Tell whether *caller* may see and change the entries of *user*, in the caller's own project."""
    return not isinstance(caller, SubjectCaller) or caller.subject == user


def within_reach(caller: Caller, user: SubjectId | None, keys: Keys) -> Selection | None:
    """Return the entries of *user* that *caller* reaches, of all its users for None; None when there are none.

    *keys* tell where a user's entries lie.
    """
    if isinstance(caller, SubjectCaller):
        if user not in {None, caller.subject}:
            return None
        user = caller.subject
    partition = None if user is None else keys.partition(caller.project, user)
    return Selection(kind=Kind.VAULT_ENTRY, project=caller.project, owner=user, partition=partition)


def told(
    what: EventType,
    caller: Caller,
    partition: Partition,
    now: Instant,
    *,
    user: SubjectId | None,
    data: Mapping[str, str | int | None],
) -> Event:
    """Return the event that *caller* did *what* to entries of *user*, from where, in which session and for whom."""
    return caller.initiator.did(
        what,
        at=now,
        partition=partition,
        project=caller.project,
        session=_session_of(caller),
        subject=user,
        data=data,
    )


def told_of(
    what: EventType, caller: Caller, entry: VaultEntry, now: Instant, **more: str | int | None
) -> Event:
    """Return the event that *caller* did *what* to one entry."""
    return told(what, caller, entry.key.partition, now, user=entry.user, data={"entry": entry.id} | more)


def _session_of(caller: Caller) -> SessionId | None:
    standing = getattr(caller, "standing", None)
    return None if standing is None else SessionId(standing.session.id)
