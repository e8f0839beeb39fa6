"""The session that a request's own tokens are about: sign out, refresh; and the anonymous user's first."""

from __future__ import annotations

from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import ProjectId
from sessiond.domain.sessions import Client, SessionKind, Standing
from sessiond.domain.subjects import SubjectKind
from sessiond.http.answer import Answer
from sessiond.http.counting import by_address
from sessiond.http.dialects.stack_auth import known_errors as no
from sessiond.http.dialects.stack_auth.access import EVERYONE, Access, Accesses
from sessiond.http.dialects.stack_auth.access_tokens import AccessToken, mint, refresh_token
from sessiond.http.dialects.stack_auth.errors import schema_fault
from sessiond.http.dialects.stack_auth.headers import stack_header
from sessiond.http.dialects.stack_auth.sessions import usual_lifetime
from sessiond.http.dialects.stack_auth.shapes import AccessTokenAnswer, AnonymousAnswer, SuccessAnswer
from sessiond.http.dialects.stack_auth.users import mint_user_id
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.credentials import acceptable
from sessiond.services.orders import Order
from sessiond.services.token_forms import Form


class OwnSession:
    """The endpoints `/auth/sessions/current…` and `/auth/anonymous/sign-up`."""

    def __init__(self, services: Services, accesses: Accesses) -> None:
        self._services = services
        self._accesses = accesses

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        outlived = self._accesses.credential(EVERYONE, outlived=True)
        current, tags = "/auth/sessions/current", ("sessions",)
        return (
            self._sign_up(),
            Endpoint(
                "DELETE",
                current,
                self.sign_out,
                summary="Sign out: end the session of the access token",
                aliases=(f"/api/v1{current}",),
                tags=tags,
                credential=outlived,
                raw_json=True,
                answers={200: SuccessAnswer},
                refusals=(no.NO_ACCESS_TOKEN, no.REFRESH_TOKEN_GONE),
            ),
            Endpoint(
                "POST",
                f"{current}/refresh",
                self.refresh,
                summary="Get a fresh access token for the refresh token in `X-Stack-Refresh-Token`",
                aliases=(f"/api/v1{current}/refresh",),
                tags=tags,
                credential=outlived,
                raw_json=True,
                answers={200: AccessTokenAnswer},
                refusals=(
                    schema_fault("headers.x-stack-refresh-token must be defined"),
                    no.REFRESH_TOKEN_GONE,
                ),
            ),
        )

    def _sign_up(self) -> Endpoint:
        path = "/auth/anonymous/sign-up"
        return Endpoint(
            "POST",
            path,
            self.sign_up_anonymously,
            summary="Create an anonymous user, signed in",
            aliases=(f"/api/v1{path}",),
            tags=("sessions",),
            credential=self._accesses.credential(EVERYONE),
            raw_json=True,
            answers={200: AnonymousAnswer},
            counting=by_address(_signed_up_in, "sign_up"),
        )

    async def sign_out(self, request: Request) -> Answer:
        """End the session of the access token."""
        access = request.context_as(Access)
        if access.session is None:
            raise no.NO_ACCESS_TOKEN
        if access.standing is None:
            raise no.REFRESH_TOKEN_GONE
        await self._services.sessions.revoke(access.standing.session, reason="signed_out", by=access.by)
        return Answer(200, SuccessAnswer())

    async def refresh(self, request: Request) -> Answer:
        """Answer a fresh access token; the refresh token stays."""
        access, text = request.context_as(Access), stack_header(request, "refresh-token")
        if text is None:
            raise schema_fault("headers.x-stack-refresh-token must be defined")
        token = await refreshed(self._services, text, access.project, now=request.now)
        return Answer(200, AccessTokenAnswer(access_token=token.text))

    async def sign_up_anonymously(self, request: Request) -> Answer:
        """Create a user that nobody knows by name, and a session for it, in one change."""
        access, services = request.context_as(Access), self._services
        issued = await services.issuing.issue(
            Order(
                project=access.project,
                subject=mint_user_id(services.entropy),
                session_kind=SessionKind.STACK,
                by=access.by,
                create=SubjectKind.USER,
                anonymous=True,
                client=Client(address=request.client_address, user_agent=request.user_agent),
                absolute_timeout=usual_lifetime(services.rules.stack),
            )
        )
        token = mint(services, issued.session, issued.subject, issued.policy, now=request.now)
        return Answer(
            200,
            AnonymousAnswer(
                access_token=token.text,
                refresh_token=refresh_token(services, issued.session),
                user_id=issued.subject.id,
            ),
        )


def _signed_up_in(request: Request) -> ProjectId | None:
    return request.context_as(Access).project


async def refreshed(services: Services, text: str, project: ProjectId, *, now: int) -> AccessToken:
    """Return a fresh access token for the refresh token *text* of *project*.

    Raises `REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED`, whatever is wrong with it.
    """
    try:
        standing = await _standing(services, text, project)
    except Unauthenticated:
        raise no.REFRESH_TOKEN_GONE from None
    if standing is None or standing.subject is None:
        raise no.REFRESH_TOKEN_GONE
    policy = services.sessions.policy_of(standing)
    return mint(services, standing.session, standing.subject, policy, now=now)


async def _standing(services: Services, text: str, project: ProjectId) -> Standing | None:
    if not acceptable(text):
        return None
    recognised = await services.sessions.recognise(text)
    if recognised.form is not Form.STACK_REFRESH or recognised.project != project:
        return None
    return await services.sessions.refresh(text, Form.STACK_REFRESH)
