"""Impersonating a subject."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from sessiond.domain.texts import Reason
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.acting import ActorMembers, Ticket, acting_faults, asked_of
from sessiond.http.dialects.native.creating import IDEMPOTENCY, SessionMembers, order_of, session_faults
from sessiond.http.dialects.native.issuing import NativeIssuing
from sessiond.http.dialects.native.listed import require_sound
from sessiond.http.dialects.native.sessions import ISSUING_REFUSALS, manager, subject_id
from sessiond.http.dialects.native.shapes import CreatedAnswer
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services


class ImpersonateSubject(SessionMembers, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to act as the subject, and why; and what else a session may be asked for."""

    actor: Annotated[ActorMembers, Meta(description="Who acts.")]
    reason: Annotated[Reason, Meta(description="Why they act; the subject sees it.")]
    ticket: Annotated[Ticket | None, Meta(description="On which ticket of yours; the subject sees it.")] = (
        None
    )


class ImpersonatedSubjects:
    """`POST /v1/subjects/{id}/impersonate`."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._credential = credentials.server_key
        self._issuing = NativeIssuing(services)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        return (
            Endpoint(
                "POST",
                "/v1/subjects/{id}/impersonate",
                self.impersonate,
                summary="Impersonate a subject",
                description="Creates a session of a known subject in which someone else acts. It lives for an hour at "
                "most (`impersonation.absolute_timeout`) and no longer than the actor's own session, is not counted "
                "towards the subject's limit, and is shown to the subject.",
                tags=("subjects",),
                credential=self._credential,
                params={"id": "The subject's id, percent-encoded."},
                request=ImpersonateSubject,
                headers=IDEMPOTENCY,
                answers={201: CreatedAnswer},
                refusals=ISSUING_REFUSALS,
            ),
        )

    async def impersonate(self, request: Request) -> Answer:
        """Issue the session; the answer is as that of a create."""
        asked, caller = request.body_as(ImpersonateSubject), manager(request)
        require_sound(session_faults(asked) | acting_faults(asked.actor, asked.reason, asked.ticket))
        order = order_of(request, caller, subject_id(request.params["id"]), asked)
        return await self._issuing.issue(
            request, caller, asked, order, asked_of(asked.actor, asked.reason, asked.ticket)
        )
