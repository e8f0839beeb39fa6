"""A subject's own sessions: list them, name them, end them. The credential is any live session of the subject."""

from __future__ import annotations

from sessiond.domain.callers import Caller, OperatorCaller, SubjectCaller
from sessiond.domain.impersonation import IMPERSONATED
from sessiond.domain.initiators import Initiator
from sessiond.domain.sessions import INVALID, Session
from sessiond.domain.texts import text_fault
from sessiond.http.answer import JSON, NO_CONTENT, Answer
from sessiond.http.counting import by_session
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.listed import (
    INVALID_CURSOR,
    ListedAnswer,
    ListedPage,
    PageQuery,
    ReasonQuery,
    RenameSession,
    cursor,
    listed,
    looked_up,
    next_text,
    reason_of,
    require_sound,
    session_id,
)
from sessiond.http.dialects.native.token_answers import signed_out
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.changing import SESSION_ENDED
from sessiond.services.sessions import SESSION_UNKNOWN
from sessiond.services.tokens import WRONG_KIND

MERGE_PATCH = "application/merge-patch+json"

_ALL = "/v1/me/sessions"
_ONE = "/v1/me/sessions/{id}"
_ID = {"id": "The session's id."}
_TAGS = ("my sessions",)


class MySessions:
    """The paths below `/v1/me`."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._own = services.own_sessions
        self._accounts = services.accounts
        self._credential = credentials.session

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (*self._reading(), *self._writing())

    def _reading(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                "GET",
                _ALL,
                self.list_page,
                summary="List my live sessions",
                tags=_TAGS,
                credential=self._credential,
                query=PageQuery,
                answers={200: ListedPage},
                refusals=(WRONG_KIND, INVALID_CURSOR),
            ),
            Endpoint(
                "GET",
                _ONE,
                self.show,
                summary="Show one of my sessions",
                tags=_TAGS,
                credential=self._credential,
                params=_ID,
                answers={200: ListedAnswer},
                refusals=(WRONG_KIND, SESSION_UNKNOWN),
            ),
        )

    def _writing(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                "PATCH",
                _ONE,
                self.rename,
                summary="Name the client of one of my sessions",
                tags=_TAGS,
                credential=self._credential,
                counting=by_session,
                params=_ID,
                request=RenameSession,
                content_types=(MERGE_PATCH, JSON),
                answers={200: ListedAnswer},
                refusals=(WRONG_KIND, SESSION_UNKNOWN, SESSION_ENDED, IMPERSONATED),
            ),
            Endpoint(
                "DELETE",
                _ONE,
                self.end,
                summary="End one of my sessions",
                tags=_TAGS,
                credential=self._credential,
                counting=by_session,
                params=_ID,
                query=ReasonQuery,
                answers={204: None},
                refusals=(WRONG_KIND, SESSION_UNKNOWN, IMPERSONATED),
            ),
            Endpoint(
                "DELETE",
                _ALL,
                self.end_others,
                summary="End all my other sessions, in one write",
                tags=_TAGS,
                credential=self._credential,
                counting=by_session,
                query=ReasonQuery,
                answers={204: None},
                refusals=(WRONG_KIND, IMPERSONATED),
            ),
        )

    async def list_page(self, request: Request) -> Answer:
        """List what lives, newest first."""
        query, holder = request.query_as(PageQuery), held(request.caller)
        rows, following = await self._own.list_page(holder, limit=query.limit, before=cursor(query.after))
        items = [listed(row, holder.id) for row in rows]
        return Answer(200, ListedPage(items=items, next=next_text(following)))

    async def show(self, request: Request) -> Answer:
        """Show one, ended or not."""
        standing = await self._own.get(held(request.caller), session_id(request.params["id"]))
        return Answer(200, looked_up(standing, request.caller, request.now))

    async def rename(self, request: Request) -> Answer:
        """Give a client a name, or take it away."""
        name = request.body_as(RenameSession).client.name
        require_sound({"/client/name": text_fault(name)})
        standing = await self._own.rename(
            held(request.caller), session_id(request.params["id"]), name, by=initiator(request)
        )
        return Answer(200, looked_up(standing, request.caller, request.now))

    async def end(self, request: Request) -> Answer:
        """End one; ending the current one is signing out."""
        holder, identifier = held(request.caller), session_id(request.params["id"])
        query, by = request.query_as(ReasonQuery), initiator(request)
        if identifier == holder.id:
            await self._accounts.sign_out(holder, reason=reason_of(query, "signed_out"), by=by)
            return signed_out(request)
        await self._own.end(holder, identifier, reason=reason_of(query, "signed_out_elsewhere"), by=by)
        return NO_CONTENT

    async def end_others(self, request: Request) -> Answer:
        """End all but the current one."""
        reason = reason_of(request.query_as(ReasonQuery), "signed_out_elsewhere")
        await self._own.end_others(held(request.caller), reason=reason, by=initiator(request))
        return NO_CONTENT


def held(caller: Caller | None) -> Session:
    """Return the session by whose credential the caller asks."""
    if isinstance(caller, SubjectCaller | OperatorCaller) and caller.standing is not None:
        return caller.standing.session
    raise INVALID


def initiator(request: Request) -> Initiator:
    """Return whom events name for what is done with the caller's own session."""
    caller = request.caller
    if isinstance(caller, SubjectCaller | OperatorCaller):
        return caller.initiator
    raise INVALID
