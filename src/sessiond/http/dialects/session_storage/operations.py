"""The vault's eight endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import Caller, OperatorCaller, ServerCaller, SubjectCaller
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.ids import SubjectId
from sessiond.domain.impersonation import IMPERSONATED
from sessiond.domain.replays import IdempotencyKeyReused
from sessiond.domain.vault import ENTRY_UNKNOWN, check_expiry, check_token, check_user
from sessiond.http.answer import Answer
from sessiond.http.credentials import MISSING
from sessiond.http.dialects.session_storage.callers import vault_credential
from sessiond.http.dialects.session_storage.shapes import (
    ClearedAnswer,
    CurrentAnswer,
    DeletedAnswer,
    EntryAnswer,
    ListAnswer,
    ListQuery,
    OpenedAnswer,
    Pagination,
    ReplaceRequest,
    SavedAnswer,
    SaveRequest,
    UserQuery,
    ValidityAnswer,
    current_answer,
    entry_answer,
    opened_answer,
    saved_answer,
    validity_answer,
)
from sessiond.http.endpoint import Endpoint, Handler
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.vault import NOTHING_VALID, USER_IMMUTABLE
from sessiond.services.vault.answers import NewToken
from sessiond.services.vault.saving import NOT_YOURS

PATH = "/api/v1/session-storage"

_ONE = "/{id}"
_UNKNOWN = (ENTRY_UNKNOWN,)
_PAST = InvalidRequest("expires_at_past", "expires_at must lie in the future.")
_SAVE = (
    "A second request makes a second entry, unless both have the same `Idempotency-Key`. "
    "At the cap per user the oldest entry goes."
)
_IDEMPOTENCY = {
    "Idempotency-Key": "1 to 255 visible ASCII characters, remembered for 24 hours: a retry gets the first answer."
}


class Operations:
    """The operations over one set of services."""

    def __init__(self, services: Services) -> None:
        self._vault = services.vault
        self._credential = vault_credential(services.credentials)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the declarations, in the order of the document."""
        return (*self._reading(), *self._writing())

    def _reading(self) -> Sequence[Endpoint]:
        return (
            self._on("GET", "", self.list_page, "List entries", {200: ListAnswer}, query=ListQuery),
            self._on(
                "GET",
                _ONE,
                self.read,
                "Read a full token",
                {200: OpenedAnswer},
                refusals=(*_UNKNOWN, IMPERSONATED),
            ),
            self._on(
                "GET",
                "/current",
                self.current,
                "Read the valid token that was saved last",
                {200: CurrentAnswer},
                query=UserQuery,
                refusals=(NOTHING_VALID, IMPERSONATED),
            ),
            self._on(
                "GET",
                "/validity",
                self.validity,
                "Ask how long the current token is valid",
                {200: ValidityAnswer},
                query=UserQuery,
            ),
        )

    def _writing(self) -> Sequence[Endpoint]:
        return (
            self._on(
                "POST",
                "",
                self.save,
                "Save a token",
                {201: SavedAnswer},
                request=SaveRequest,
                refusals=(_PAST, NOT_YOURS, IMPERSONATED, IdempotencyKeyReused()),
                description=_SAVE,
                headers=_IDEMPOTENCY,
            ),
            self._on(
                "PUT",
                _ONE,
                self.replace,
                "Replace an entry's token",
                {200: EntryAnswer},
                request=ReplaceRequest,
                refusals=(_PAST, *_UNKNOWN, USER_IMMUTABLE, IMPERSONATED),
            ),
            self._on(
                "DELETE",
                "",
                self.clear,
                "Delete all entries",
                {200: ClearedAnswer},
                query=UserQuery,
                refusals=(IMPERSONATED,),
            ),
            self._on(
                "DELETE",
                _ONE,
                self.delete,
                "Delete an entry",
                {200: DeletedAnswer},
                refusals=(*_UNKNOWN, IMPERSONATED),
            ),
        )

    def _on(
        self,
        method: str,
        path: str,
        handler: Handler,
        summary: str,
        answers: dict[int, type | None],
        **more: Any,  # noqa: ANN401  what an endpoint takes besides
    ) -> Endpoint:
        return Endpoint(
            method,
            PATH + path,
            handler,
            summary=summary,
            aliases=(PATH + PATH + path,),
            credential=self._credential,
            answers=answers,
            **more,
        )

    async def list_page(self, request: Request) -> Answer:
        """Answer one page of the entries within reach."""
        query = request.query_as(ListQuery)
        found = await self._vault.list_page(
            _caller(request),
            user=_user(query.user_id),
            valid=query.is_valid,
            page=query.page,
            limit=query.limit,
        )
        pagination = Pagination(page=query.page, limit=query.limit, total=found.total)
        return Answer(
            200, ListAnswer(data=[entry_answer(each) for each in found.entries], pagination=pagination)
        )

    async def read(self, request: Request) -> Answer:
        """Answer one entry with its token."""
        return Answer(200, opened_answer(await self._vault.read(_caller(request), request.params["id"])))

    async def current(self, request: Request) -> Answer:
        """Answer the valid token that was saved last."""
        user = _user(request.query_as(UserQuery).user_id)
        return Answer(200, current_answer(await self._vault.current(_caller(request), user=user)))

    async def validity(self, request: Request) -> Answer:
        """Answer how long it is valid."""
        user = _user(request.query_as(UserQuery).user_id)
        return Answer(200, validity_answer(await self._vault.validity(_caller(request), user=user)))

    async def save(self, request: Request) -> Answer:
        """Keep a token."""
        body = request.body_as(SaveRequest)
        new = NewToken(
            user=check_user(body.user_id),
            token=Secret(check_token(body.token)),
            expires_at=check_expiry(body.expires_at),
        )
        saved = await self._vault.save(
            _caller(request), new, idempotency_key=request.header(b"idempotency-key")
        )
        return Answer(201, saved_answer(saved), headers=[("location", f"{PATH}/{saved.id}")])

    async def replace(self, request: Request) -> Answer:
        """Put another token in an entry's place."""
        body = request.body_as(ReplaceRequest)
        replaced = await self._vault.replace(
            _caller(request),
            request.params["id"],
            Secret(check_token(body.token)),
            check_expiry(body.expires_at),
            user=body.user_id,
        )
        return Answer(200, entry_answer(replaced))

    async def clear(self, request: Request) -> Answer:
        """Delete everything within reach."""
        await self._vault.clear(_caller(request), user=_user(request.query_as(UserQuery).user_id))
        return Answer(200, ClearedAnswer())

    async def delete(self, request: Request) -> Answer:
        """Delete one entry."""
        entry = request.params["id"]
        await self._vault.delete(_caller(request), entry)
        return Answer(200, DeletedAnswer(id=entry))


def _caller(request: Request) -> Caller:
    if isinstance(request.caller, ServerCaller | OperatorCaller | SubjectCaller):
        return request.caller
    raise MISSING


def _user(text: str | None) -> SubjectId | None:
    return None if text is None else check_user(text)
