"""Sessions as an application ends them: one, many, a subject's, a project's. Each is in force with the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.domain.ids import id_text, parse_id
from sessiond.domain.impersonation import IMPERSONATED
from sessiond.domain.texts import Reason, text_fault
from sessiond.http.answer import NO_CONTENT, Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.listed import ReasonQuery, reason_of, require_sound, session_id
from sessiond.http.dialects.native.sessions import INVALID_SUBJECT, manager, subject_id
from sessiond.http.dialects.native.subjects import SUBJECT_UNKNOWN
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.changing import SESSION_ENDED
from sessiond.services.sessions import SESSION_UNKNOWN

MOST_AT_ONCE = 500
_REVOKED = "revoked"
_TAGS = ("sessions",)


class RevokeSessions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sessions are to end, and why."""

    ids: Annotated[Sequence[str], Meta(min_length=1, max_length=MOST_AT_ONCE)]
    reason: Annotated[Reason | None, Meta(description="Why, in a few words; the holders are told.")] = None


class RevokedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the ids: `ended` (now or before), and `unknown`."""

    ended: Sequence[str]
    unknown: Sequence[str]


class ExceptQuery(ReasonQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which session is spared, and why the others are ended."""

    kept: Annotated[str | None, Meta(description="The id of a live session of the subject.")] = msgspec.field(
        name="except", default=None
    )


class EndedSessions:
    """The paths that end sessions."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._credential = credentials.server_key

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (*self._by_id(), *self._at_once())

    def _by_id(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                "DELETE",
                "/v1/sessions/{id}",
                self.revoke,
                summary="End a session",
                tags=_TAGS,
                credential=self._credential,
                params={"id": "The session's id."},
                query=ReasonQuery,
                answers={204: None},
                refusals=(SESSION_UNKNOWN,),
            ),
            Endpoint(
                "POST",
                "/v1/sessions/revoke",
                self.revoke_many,
                summary="End up to 500 sessions",
                tags=_TAGS,
                credential=self._credential,
                request=RevokeSessions,
                answers={200: RevokedAnswer},
            ),
        )

    def _at_once(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                "DELETE",
                "/v1/subjects/{id}/sessions",
                self.revoke_subject,
                summary="End all sessions of a subject, or all but one, in one write",
                tags=_TAGS,
                credential=self._credential,
                params={"id": "The subject's id."},
                query=ExceptQuery,
                answers={204: None},
                refusals=(INVALID_SUBJECT, SUBJECT_UNKNOWN, SESSION_UNKNOWN, SESSION_ENDED, IMPERSONATED),
            ),
            Endpoint(
                "DELETE",
                "/v1/project/sessions",
                self.revoke_project,
                summary="End all sessions of the project, in one write",
                tags=_TAGS,
                credential=self._credential,
                query=ReasonQuery,
                answers={204: None},
            ),
        )

    async def revoke(self, request: Request) -> Answer:
        """End one session; again is no error."""
        caller, reason = manager(request), reason_of(request.query_as(ReasonQuery), _REVOKED)
        standing = await self._services.sessions.managed(caller, session_id(request.params["id"]))
        await self._services.sessions.revoke(standing.session, reason=reason, by=caller.initiator)
        return NO_CONTENT

    async def revoke_many(self, request: Request) -> Answer:
        """End those that there are."""
        caller, asked = manager(request), request.body_as(RevokeSessions)
        require_sound({"/reason": text_fault(asked.reason)})
        parsed = {text: parse_id(text) for text in asked.ids}
        ended = await self._services.revoking.revoke_many(
            caller,
            [each for each in parsed.values() if each is not None],
            reason=asked.reason or _REVOKED,
        )
        unknown = [text for text, each in parsed.items() if each not in set(ended)]
        return Answer(200, RevokedAnswer(ended=[id_text(each) for each in ended], unknown=unknown))

    async def revoke_subject(self, request: Request) -> Answer:
        """End all sessions of a subject, or all but one; none is no error."""
        caller, subject = manager(request), subject_id(request.params["id"])
        query = request.query_as(ExceptQuery)
        reason = reason_of(query, _REVOKED)
        if query.kept is None:
            await self._services.revoking.revoke_all(caller, subject, reason=reason)
        else:
            await self._services.revoking.revoke_others(
                caller, subject, kept=session_id(query.kept), reason=reason
            )
        return NO_CONTENT

    async def revoke_project(self, request: Request) -> Answer:
        """End everything that the caller manages."""
        caller, reason = manager(request), reason_of(request.query_as(ReasonQuery), _REVOKED)
        await self._services.revoking.revoke_project(caller, reason=reason)
        return NO_CONTENT
