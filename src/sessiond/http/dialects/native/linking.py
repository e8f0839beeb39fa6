"""Linking the session of a device, or of an anonymous subject, to a user."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.crypto.tokens import TokenKind
from sessiond.domain.errors import Forbidden, StateConflict
from sessiond.domain.ids import SubjectId, subject_id_fault
from sessiond.domain.linking import LINKED_SESSION_ENDED, LINKED_TO_ANOTHER, NOT_A_USER, NOT_ANONYMOUS
from sessiond.domain.sessions import SessionKind
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.listed import require_sound, session_id
from sessiond.http.dialects.native.sessions import manager
from sessiond.http.dialects.native.shapes import CreatedAnswer, view
from sessiond.http.dialects.native.token_answers import cookie_name, session_cookie, tokens_of
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.sessions import SESSION_UNKNOWN

_SAMPLE_DISABLED = Forbidden("subject_disabled", "The subject is disabled.")
_SAMPLE_LIMIT = StateConflict("session_limit_reached", "The subject already has as many sessions as it may.")


class LinkSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To whom it is linked."""

    subject: Annotated[str, Meta(description="The user: 1 to 256 bytes.", min_length=1)]


class LinkAnswer(CreatedAnswer, frozen=True, kw_only=True, omit_defaults=True):
    """The user's session that continues the one of `linked_from`, with its first tokens where its client needs them.

    A device gets its own by its identifier, and of Stack's the refresh token is enough.
    """

    linked_from: str | None


class DeviceLinks:
    """`POST /v1/sessions/{id}/link`."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._credentials = credentials

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        return (
            Endpoint(
                "POST",
                "/v1/sessions/{id}/link",
                self.link,
                summary="Link the session of a device or an anonymous subject to a user",
                description="Opens a session of the user in its place, and ends all of the device's or anonymous "
                "subject's. A device gets the new one by its identifier; for others the answer has its tokens, or sets "
                "its cookie, until they were refreshed.",
                tags=("sessions",),
                credential=self._credentials.server_key,
                params={"id": "The session's id."},
                request=LinkSession,
                answers={200: LinkAnswer},
                refusals=(
                    _SAMPLE_DISABLED,
                    SESSION_UNKNOWN,
                    NOT_ANONYMOUS,
                    NOT_A_USER,
                    LINKED_SESSION_ENDED,
                    LINKED_TO_ANOTHER,
                    _SAMPLE_LIMIT,
                ),
            ),
        )

    async def link(self, request: Request) -> Answer:
        """Link; again is no error."""
        asked, caller = request.body_as(LinkSession), manager(request)
        require_sound({"/subject": subject_id_fault(asked.subject)})
        user = SubjectId(asked.subject)
        presented = await self._services.sessions.managed(caller, session_id(request.params["id"]))
        if presented.session.session_kind is SessionKind.BROWSER:
            cookie_name(request)
        session = await self._services.linking.link(caller, presented.session.id, user)
        shown = LinkAnswer(session=view(session), linked_from=session.linked_from)
        if session.generation:
            return Answer(200, shown)
        match session.session_kind:
            case SessionKind.TOKENS:
                policy = self._services.sessions.policy_of(presented)
                tokens = await tokens_of(self._services, session, policy, now=request.now)
                return Answer(200, msgspec.structs.replace(shown, **msgspec.structs.asdict(tokens)))
            case SessionKind.BROWSER:
                return Answer(200, shown, cookies=(session_cookie(self._services, request, session),))
            case SessionKind.STACK:
                text = self._services.tokens.opaque(
                    TokenKind.STACK_REFRESH, session, expires_at=session.expires_at
                )
                return Answer(200, msgspec.structs.replace(shown, refresh_token=text))
            case _:
                return Answer(200, shown)
