"""`sessiond sessions`: list, show and revoke sessions."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import BY, Answer, group, verb
from sessiond.cli.options import LimitOption, OffsetOption, ProjectOption, YesOption
from sessiond.cli.questions import confirm
from sessiond.cli.show import facts, harmless, table, when
from sessiond.domain.callers import OperatorCaller
from sessiond.domain.endings import Ended, ending, how_ended
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.ids import ProjectId, SessionId, SubjectId, id_text, parse_id
from sessiond.domain.session_filters import Filter, State
from sessiond.domain.sessions import Session

app = group("Sessions: list, show and revoke them.")

SubjectOption = Annotated[str | None, typer.Option(metavar="ID", help="Only this subject's.")]


@verb(app, "list")
async def list_sessions(
    opened: Opened,
    *,
    subject: SubjectOption = None,
    ended: Annotated[
        bool, typer.Option("--ended", help="Also those that ended and are not purged yet.")
    ] = False,
    project: ProjectOption = "default",
    limit: LimitOption = 100,
    offset: OffsetOption = 0,
) -> Answer:
    """List sessions, newest first."""
    owner = (await opened.services.projects.find(project)).id
    found = (await _find(opened, owner, subject, ended=ended, most=offset + limit))[offset:]
    shown = table(
        ("ID", "SUBJECT", "KIND", "CREATED", "LAST SEEN", "EXPIRES", "STATE"),
        [
            (
                id_text(session.id),
                session.subject,
                session.session_kind,
                when(session.created_at),
                when(session.last_seen_at),
                when(session.expires_at),
                _state(how),
            )
            for session, how in found
        ],
        empty="There is no live session." if not ended else "There is no session.",
    )
    return Answer({"items": [_facts(session, how) for session, how in found]}, (shown,))


@verb(app, "show")
async def show(
    opened: Opened,
    session: Annotated[str, typer.Argument(help="The session's id.")],
    *,
    project: ProjectOption = "default",
) -> Answer:
    """Show one session, its client and why it ended, if it did."""
    owner = (await opened.services.projects.find(project)).id
    standing = await opened.services.sessions.get(owner, _identifier(session))
    why = ending(standing, opened.clock.now())
    data = _facts(standing.session, None if why is None else how_ended(standing, why))
    return Answer(data, (facts(data),))


@verb(app, "revoke")
async def revoke(
    opened: Opened,
    sessions: Annotated[list[str] | None, typer.Argument(help="Ids of sessions.")] = None,
    *,
    subject: Annotated[str | None, typer.Option(metavar="ID", help="All of this subject's.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="All of the project's.")] = False,
    reason: Annotated[str, typer.Option(help="Why; the session's holder is told.")] = "operator",
    project: ProjectOption = "default",
    yes: YesOption = False,
) -> Answer:
    """End sessions at once: by id, a subject's, or a whole project's. Ending one twice is no error."""
    if sum((bool(sessions), subject is not None, everyone)) != 1:
        raise InvalidRequest("what_to_revoke", "Say what to revoke: ids, or --subject ID, or --all.")
    services = opened.services
    owner = (await services.projects.find(project)).id
    if subject is not None:
        await services.subjects.require(owner, SubjectId(subject))
        await services.subjects.revoke_sessions(owner, SubjectId(subject), reason=reason, by=BY)
        return Answer({"subject": subject}, (harmless(f"All sessions of {subject} have ended."),))
    if everyone:
        confirm(f"Every session of the project {project} ends. Go on?", yes=yes)
        await services.revoking.revoke_project(OperatorCaller(project=owner, name=BY.label), reason=reason)
        return Answer({"project": owner}, (harmless(f"All sessions of the project {project} have ended."),))
    found = [await services.sessions.get(owner, _identifier(text)) for text in sessions or ()]
    for standing in found:
        await services.sessions.revoke(standing.session, reason=reason, by=BY)
    ids = [id_text(standing.session.id) for standing in found]
    return Answer({"revoked": ids}, tuple(harmless(f"Session {each} has ended.") for each in ids))


async def _find(
    opened: Opened, owner: ProjectId, subject: str | None, *, ended: bool, most: int
) -> list[tuple[Session, Ended | None]]:
    """Return at most *most* sessions with how they ended, newest first; live ones only unless *ended*."""
    wanted = Filter(
        subject=None if subject is None else SubjectId(subject), state=State.ALL if ended else State.LIVE
    )
    found: list[tuple[Session, Ended | None]] = []
    before: SessionId | None = None
    while len(found) < most:
        page, before = await opened.services.listing.page(
            OperatorCaller(project=owner, name=BY.label), wanted, limit=most - len(found), before=before
        )
        found += page
        if before is None:
            break
    return found


def _identifier(text: str) -> SessionId:
    found = parse_id(text)
    if found is None:
        raise InvalidRequest("session_id", f"{text!r} is no session id; `sessiond sessions list` shows them.")
    return found


def _state(how: Ended | None) -> str:
    return "live" if how is None else how.why.value


def _facts(session: Session, how: Ended | None) -> dict[str, Any]:
    return {
        "id": id_text(session.id),
        "project": session.project,
        "subject": session.subject,
        "kind": session.session_kind.value,
        "state": _state(how),
        "created_at": when(session.created_at),
        "last_seen_at": when(session.last_seen_at),
        "expires_at": when(session.expires_at),
        "ended_at": None if how is None else when(how.at),
        "ended_reason": None if how is None else how.reason,
        "address": session.client.address,
        "user_agent": session.client.user_agent,
        "name": session.client.name,
        "actor": session.actor.name if session.actor else None,
        "actor_reason": session.actor.reason if session.actor else None,
        "actor_ticket": session.actor.ticket if session.actor else None,
    }
