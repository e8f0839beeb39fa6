"""Users: read, created and deleted. What the npm client needs of them; there is no sign-up, password or team here."""

from __future__ import annotations

import re
from uuid import UUID

import msgspec

from sessiond.domain.errors import NotFound
from sessiond.domain.ids import SubjectId
from sessiond.domain.subjects import Subject
from sessiond.http.answer import Answer
from sessiond.http.dialects.stack_auth import known_errors as no
from sessiond.http.dialects.stack_auth.access import EVERYONE, SERVERS, Access, Accesses, AccessType
from sessiond.http.dialects.stack_auth.errors import schema_fault
from sessiond.http.dialects.stack_auth.profiles import (
    ClientUser,
    ServerUser,
    client_view,
    is_user,
    server_view,
)
from sessiond.http.dialects.stack_auth.schema import (
    Anything,
    Field,
    Flag,
    Text,
    accepted,
    characters_at_most,
    read,
)
from sessiond.http.dialects.stack_auth.shapes import NewUser, SuccessAnswer
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.ports import Entropy

_MAIL = re.compile(r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")
_WEB = re.compile(r"(https?://|data:image/)\S+")
_LONGEST_MAIL = 254
_MOST_PROFILE_BYTES = 8192
_PATH = "/api/v1/users"
_LATEST_SESSIONS = 100


def _is_mail(text: str) -> bool:
    return len(text.encode()) <= _LONGEST_MAIL and text.isprintable() and _MAIL.fullmatch(text) is not None


_MEMBERS: dict[str, Field] = {
    "display_name": Text(nullable=True, rules=[characters_at_most(256)]),
    "profile_image_url": Text(nullable=True, rules=[accepted(_WEB.fullmatch, "is not a valid URL")]),
    "client_metadata": Anything(nullable=True),
    "client_read_only_metadata": Anything(nullable=True),
    "server_metadata": Anything(nullable=True),
    "primary_email": Text(nullable=True, rules=[accepted(_is_mail, "must be a valid email")]),
    "primary_email_verified": Flag(),
    "primary_email_auth_enabled": Flag(),
    "is_anonymous": Flag(),
    "restricted_by_admin": Flag(),
    "restricted_by_admin_reason": Text(nullable=True, rules=[characters_at_most(256)]),
    "restricted_by_admin_private_details": Text(nullable=True, rules=[characters_at_most(1024)]),
}


def _absent(value: object) -> str | None:
    return "is not supported by this server" if value else None


_NOT_HERE: dict[str, Field] = {
    name: Anything(nullable=True, rules=[_absent])
    for name in (
        "password",
        "password_hash",
        "totp_secret_base64",
        "otp_auth_enabled",
        "passkey_auth_enabled",
        "oauth_providers",
        "country_code",
        "risk_scores",
    )
}
"""What the original keeps of a user and this server does not: refused, so that nobody believes it was kept."""


def mint_user_id(entropy: Entropy) -> SubjectId:
    """Return a new user's id: a random UUID (version 4), as the original's are."""
    return SubjectId(str(UUID(bytes=entropy.bytes(16), version=4)))


class Users:
    """The endpoints below `/users`."""

    def __init__(self, services: Services, accesses: Accesses) -> None:
        self._services = services
        self._accesses = accesses

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (*self._of_the_access_token(), *self._of_the_project())

    def _of_the_access_token(self) -> tuple[Endpoint, ...]:
        tags = ("users",)
        return (
            Endpoint(
                "GET",
                f"{_PATH}/me",
                self.show_own,
                summary="Show the user of the access token",
                tags=tags,
                credential=self._accesses.credential(EVERYONE),
                answers={200: ClientUser},
                description="A server is shown what `GET /api/v1/users/{id}` shows.",
                refusals=(no.CANNOT_GET_OWN_USER,),
            ),
            Endpoint(
                "DELETE",
                f"{_PATH}/me",
                self.delete_own,
                summary="Delete the user of the access token",
                tags=tags,
                credential=self._accesses.credential(SERVERS),
                raw_json=True,
                answers={200: SuccessAnswer},
                refusals=(no.CANNOT_GET_OWN_USER, no.USER_NOT_FOUND),
            ),
        )

    def _of_the_project(self) -> tuple[Endpoint, ...]:
        servers, tags = self._accesses.credential(SERVERS), ("users",)
        identifier = {"id": "The user's id."}
        return (
            Endpoint(
                "POST",
                _PATH,
                self.create,
                summary="Create a user",
                tags=tags,
                credential=servers,
                request=NewUser,
                raw_json=True,
                answers={201: ServerUser},
                refusals=(schema_fault("body must be defined"),),
            ),
            Endpoint(
                "GET",
                f"{_PATH}/{{id}}",
                self.show,
                summary="Show a user",
                tags=tags,
                params=identifier,
                credential=servers,
                answers={200: ServerUser},
                refusals=(no.USER_NOT_FOUND,),
            ),
            Endpoint(
                "DELETE",
                f"{_PATH}/{{id}}",
                self.delete,
                summary="Delete a user: all sessions end at once",
                tags=tags,
                params=identifier,
                credential=servers,
                raw_json=True,
                answers={200: SuccessAnswer},
                refusals=(no.USER_NOT_FOUND,),
            ),
        )

    async def show_own(self, request: Request) -> Answer:
        """Show the user of the access token, to a server with what only servers may see."""
        access = request.context_as(Access)
        user = access.own_user()
        if access.type is AccessType.CLIENT:
            return Answer(200, client_view(user))
        return Answer(200, await self._server_view(user))

    async def show(self, request: Request) -> Answer:
        """Show a user of the project."""
        user = await self._named(request)
        return Answer(200, await self._server_view(user))

    async def create(self, request: Request) -> Answer:
        """Create a user under an id of our own."""
        access, asked = request.context_as(Access), _new_user(request.body)
        name, anonymous = asked.pop("display_name", None), asked.pop("is_anonymous", False)
        user = await self._services.subjects.create(
            access.project,
            mint_user_id(self._services.entropy),
            by=access.by,
            name=name if isinstance(name, str) else None,
            anonymous=anonymous is True,
            profile=asked,
        )
        return Answer(201, server_view(user, last_active_at=user.created_at))

    async def delete(self, request: Request) -> Answer:
        """Delete a user of the project."""
        return await self._delete(request.context_as(Access), await self._named(request))

    async def delete_own(self, request: Request) -> Answer:
        """Delete the user of the access token."""
        access = request.context_as(Access)
        return await self._delete(access, access.own_user())

    async def _delete(self, access: Access, user: Subject) -> Answer:
        try:
            await self._services.subjects.delete(access.project, user.id, by=access.by)
        except NotFound:
            raise no.USER_NOT_FOUND from None
        return Answer(200, SuccessAnswer())

    async def _named(self, request: Request) -> Subject:
        access = request.context_as(Access)
        user = await self._services.subjects.get(access.project, SubjectId(request.params["id"]))
        if user is None or not is_user(user):
            raise no.USER_NOT_FOUND
        return user

    async def _server_view(self, user: Subject) -> ServerUser:
        latest, _ = await self._services.sessions.list_page(user.project, user.id, limit=_LATEST_SESSIONS)
        seen = max((session.last_seen_at for session in latest), default=user.created_at)
        return server_view(user, last_active_at=seen)


def _new_user(body: object) -> dict[str, object]:
    """Return the members of a new user."""
    asked = read("body", {**_MEMBERS, **_NOT_HERE}, body)
    restricted = asked.get("restricted_by_admin") is True
    for name in ("restricted_by_admin_reason", "restricted_by_admin_private_details"):
        if asked.get(name) is not None and not restricted:
            raise schema_fault(f"{name} must be null when restricted_by_admin is not true")
    kept = {name: value for name, value in asked.items() if name in _MEMBERS}
    if len(msgspec.json.encode(kept)) > _MOST_PROFILE_BYTES:
        raise schema_fault(f"body must be at most {_MOST_PROFILE_BYTES} bytes of JSON")
    return kept
