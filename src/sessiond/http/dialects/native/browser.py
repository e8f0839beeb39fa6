"""Several accounts in one browser: list them, switch to another, sign out of another."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.domain.accounts import ACCOUNT_ENDED, ACCOUNT_UNKNOWN
from sessiond.domain.ids import SessionId, id_text, parse_id
from sessiond.domain.instants import rfc3339
from sessiond.domain.sessions import Session
from sessiond.http.answer import NO_CONTENT, Answer
from sessiond.http.counting import by_subject
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.my_sessions import held, initiator
from sessiond.http.dialects.native.shapes import SessionAnswer, view
from sessiond.http.dialects.native.token_answers import cookie_name, session_cookie
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.tokens import WRONG_KIND

_TAGS = ("browser accounts",)


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account that is signed in in this browser: its session, and whose it is."""

    session: str
    subject: str
    is_current: bool
    authenticated_at: str
    last_seen_at: str
    expires_at: str


class AccountsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts of a browser, the current one first."""

    items: Sequence[AccountView]


class SwitchAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which account is to be the current one: `session` of the list."""

    session: str


class BrowserAccounts:
    """The accounts of the browser whose cookie is presented."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._credential = credentials.session

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (
            Endpoint(
                "GET",
                "/v1/session/accounts",
                self.list_all,
                summary="List the accounts that are signed in in this browser",
                tags=_TAGS,
                credential=self._credential,
                answers={200: AccountsAnswer},
                refusals=(WRONG_KIND,),
            ),
            Endpoint(
                "POST",
                "/v1/session/switch",
                self.switch,
                summary="Switch to another account of this browser",
                description="The account gets a new session id and the browser a new cookie; the account that is left "
                "stays signed in.",
                tags=_TAGS,
                credential=self._credential,
                request=SwitchAccount,
                counting=by_subject,
                answers={200: SessionAnswer},
                refusals=(WRONG_KIND, ACCOUNT_UNKNOWN, ACCOUNT_ENDED),
            ),
            Endpoint(
                "DELETE",
                "/v1/session/accounts/{id}",
                self.end,
                summary="Sign out of another account of this browser",
                tags=_TAGS,
                credential=self._credential,
                params={"id": "The session of the account."},
                answers={204: None},
                refusals=(WRONG_KIND, ACCOUNT_UNKNOWN),
            ),
        )

    async def list_all(self, request: Request) -> Answer:
        """List the current account and the others that live."""
        holder = held(request.caller)
        others = await self._services.accounts.list_others(holder)
        items = [_account(each, is_current=each is holder) for each in (holder, *others)]
        return Answer(200, AccountsAnswer(items=items))

    async def switch(self, request: Request) -> Answer:
        """Answer the session under its new id, and its cookie."""
        cookie_name(request)
        holder, target = held(request.caller), _account_id(request.body_as(SwitchAccount).session)
        session = await self._services.accounts.switch(holder, target, by=initiator(request))
        return Answer(
            200,
            SessionAnswer(session=view(session)),
            cookies=(session_cookie(self._services, request, session),),
        )

    async def end(self, request: Request) -> Answer:
        """End another account; the current one stays."""
        holder, account = held(request.caller), _account_id(request.params["id"])
        await self._services.accounts.end(holder, account, by=initiator(request))
        return NO_CONTENT


def _account(session: Session, *, is_current: bool) -> AccountView:
    return AccountView(
        session=id_text(session.id),
        subject=session.subject,
        is_current=is_current,
        authenticated_at=rfc3339(session.authenticated_at),
        last_seen_at=rfc3339(session.last_seen_at),
        expires_at=rfc3339(session.expires_at),
    )


def _account_id(text: str) -> SessionId:
    identifier = parse_id(text)
    if identifier is None:
        raise ACCOUNT_UNKNOWN
    return identifier
