"""A user's sessions: create one (for oneself or to impersonate), list them, end another."""

from __future__ import annotations

from datetime import timedelta

from sessiond.domain.endings import ending
from sessiond.domain.errors import NotFound
from sessiond.domain.ids import (
    SessionId,
    SubjectId,
    acceptable_subject_id,
    id_text,
    parse_id,
)
from sessiond.domain.rules import StackRules
from sessiond.domain.sessions import Actor, Session, SessionKind
from sessiond.domain.subjects import is_operator
from sessiond.http.answer import Answer
from sessiond.http.dialects.stack_auth import known_errors as no
from sessiond.http.dialects.stack_auth.access import EVERYONE, SERVERS, Access, Accesses, AccessType
from sessiond.http.dialects.stack_auth.access_tokens import mint, refresh_token
from sessiond.http.dialects.stack_auth.errors import schema_fault
from sessiond.http.dialects.stack_auth.queries import read_query
from sessiond.http.dialects.stack_auth.schema import (
    Field,
    Flag,
    Number,
    Text,
    accepted,
    at_least,
    at_most,
    read,
    whole,
)
from sessiond.http.dialects.stack_auth.shapes import (
    MOST_MILLIS,
    AddressInfo,
    NewSession,
    NewSessionAnswer,
    SessionItem,
    SessionList,
    SuccessAnswer,
    UserQuery,
)
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.orders import Order

IMPERSONATION_REASON = "Stack Auth API"
OWN = "me"

_PATH, _TAGS = "/auth/sessions", ("sessions",)
_USER_ID = [accepted(acceptable_subject_id, "must be a valid user ID")]
_NEW: dict[str, Field] = {
    "user_id": Text(required=True, rules=_USER_ID),
    "expires_in_millis": Number(rules=[at_least(1), at_most(MOST_MILLIS), whole]),
    "is_impersonation": Flag(),
}
_WHOSE: dict[str, Field] = {"user_id": Text(required=True, rules=_USER_ID)}
_WHOSE_PERHAPS: dict[str, Field] = {"user_id": Text(rules=_USER_ID)}


class UserSessions:
    """The endpoints `/auth/sessions` and `/auth/sessions/{id}`."""

    def __init__(self, services: Services, accesses: Accesses) -> None:
        self._services = services
        self._accesses = accesses

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (self._creation(), *self._listing_and_ending())

    def _creation(self) -> Endpoint:
        return Endpoint(
            "POST",
            _PATH,
            self.create,
            summary="Create a session for a user",
            aliases=(f"/api/v1{_PATH}",),
            tags=_TAGS,
            credential=self._accesses.credential(SERVERS),
            request=NewSession,
            raw_json=True,
            answers={200: NewSessionAnswer},
            refusals=(
                schema_fault("body.user_id must be defined"),
                no.user_id_unknown("alice"),
                no.CANNOT_GET_OWN_USER,
                no.USER_DISABLED,
                no.SESSION_LIMIT,
            ),
        )

    def _listing_and_ending(self) -> tuple[Endpoint, ...]:
        everyone = self._accesses.credential(EVERYONE)
        return (
            Endpoint(
                "GET",
                _PATH,
                self.list_all,
                summary="List a user's live sessions",
                aliases=(f"/api/v1{_PATH}",),
                tags=_TAGS,
                credential=everyone,
                query=UserQuery,
                answers={200: SessionList},
                refusals=(
                    schema_fault("query.user_id must be defined"),
                    no.CANNOT_GET_OWN_USER,
                    no.OWN_SESSIONS_ONLY,
                ),
            ),
            Endpoint(
                "DELETE",
                f"{_PATH}/{{id}}",
                self.end,
                summary="End a session",
                aliases=(f"/api/v1{_PATH}/{{id}}",),
                tags=_TAGS,
                params={"id": "The session's id."},
                credential=everyone,
                query=UserQuery,
                raw_json=True,
                answers={200: SuccessAnswer},
                refusals=(
                    schema_fault("params.id must be a valid UUID"),
                    no.CANNOT_GET_OWN_USER,
                    no.CANNOT_DELETE_CURRENT_SESSION,
                    no.SESSION_NOT_FOUND,
                ),
            ),
        )

    async def create(self, request: Request) -> Answer:
        """Issue a session; an impersonation carries who asked for it, and why."""
        access, asked = request.context_as(Access), read("body", _NEW, request.body)
        user, impersonation = _whose(access, asked["user_id"]), asked.get("is_impersonation") is True
        if is_operator(access.project, user):
            raise no.user_id_unknown(user)
        lifetime, rules = _lifetime(asked.get("expires_in_millis")), self._services.rules.stack
        order = Order(
            project=access.project,
            subject=user,
            session_kind=SessionKind.STACK,
            by=access.by,
            absolute_timeout=lifetime or usual_lifetime(rules, impersonation=impersonation),
            ceiling=None if lifetime is None else rules.max_lifetime,
            actor=Actor(name=access.actor, reason=IMPERSONATION_REASON) if impersonation else None,
        )
        try:
            issued = await self._services.issuing.issue(order)
        except NotFound:
            raise no.user_id_unknown(user) from None
        session = issued.session
        token = mint(self._services, session, issued.subject, issued.policy, now=request.now)
        return Answer(
            200,
            NewSessionAnswer(refresh_token=refresh_token(self._services, session), access_token=token.text),
        )

    async def list_all(self, request: Request) -> Answer:
        """List what lives; impersonations are shown to an administrator only."""
        access, asked = request.context_as(Access), read_query(request, _WHOSE)
        user = _whose(access, asked["user_id"])
        if access.type is AccessType.CLIENT and (access.user is None or access.user.id != user):
            raise no.OWN_SESSIONS_ONLY
        rows = await self._services.sessions.list_live(access.project, user)
        admin = access.type is AccessType.ADMIN
        return Answer(200, SessionList(items=[_item(row, access) for row in rows if admin or _shown(row)]))

    async def end(self, request: Request) -> Answer:
        """End a session that is not the caller's current one."""
        access = request.context_as(Access)
        client = access.type is AccessType.CLIENT
        asked = read_query(request, _WHOSE if client else _WHOSE_PERHAPS)
        identifier = parse_id(request.params["id"])
        if identifier is None:
            raise schema_fault("params.id must be a valid UUID")
        owner = _whose(access, asked["user_id"]) if "user_id" in asked else None
        session = await self._living(access, identifier, request.now)
        if client and not (access.user is not None and session.subject == access.user.id == owner):
            raise no.SESSION_NOT_FOUND
        if identifier == access.session:
            raise no.CANNOT_DELETE_CURRENT_SESSION
        await self._services.sessions.revoke(session, reason="revoked", by=access.by)
        return Answer(200, SuccessAnswer())

    async def _living(self, access: Access, identifier: SessionId, now: int) -> Session:
        try:
            standing = await self._services.sessions.get(access.project, identifier)
        except NotFound:
            raise no.SESSION_NOT_FOUND from None
        operators = standing.session.session_kind is SessionKind.OPERATOR
        if ending(standing, now) is not None or (operators and access.type is not AccessType.ADMIN):
            raise no.SESSION_NOT_FOUND
        return standing.session


def _whose(access: Access, user_id: object) -> SubjectId:
    """Return the user that is named, or the access token's for `me`."""
    return access.own_user().id if user_id == OWN else SubjectId(str(user_id))


def _lifetime(millis: object) -> timedelta | None:
    return timedelta(milliseconds=millis) if isinstance(millis, int | float) else None


def usual_lifetime(rules: StackRules, *, impersonation: bool = False) -> timedelta:
    """Return how long a session lives when nobody says; the project's policy may cut it."""
    usual = rules.impersonation_lifetime if impersonation else rules.default_lifetime
    return min(usual, rules.max_lifetime)


def _shown(session: Session) -> bool:
    return session.actor is None and session.session_kind is not SessionKind.OPERATOR


def _item(session: Session, access: Access) -> SessionItem:
    address = session.client.address
    return SessionItem(
        id=id_text(session.id),
        user_id=session.subject,
        created_at=session.created_at,
        last_used_at=session.last_seen_at,
        is_impersonation=session.actor is not None,
        is_current_session=session.id == access.session,
        last_used_at_end_user_ip_info=None if address is None else AddressInfo(ip=address),
    )
