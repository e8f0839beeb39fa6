"""Sessions as an application changes them while they live: name, metadata, absolute limit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sessiond.domain.documents import metadata_fault
from sessiond.domain.impersonation import IMPERSONATED
from sessiond.domain.session_changes import NOT_EXTENDABLE, InvalidMetadata, extended, patched
from sessiond.domain.sessions import Session
from sessiond.domain.texts import Name, text_fault
from sessiond.http.answer import JSON, Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.creating import Seconds
from sessiond.http.dialects.native.listed import ListedAnswer, looked_up, require_sound, session_id
from sessiond.http.dialects.native.my_sessions import MERGE_PATCH
from sessiond.http.dialects.native.sessions import manager
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.changing import SESSION_ENDED
from sessiond.services.sessions import SESSION_UNKNOWN

_ID = {"id": "The session's id."}
_TAGS = ("sessions",)


class ClientPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may change of a client."""

    name: Annotated[
        Name | UnsetType | None, Meta(description="What the user calls it; null for nothing.")
    ] = UNSET


class PatchSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396) of a session."""

    client: ClientPatch = ClientPatch()
    metadata: Annotated[
        Mapping[str, object] | UnsetType | None,
        Meta(description="Merged into what there is: null removes a member, or all."),
    ] = UNSET


class ExtendSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a session is to live."""

    lifetime_seconds: Annotated[
        Seconds | None, Meta(description="From now on. Without it: as long as the policy allows.")
    ] = None


class ChangedSessions:
    """The paths that change a session."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._credential = credentials.server_key

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (
            Endpoint(
                "PATCH",
                "/v1/sessions/{id}",
                self.patch,
                summary="Change a session's metadata, or what its client is called",
                tags=_TAGS,
                credential=self._credential,
                params=_ID,
                request=PatchSession,
                content_types=(MERGE_PATCH, JSON),
                answers={200: ListedAnswer},
                refusals=(SESSION_UNKNOWN, SESSION_ENDED, InvalidMetadata("has more than 4096 bytes")),
            ),
            Endpoint(
                "POST",
                "/v1/sessions/{id}/extend",
                self.extend,
                summary="Let a session live longer, never longer than the policy allows",
                description="The tokens of the next refresh have the new limit.",
                tags=_TAGS,
                credential=self._credential,
                params=_ID,
                request=ExtendSession,
                body_optional=True,
                answers={200: ListedAnswer},
                refusals=(SESSION_UNKNOWN, SESSION_ENDED, NOT_EXTENDABLE, IMPERSONATED),
            ),
        )

    async def patch(self, request: Request) -> Answer:
        """Apply a merge patch."""
        asked, name = request.body_as(PatchSession), request.body_as(PatchSession).client.name
        require_sound(
            {
                "/client/name": text_fault(name) if isinstance(name, str) else None,
                "/metadata": metadata_fault(asked.metadata) if isinstance(asked.metadata, Mapping) else None,
            }
        )
        caller, session = manager(request), await self._session(request)
        standing = await self._services.changing.change(
            session,
            lambda standing, _: patched(standing.session, name=name, metadata=asked.metadata),
            by=caller.initiator,
        )
        return Answer(200, looked_up(standing, caller, request.now))

    async def extend(self, request: Request) -> Answer:
        """Move the absolute limit, if there is room."""
        asked = request.body if isinstance(request.body, ExtendSession) else ExtendSession()
        seconds = asked.lifetime_seconds
        lifetime = None if seconds is None else timedelta(seconds=seconds)
        caller, session = manager(request), await self._session(request)
        policy_of = self._services.sessions.policy_of
        standing = await self._services.changing.change(
            session,
            lambda standing, now: extended(standing.session, lifetime, policy=policy_of(standing), now=now),
            by=caller.initiator,
        )
        return Answer(200, looked_up(standing, caller, request.now))

    async def _session(self, request: Request) -> Session:
        identifier = session_id(request.params["id"])
        return (await self._services.sessions.managed(manager(request), identifier)).session
