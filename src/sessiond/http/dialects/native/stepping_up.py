"""Stepping up: the subject authenticated anew, and the session goes on under a new id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sessiond.domain.impersonation import IMPERSONATED
from sessiond.domain.replays import REPLAY_SUPERSEDED, IdempotencyKeyReused
from sessiond.domain.sessions import SessionKind
from sessiond.domain.step_up import AUTHENTICATION_OUTDATED, NOT_STEPPABLE, Reauthentication
from sessiond.domain.texts import ContextClass, Method
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.creating import (
    IDEMPOTENCY,
    Seconds,
    assurance_faults,
    authenticated_at,
    duration,
)
from sessiond.http.dialects.native.listed import require_sound, session_id
from sessiond.http.dialects.native.sessions import manager
from sessiond.http.dialects.native.shapes import CreatedAnswer
from sessiond.http.dialects.native.token_answers import cookie_name, created
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.changing import SESSION_ENDED
from sessiond.services.sessions import SESSION_UNKNOWN


class AuthenticateSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the subject authenticated. What is left out stays as it was."""

    acr: Annotated[
        ContextClass | UnsetType, Meta(description="The authentication context class from now on.")
    ] = UNSET
    amr: Annotated[
        Annotated[Sequence[Method], Meta(max_length=16)] | UnsetType,
        Meta(description="How they authenticated (RFC 8176): all that counts from now on."),
    ] = UNSET
    authenticated_at: Annotated[
        str | None, Meta(description="When they did (RFC 3339); not in the future. Without it: now.")
    ] = None
    absolute_timeout_seconds: Annotated[
        Seconds | None,
        Meta(description="Begin a new absolute period, never longer than the policy's. Without it: none."),
    ] = None


class SteppedUpSessions:
    """`POST /v1/sessions/{id}/authenticate`."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._credential = credentials.server_key

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        return (
            Endpoint(
                "POST",
                "/v1/sessions/{id}/authenticate",
                self.authenticate,
                summary="Step up: the subject authenticated anew",
                description="The session goes on under a new id, with new tokens or a new cookie; the old ones are "
                "dead at once.",
                tags=("sessions",),
                credential=self._credential,
                params={"id": "The session's id."},
                request=AuthenticateSession,
                body_optional=True,
                headers=IDEMPOTENCY,
                answers={201: CreatedAnswer},
                refusals=(
                    SESSION_UNKNOWN,
                    SESSION_ENDED,
                    NOT_STEPPABLE,
                    AUTHENTICATION_OUTDATED,
                    IMPERSONATED,
                    REPLAY_SUPERSEDED,
                    IdempotencyKeyReused(),
                ),
            ),
        )

    async def authenticate(self, request: Request) -> Answer:
        """Replace the session; the answer is as that of a create."""
        asked = request.body if isinstance(request.body, AuthenticateSession) else AuthenticateSession()
        acr, amr = None if asked.acr is UNSET else asked.acr, () if asked.amr is UNSET else asked.amr
        require_sound(assurance_faults(acr, amr, asked.authenticated_at, request.now))
        caller, identifier = manager(request), session_id(request.params["id"])
        standing = await self._services.sessions.managed(caller, identifier)
        if standing.session.session_kind is SessionKind.BROWSER:
            cookie_name(request)
        done = await self._services.stepping_up.step_up(
            caller,
            identifier,
            Reauthentication(
                at=authenticated_at(asked.authenticated_at, request.now) or request.now,
                acr=asked.acr,
                amr=UNSET if asked.amr is UNSET else tuple(asked.amr),
                absolute_timeout=duration(asked.absolute_timeout_seconds),
            ),
            idempotency_key=request.header(b"idempotency-key"),
            asked=msgspec.json.encode(asked, order="deterministic"),
        )
        return await created(self._services, request, done.session, done.policy)
