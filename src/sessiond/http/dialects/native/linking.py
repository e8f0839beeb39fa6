"""Linking a device's session to a user."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.domain.errors import Forbidden, InvalidRequest, StateConflict
from sessiond.domain.linking import DEVICE_SESSION_ENDED, LINKED_TO_ANOTHER, NOT_A_DEVICES, NOT_A_USER
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.listed import session_id
from sessiond.http.dialects.native.sessions import manager, subject_id
from sessiond.http.dialects.native.shapes import SessionView, view
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.sessions import SESSION_UNKNOWN

_SAMPLE_SUBJECT = InvalidRequest(
    "invalid_subject", "A subject is 1 to 256 bytes of UTF-8 without control characters."
)
_SAMPLE_DISABLED = Forbidden("subject_disabled", "The subject is disabled.")
_SAMPLE_LIMIT = StateConflict("session_limit_reached", "The subject already has as many sessions as it may.")


class LinkSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To whom the device is linked."""

    subject: Annotated[str, Meta(description="The user: 1 to 256 bytes.", min_length=1)]


class LinkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The user's session that continues the device's. `linked_from` is the device."""

    session: SessionView
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
                summary="Link a device's session to a user",
                description="Opens a session of the user, which the device gets from then on, and ends the device's.",
                tags=("sessions",),
                credential=self._credentials.server_key,
                params={"id": "The device session's id."},
                request=LinkSession,
                answers={200: LinkAnswer},
                refusals=(
                    _SAMPLE_SUBJECT,
                    _SAMPLE_DISABLED,
                    SESSION_UNKNOWN,
                    NOT_A_DEVICES,
                    NOT_A_USER,
                    DEVICE_SESSION_ENDED,
                    LINKED_TO_ANOTHER,
                    _SAMPLE_LIMIT,
                ),
            ),
        )

    async def link(self, request: Request) -> Answer:
        """Link; again is no error."""
        user = subject_id(request.body_as(LinkSession).subject)
        session = await self._services.linking.link(manager(request), session_id(request.params["id"]), user)
        return Answer(200, LinkAnswer(session=view(session), linked_from=session.linked_from))
