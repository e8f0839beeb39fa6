"""Keys: listed for whoever manages the project, rotated and refused by the operator. Never any key material."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.domain.errors import StateConflict
from sessiond.domain.instants import Instant, rfc3339
from sessiond.domain.keys import HeldKey, KeyKind
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.operator_only import OPERATOR_REQUIRED, operator
from sessiond.http.dialects.native.sessions import manager
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.key_use import Refused
from sessiond.services.rotating import KEY_UNKNOWN, Turned

_TAGS = ("keys",)
_KEY_STATE = StateConflict("key_state", "A key that is compromised cannot become compromised.")
_DRY_RUN = Meta(description="Change nothing, and tell what would be.")


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key. *kind* `root` is what MACs are derived from, `signing` signs JWTs, `vault` seals other services' tokens.

    `activates_at` is when a pending key takes over, once a rotation was asked for.
    """

    kid: str
    kind: str
    audience: str | None
    state: str
    created_at: str
    activates_at: str | None
    activated_at: str | None
    retired_at: str | None
    compromised_at: str | None
    destroyed_at: str | None


class KeysAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A project's keys."""

    items: Sequence[KeyView]


class RotateKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys are to be rotated."""

    kind: KeyKind
    dry_run: Annotated[bool, _DRY_RUN] = False


class CompromisedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a key is refused."""

    dry_run: Annotated[bool, _DRY_RUN] = False


class RefusedView(msgspec.Struct, frozen=True, kw_only=True):
    """How much is refused: `sessions` must sign in again, `access_tokens` only refresh, `pins` be set anew.

    With `complete` false these are counts among the newest 10,000 of each.
    """

    sessions: int
    access_tokens: int
    pins: int
    vault_entries: int
    complete: bool


class TurnedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that changed, or would, and what no longer passes because of it."""

    dry_run: bool
    keys: Sequence[KeyView]
    refused: RefusedView


class ManagedKeys:
    """The paths below `/v1/keys`."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._rotating = services.rotating
        self._credential = credentials.server_key

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (
            Endpoint(
                "GET",
                "/v1/keys",
                self.list_keys,
                summary="List the project's keys",
                tags=_TAGS,
                credential=self._credential,
                answers={200: KeysAnswer},
            ),
            Endpoint(
                "POST",
                "/v1/keys/rotate",
                self.rotate,
                summary="Rotate keys: their successors take over as soon as everybody knows them",
                description="Nothing that was made under the former keys is refused. Asked again while a successor "
                "waits, nothing changes.",
                tags=_TAGS,
                credential=self._credential,
                request=RotateKeys,
                answers={200: TurnedAnswer},
                refusals=(OPERATOR_REQUIRED,),
            ),
            Endpoint(
                "POST",
                "/v1/keys/{kid}/compromise",
                self.compromise,
                summary="Refuse a key from now on",
                description="Its successor takes its place at once. A vault key is retired instead: what it sealed "
                "is sealed anew.",
                tags=_TAGS,
                credential=self._credential,
                params={"kid": "The key's id."},
                request=CompromisedKey,
                body_optional=True,
                answers={200: TurnedAnswer},
                refusals=(OPERATOR_REQUIRED, KEY_UNKNOWN, _KEY_STATE),
            ),
        )

    async def list_keys(self, request: Request) -> Answer:
        """List the keys of the caller's project, in every state."""
        keys = await self._rotating.held(manager(request).project)
        return Answer(200, KeysAnswer(items=[_view(key) for key in keys]))

    async def rotate(self, request: Request) -> Answer:
        """Rotate the keys of one kind."""
        caller, asked = operator(request), request.body_as(RotateKeys)
        turned = await self._rotating.rotate(
            caller.project, asked.kind, by=caller.initiator, dry_run=asked.dry_run
        )
        return Answer(200, _turned(turned, dry_run=asked.dry_run))

    async def compromise(self, request: Request) -> Answer:
        """Refuse one key."""
        caller = operator(request)
        asked = request.body if isinstance(request.body, CompromisedKey) else CompromisedKey()
        turned = await self._rotating.compromise(
            caller.project, request.params["kid"], by=caller.initiator, dry_run=asked.dry_run
        )
        return Answer(200, _turned(turned, dry_run=asked.dry_run))


def _turned(turned: Turned, *, dry_run: bool) -> TurnedAnswer:
    return TurnedAnswer(
        dry_run=dry_run, keys=[_view(key) for key in turned.keys], refused=_refused(turned.refused)
    )


def _refused(refused: Refused) -> RefusedView:
    return RefusedView(**msgspec.structs.asdict(refused))


def _view(key: HeldKey) -> KeyView:
    audience = key.line.audience
    return KeyView(
        kid=key.name,
        kind=key.line.kind.value,
        audience=None if audience is None else audience.value,
        state=key.state.value,
        created_at=rfc3339(key.created_at),
        activates_at=_when(key.activates_at),
        activated_at=_when(key.activated_at),
        retired_at=_when(key.retired_at),
        compromised_at=_when(key.compromised_at),
        destroyed_at=_when(key.destroyed_at),
    )


def _when(instant: Instant | None) -> str | None:
    return None if instant is None else rfc3339(instant)
