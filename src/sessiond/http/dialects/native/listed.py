"""Sessions as they are listed and looked up: with what became of them, and whether one is the asker's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.domain.callers import Caller, ServerCaller
from sessiond.domain.endings import Ended, ending, how_ended
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.ids import SessionId, id_text, parse_id
from sessiond.domain.instants import Instant, rfc3339
from sessiond.domain.sessions import Client, Session, Standing
from sessiond.domain.texts import Name, Reason, text_fault
from sessiond.domain.user_agents import DeviceClass, Software, software
from sessiond.http.dialects.native.shapes import ClientView, SessionView, actor_view
from sessiond.http.refusals import Fault, InvalidMembers
from sessiond.services.sessions import SESSION_UNKNOWN

INVALID_CURSOR = InvalidRequest("invalid_cursor", "`after` is not a `next` of this list.")

_KEPT_ITEMS = 5000
"""Some two kilobytes each, with their sessions: the lists that are on people's screens."""


class EndedView(msgspec.Struct, frozen=True, kw_only=True):
    """Why and when a session ended; `at` and `reason` are null where that is not known (any more)."""

    code: str
    reason: str | None
    at: str | None


class ListedClient(ClientView, frozen=True, kw_only=True, gc=False):
    """The software that holds the tokens. `app`, `os`, `device`: what its user agent says, for people to know it by."""

    app: str | None
    os: str | None
    device: DeviceClass | None


class ListedSession(SessionView, frozen=True, kw_only=True, gc=False):
    """A session; `is_current` says that it is the asker's own, `ended` is null while it lives."""

    client: ListedClient
    is_current: bool
    ended: EndedView | None


class ListedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One session."""

    session: ListedSession


class ListedPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of sessions, newest first. `next` asks for the following page; null on the last."""

    items: Sequence[ListedSession]
    next: str | None


class EncodedPage(msgspec.Struct, frozen=True, kw_only=True):
    """A `ListedPage` whose items are JSON already."""

    items: Sequence[msgspec.Raw]
    next: str | None


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    after: Annotated[str | None, Meta(description="`next` of the page before.")] = None


class ReasonQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a session is ended; its holder is told."""

    reason: Annotated[Reason | None, Meta(description="Why, in a few words; the holder is told.")] = None


class ClientName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the user calls the client; null for nothing."""

    name: Name | None


class RenameSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396) of a session's client."""

    client: ClientName


def own_session(caller: Caller | None) -> SessionId | None:
    """Return the id of the session by which *caller* asks, or None for who has none."""
    standing = None if caller is None or isinstance(caller, ServerCaller) else caller.standing
    return None if standing is None else standing.session.id


def listed(session: Session, own: SessionId | None, ended: Ended | None = None) -> ListedSession:
    """Return the session as who asks by the session *own* sees it; *ended* says how it ended, if it did."""
    # Apart from `view`: what both show would have to pass through a dict, and this is made for every row of a list.
    actor, idle = session.actor, session.idle_timeout_ms
    return ListedSession(
        id=id_text(session.id),
        subject=session.subject,
        kind=str(session.session_kind),
        created_at=rfc3339(session.created_at),
        authenticated_at=rfc3339(session.authenticated_at),
        last_seen_at=rfc3339(session.last_seen_at),
        expires_at=rfc3339(session.expires_at),
        idle_timeout_seconds=None if idle is None else idle // 1000,
        client=_client(session.client),
        acr=session.acr,
        amr=session.amr,
        actor=None if actor is None else actor_view(actor),
        metadata=session.metadata,
        is_current=session.id == own,
        ended=None if ended is None else view_ended(ended),
    )


class ListedItems:
    """Sessions as items of a list's JSON, made anew only where they differ from when they were listed last."""

    def __init__(self) -> None:
        self._kept: dict[SessionId, tuple[Session, msgspec.Raw]] = {}

    def item(self, session: Session, own: SessionId | None, ended: Ended | None) -> msgspec.Raw:
        """Return `listed` in JSON."""
        if ended is not None or session.id == own:
            return _encoded(listed(session, own, ended))
        kept = self._kept.get(session.id)
        if kept is not None and kept[0] == session:
            return kept[1]
        if len(self._kept) >= _KEPT_ITEMS:
            self._kept.clear()
        item = _encoded(listed(session, own))
        self._kept[session.id] = (session, item)
        return item


def _encoded(view: ListedSession) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(view))


def _client(client: Client) -> ListedClient:
    said = Software() if client.user_agent is None else software(client.user_agent)
    return ListedClient(
        address=client.address,
        user_agent=client.user_agent,
        name=client.name,
        app=said.app,
        os=said.os,
        device=said.device,
    )


def view_ended(ended: Ended) -> EndedView:
    """Return how a session ended as it is shown."""
    at = None if ended.at is None else rfc3339(ended.at)
    return EndedView(code=ended.why.value, reason=ended.reason, at=at)


def looked_up(standing: Standing, caller: Caller | None, now: Instant) -> ListedAnswer:
    """Return one session as *caller* sees it *now*."""
    why = ending(standing, now)
    ended = None if why is None else how_ended(standing, why)
    return ListedAnswer(session=listed(standing.session, own_session(caller), ended))


def session_id(text: str) -> SessionId:
    """Return the id that a path names; one that cannot be an id is as unknown as any other."""
    identifier = parse_id(text)
    if identifier is None:
        raise SESSION_UNKNOWN
    return identifier


def cursor(after: str | None) -> SessionId | None:
    """Return where a page begins, or refuse."""
    before = None if after is None else parse_id(after)
    if after is not None and before is None:
        raise INVALID_CURSOR
    return before


def next_text(following: SessionId | None) -> str | None:
    """Return the cursor of the page after this one."""
    return None if following is None else id_text(following)


def reason_of(query: ReasonQuery, default: str) -> str:
    """Return why a session is ended."""
    require_sound({"/reason": text_fault(query.reason)}, where="query")
    return default if query.reason is None else query.reason


def require_sound(faults: Mapping[str, str | None], *, where: str = "body") -> None:
    """Raise `InvalidMembers` with every fault that there is, by the pointer of its member."""
    if any(faults.values()):
        found = [Fault(pointer, detail) for pointer, detail in faults.items() if detail is not None]
        raise InvalidMembers(found, where=where)
