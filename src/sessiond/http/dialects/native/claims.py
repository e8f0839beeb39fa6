"""A project's claims template: shown to whoever manages the project, changed by the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.domain.claim_templates import Claim, Template
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.operator_only import OPERATOR_REQUIRED, operator
from sessiond.http.dialects.native.sessions import manager
from sessiond.http.endpoint import Endpoint
from sessiond.http.etags import MALFORMED_TAGS, etag, expects_another
from sessiond.http.refusals import Fault, InvalidMembers, PreconditionFailed
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.claims import InvalidTemplate

_PATH = "/v1/claims"
_SAMPLE = InvalidMembers(
    [Fault("/claims/sub", "is a claim with a meaning of its own, which no template sets")]
)


class ClaimsTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What JWT access tokens say besides: each claim a constant (`value`), or what `from` leads to."""

    claims: Annotated[Mapping[str, Claim], Meta(description="By name; an empty object adds nothing.")]


class ProjectClaims:
    """The path `/v1/claims`."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._claims = services.claims
        self._credential = credentials.server_key

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (
            Endpoint(
                "GET",
                _PATH,
                self.show,
                summary="Show which claims the project adds to its JWT access tokens",
                tags=("policy",),
                credential=self._credential,
                answers={200: ClaimsTemplate},
            ),
            Endpoint(
                "PUT",
                _PATH,
                self.put,
                summary="Say which claims the project adds to its JWT access tokens",
                description="They count from the next token on. A value that is not there is left out, and so is one "
                "that has more than 1024 bytes or no longer fits into a token of 4096.",
                tags=("policy",),
                credential=self._credential,
                headers={
                    "If-Match": "The `ETag` of the template that it replaces: another one is refused (412)."
                },
                request=ClaimsTemplate,
                answers={200: ClaimsTemplate},
                refusals=(OPERATOR_REQUIRED, MALFORMED_TAGS, PreconditionFailed(), _SAMPLE),
            ),
        )

    async def show(self, request: Request) -> Answer:
        """Show the template."""
        return _answer(await self._claims.get(manager(request).project))

    async def put(self, request: Request) -> Answer:
        """Replace the template."""
        caller, asked = operator(request), request.body_as(ClaimsTemplate)

        def replaced(present: Template) -> Template:
            if expects_another(request, etag(ClaimsTemplate(claims=present))):
                raise PreconditionFailed
            return asked.claims

        try:
            return _answer(await self._claims.change(caller.project, replaced, by=caller.initiator))
        except InvalidTemplate as refusal:
            faults = [Fault(_pointer(fault.claim) + fault.member, fault.detail) for fault in refusal.faults]
            raise InvalidMembers(faults) from None


def _pointer(claim: str) -> str:
    return "/claims" + (f"/{claim.replace('~', '~0').replace('/', '~1')}" if claim else "")


def _answer(template: Template) -> Answer:
    shown = ClaimsTemplate(claims=template)
    return Answer(200, shown, headers=(("ETag", etag(shown)),))
