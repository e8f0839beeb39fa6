"""Sessions as an application manages them: create, list, show. A server key or the operator only."""

from __future__ import annotations

from sessiond.domain.accounts import TOO_MANY_ACCOUNTS
from sessiond.domain.callers import Manager
from sessiond.domain.errors import Forbidden, InvalidRequest, NotFound, StateConflict
from sessiond.domain.ids import SubjectId, acceptable_subject_id
from sessiond.domain.impersonation import ACTOR_ENDED, ACTOR_IS_SUBJECT, IMPERSONATED
from sessiond.domain.replays import REPLAY_SUPERSEDED, IdempotencyKeyReused
from sessiond.domain.subjects import SUBJECT_RESERVED
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.acting import asked_of
from sessiond.http.dialects.native.creating import (
    IDEMPOTENCY,
    CreateSession,
    assured,
    create_faults,
    order_of,
    subject_named,
)
from sessiond.http.dialects.native.issuing import INVALID_FORMAT, NativeIssuing
from sessiond.http.dialects.native.listed import (
    INVALID_CURSOR,
    EncodedPage,
    ListedAnswer,
    ListedItems,
    ListedPage,
    cursor,
    looked_up,
    next_text,
    own_session,
    require_sound,
    session_id,
)
from sessiond.http.dialects.native.listing import ListQuery, filter_of
from sessiond.http.dialects.native.shapes import CreatedAnswer
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.sessions import SESSION_UNKNOWN

INVALID_SUBJECT = InvalidRequest(
    "invalid_subject", "A subject is 1 to 256 bytes of UTF-8 without control characters."
)
_SUBJECT_DISABLED = Forbidden("subject_disabled", "The subject is disabled.")
_SUBJECT_UNKNOWN = NotFound("subject_unknown", "There is no such subject.")
_LIMIT_REACHED = StateConflict("session_limit_reached", "The subject already has as many sessions as it may.")


ISSUING_REFUSALS = (
    INVALID_SUBJECT,
    INVALID_FORMAT,
    SUBJECT_RESERVED,
    _SUBJECT_UNKNOWN,
    _SUBJECT_DISABLED,
    TOO_MANY_ACCOUNTS,
    IMPERSONATED,
    ACTOR_ENDED,
    ACTOR_IS_SUBJECT,
    REPLAY_SUPERSEDED,
    IdempotencyKeyReused(),
)
"""What whoever creates a session, or impersonates, may be refused with."""


class ManagedSessions:
    """The plural paths."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._credentials = credentials
        self._issuing = NativeIssuing(services)
        self._items = ListedItems()

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        server, tags = self._credentials.server_key, ("sessions",)
        foresees = self._services.store.reads_wait
        return (
            Endpoint(
                "POST",
                "/v1/sessions",
                self.create,
                summary="Create a session for a subject",
                tags=tags,
                credential=self._credentials.server_key_foreseeing(subject_named) if foresees else server,
                request=CreateSession,
                answers={201: CreatedAnswer},
                headers=IDEMPOTENCY,
                refusals=(*ISSUING_REFUSALS, _LIMIT_REACHED),
            ),
            Endpoint(
                "GET",
                "/v1/sessions",
                self.list_page,
                summary="List sessions: a subject's, or everybody's",
                tags=tags,
                credential=server,
                query=ListQuery,
                answers={200: ListedPage},
                refusals=(INVALID_CURSOR,),
            ),
            Endpoint(
                "GET",
                "/v1/sessions/{id}",
                self.show,
                summary="Show a session, ended or not",
                tags=tags,
                credential=server,
                params={"id": "The session's id."},
                answers={200: ListedAnswer},
                refusals=(SESSION_UNKNOWN,),
            ),
        )

    async def create(self, request: Request) -> Answer:
        """Issue a session; the answer carries its tokens, or sets its cookie."""
        asked, caller, now = request.body_as(CreateSession), manager(request), request.now
        require_sound(create_faults(asked, now))
        order = order_of(request, caller, SubjectId(asked.subject), asked)
        if asked.tells_assurance:
            order = assured(order, asked, now)
        acting = None if asked.actor is None else asked_of(asked.actor, asked.reason or "", asked.ticket)
        return await self._issuing.issue(request, caller, asked, order, acting)

    async def list_page(self, request: Request) -> Answer:
        """List what is asked for, newest first."""
        query, caller = request.query_as(ListQuery), manager(request)
        found, following = await self._services.listing.page(
            caller,
            filter_of(query),
            limit=query.limit,
            before=cursor(query.after),
        )
        own = own_session(caller)
        items = [self._items.item(row, own, ended) for row, ended in found]
        return Answer(200, EncodedPage(items=items, next=next_text(following)))

    async def show(self, request: Request) -> Answer:
        """Show one, ended or not."""
        caller = manager(request)
        standing = await self._services.sessions.managed(caller, session_id(request.params["id"]))
        return Answer(200, looked_up(standing, caller, request.now))


def manager(request: Request) -> Manager:
    """Return the caller, who manages a project's sessions."""
    caller = request.caller
    if isinstance(caller, Manager):
        return caller
    raise TypeError("the endpoint's credential promises a server key or the operator")


def subject_id(text: str) -> SubjectId:
    """Return *text* as a subject's id, or refuse."""
    if not acceptable_subject_id(text):
        raise INVALID_SUBJECT
    return SubjectId(text)
