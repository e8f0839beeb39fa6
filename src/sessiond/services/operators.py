"""The operator: the master token, what it is exchanged for, and how it is replaced."""

from __future__ import annotations

import asyncio

import msgspec

from sessiond.crypto.purposes import Purpose
from sessiond.crypto.secrets import Secret, SecretKind, mint_secret
from sessiond.domain.callers import OperatorCaller
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import Initiator
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.rules import OperatorRules
from sessiond.domain.sessions import Client, Session, SessionKind
from sessiond.domain.subjects import OPERATOR, SubjectKind
from sessiond.services.contention import Contention
from sessiond.services.issuing import Issuing
from sessiond.services.keys import Keys
from sessiond.services.orders import Order
from sessiond.services.ports import Change, Clock, Entropy, MasterTokenKeeper, Store
from sessiond.services.subjects import Subjects
from sessiond.services.tokens import Tokens


class Operators:
    """What the master token can do."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        *,
        issuing: Issuing,
        subjects: Subjects,
        tokens: Tokens,
        keeper: MasterTokenKeeper,
        contention: Contention,
        rules: OperatorRules,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._issuing = issuing
        self._subjects = subjects
        self._tokens = tokens
        self._keeper = keeper
        self._contention = contention
        self._rotating = asyncio.Lock()
        self.rules = rules

    async def open_session(self, client: Client) -> tuple[Session, Secret]:
        """Issue an operator session and its token; the caller has proved the master token."""
        issued = await self._issuing.issue(
            Order(
                project=DEFAULT_PROJECT,
                subject=OPERATOR,
                session_kind=SessionKind.OPERATOR,
                by=OperatorCaller(project=DEFAULT_PROJECT, address=client.address).initiator,
                client=client,
                create=SubjectKind.OPERATOR,
                absolute_timeout=self.rules.session_ttl,
                ceiling=self.rules.session_ttl,
                amr=("master_token",),
            )
        )
        return issued.session, Secret(self._tokens.operator(issued.session))

    async def rotate_master_token(self, *, by: Initiator) -> Secret:
        """Replace the master token: every operator session ends at once. Returns the new one, kept for the operator.

        Where it cannot be kept (`Unavailable`), the former one stays.

        The new generation is in the key of every operator token, so the former ones fail from this write on; the
        subject's new epoch ends their rows, too.
        """
        secret = Secret(mint_secret(SecretKind.MASTER_TOKEN, self._entropy.bytes(32)))
        digest = self._keys.lookup(Purpose.LOOKUP_MASTER_TOKEN, secret.reveal())

        async def attempt() -> None:
            await self._keys.reload(at_once=True)
            old, now = self._keys.deployment, self._clock.now()
            renewed = msgspec.structs.replace(
                old,
                master_digest=digest,
                master_generation=old.master_generation + 1,
                version=old.version + 1,
            )
            event = by.did(
                EventType.MASTER_TOKEN_ROTATED,
                at=now,
                partition=CONTROL_PARTITION,
                project=DEFAULT_PROJECT,
                data={"generation": renewed.master_generation},
            )
            await self._store.apply(Change.replacing(old, renewed, event))
            self._keys.adopt(renewed)

        async with self._rotating:
            with self._keeper.replacing(secret):
                await self._contention.settle((DEFAULT_PROJECT, "deployment"), attempt)
        await self._subjects.revoke_sessions(DEFAULT_PROJECT, OPERATOR, reason="master_token_rotated", by=by)
        return secret
