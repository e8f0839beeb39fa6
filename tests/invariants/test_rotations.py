"""Invariant 8 of tokens.md as a machine: whenever keys are rotated, nothing ends and no retried refresh token changes.

Two nodes serve one store. One of them does what is done to keys; the other hears of it as a node does, each second or
with the next record that it reads. The machine knows nothing of states of keys. It checks what must hold:

- a live session's access token, refresh token and JWT pass on both nodes, and a vault entry opens on both;
- a retried refresh is answered with the same refresh token, byte for byte, on whichever node;
- a token made under a root that its row does not name is refused, whatever state the root is in;
- no key that verifies is ever used before both nodes knew it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sessiond.crypto.secrets import Secret
from sessiond.crypto.tokens import TokenKind
from sessiond.domain.callers import ServerCaller
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId, SubjectId
from sessiond.domain.instants import later, unix_seconds
from sessiond.domain.keys import KeyKind
from sessiond.domain.policies import LONGEST_TIMEOUT, Policy, Preset
from sessiond.domain.rules import PinRules, Rules
from sessiond.domain.sessions import Session
from sessiond.services.bundle import Services
from sessiond.services.keys import Keys
from sessiond.services.token_forms import Form
from sessiond.services.vault.answers import NewToken
from tests.deployment import (
    BASE_URL,
    BY,
    WRAPPING_KEY,
    CountedEntropy,
    CountingObserver,
    KeptInMemory,
    TestDeployment,
)
from tests.invariants.engines import empty_store

T = TypeVar("T")

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")
RULES = Rules(
    policy=Policy(
        preset=Preset.CUSTOM, absolute_timeout=timedelta(days=60), justification="outlives many keys"
    ),
    pin=PinRules(known_client_for=timedelta(hours=1)),
)
NODES = st.sampled_from([0, 1])
MINUTE, HOUR, DAY = 60, 3600, 86_400


class Rotations(RuleBasedStateMachine):
    """Some sessions, some vault entries, two nodes, and somebody who rotates keys all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.sessions: dict[SessionId, Session] = {}
        self.retries: dict[SessionId, tuple[str, str, int]] = {}
        self.entries: dict[str, str] = {}

    def teardown(self) -> None:
        self.run(self.deployment.services.store.close())
        self.loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    @initialize()
    def begin(self) -> None:
        self.deployment = self.run(TestDeployment.born(RULES, store=self.run(empty_store())))
        self.nodes = [self.deployment.services, self.another_node()]
        self.sign_in(0)
        self.keep_a_token(0)

    def another_node(self) -> Services:
        first = self.deployment.services
        keys = Keys(first.store, first.clock, wrapping_key=WRAPPING_KEY, deployment=first.keys.deployment)
        return Services(
            store=first.store,
            keys=keys,
            clock=first.clock,
            entropy=CountedEntropy("another node"),
            observer=CountingObserver(),
            keeper=KeptInMemory(),
            rules=RULES,
            base_url=BASE_URL,
        )

    @property
    def now(self) -> int:
        return self.deployment.clock.now()

    # -- what can happen ----------------------------------------------------------------------------------------

    @rule(node=NODES)
    def sign_in(self, node: int) -> None:
        self.deployment.services, first = self.nodes[node], self.deployment.services
        session = self.run(self.deployment.issue(SubjectId(f"user-{len(self.sessions)}")))
        self.deployment.services = first
        self.sessions[session.id] = session

    @rule(node=NODES)
    def keep_a_token(self, node: int) -> None:
        token = f"token {len(self.entries)}"
        expires_at = later(self.now, LONGEST_TIMEOUT)
        new = NewToken(
            user=SubjectId(f"user-{len(self.entries)}"), token=Secret(token), expires_at=expires_at
        )
        self.entries[self.run(self.nodes[node].vault.save(APP, new)).id] = token

    @precondition(lambda self: self.sessions)
    @rule(node=NODES, data=st.data())
    def refresh_one(self, node: int, data: st.DataObject) -> None:
        self.refresh(node, self.sessions[data.draw(st.sampled_from(sorted(self.sessions)))])

    def refresh(self, node: int, session: Session) -> None:
        text = self.refresh_text(session)
        successor = self.run(self.nodes[node].sessions.refresh(text, Form.REFRESH)).session
        self.sessions[session.id] = successor
        self.retries[session.id] = (text, self.refresh_text(successor), self.now)

    @precondition(lambda self: self.retries)
    @rule(node=NODES, data=st.data())
    def retry_a_refresh_whose_answer_was_lost(self, node: int, data: st.DataObject) -> None:
        presented, answered, at = self.retries[data.draw(st.sampled_from(sorted(self.retries)))]
        if self.now - at <= 10_000:
            session = self.run(self.nodes[node].sessions.refresh(presented, Form.REFRESH)).session
            assert self.refresh_text(session) == answered

    @rule(kind=st.sampled_from(KeyKind), often=st.integers(1, 3))
    def rotate(self, kind: KeyKind, often: int) -> None:
        for _ in range(often):
            self.run(self.nodes[0].rotating.rotate(DEFAULT_PROJECT, kind, by=BY))

    @rule(kind=st.sampled_from(KeyKind))
    def use_what_was_rotated_before_the_other_node_hears_of_it(self, kind: KeyKind) -> None:
        self.rotate(kind, 1)
        for session in list(self.sessions.values()):
            self.refresh(0, session)
        self.sign_in(0)
        self.keep_a_token(0)

    @rule(seconds=st.sampled_from([1, 9, MINUTE, 5 * MINUTE, HOUR, 2 * HOUR, DAY, 10 * DAY, 31 * DAY]))
    def time_passes(self, seconds: int) -> None:
        self.deployment.clock.advance(seconds=seconds)
        for node in self.nodes:
            self.run(node.keys.reload(at_once=True))
        self.forget_what_time_ended()

    @rule(node=NODES, limit=st.integers(1, 5))
    def the_background_works(self, node: int, limit: int) -> None:
        self.run(self.nodes[node].rotating.activate_due())
        while self.run(self.nodes[node].key_keeping.bite(limit=limit)):
            pass

    def forget_what_time_ended(self) -> None:
        for identifier in [each.id for each in self.sessions.values() if each.expires_at <= self.now]:
            del self.sessions[identifier]
            self.retries.pop(identifier, None)

    # -- what must hold -----------------------------------------------------------------------------------------

    def refresh_text(self, session: Session) -> str:
        services = self.newest()
        return services.tokens.opaque(TokenKind.REFRESH, session, expires_at=session.expires_at)

    def newest(self) -> Services:
        return max(self.nodes, key=lambda node: node.keys.deployment.version)

    @invariant()
    def everything_that_lives_passes_on_both_nodes(self) -> None:
        self.run(self.pass_on_both_nodes())

    async def pass_on_both_nodes(self) -> None:
        services = self.newest()
        for session in self.sessions.values():
            until = min(later(self.now, RULES.policy.access_token_lifetime), session.expires_at)
            access = services.tokens.opaque(TokenKind.ACCESS, session, expires_at=until)
            jwt = services.tokens.jwt(
                Form.NATIVE_JWT,
                session,
                now=self.now,
                expires_at=until,
                first={"client_id": DEFAULT_PROJECT},
            )
            for node in self.nodes:
                for text in (access, jwt):
                    assert (await node.sessions.verify(text)).session.id == session.id

    @invariant()
    def every_entry_opens_on_both_nodes(self) -> None:
        self.run(self.open_on_both_nodes())

    async def open_on_both_nodes(self) -> None:
        for entry, token in self.entries.items():
            for node in self.nodes:
                assert (await node.vault.read(APP, entry)).token.reveal() == token

    @invariant()
    def a_root_passes_only_rows_that_name_it(self) -> None:
        self.run(self.refuse_other_roots())

    async def refuse_other_roots(self) -> None:
        services = self.newest()
        for session in self.sessions.values():
            for root in services.keys.ring.roots_of(DEFAULT_PROJECT):
                if root.kid in {session.kid, session.prev_kid}:
                    continue
                forged = services.keys.ring.mint(root.kid, TokenKind.ACCESS).token(
                    session=session.id,
                    nonce=session.nonce,
                    generation=session.generation,
                    exp=unix_seconds(session.expires_at),
                )
                for node in self.nodes:
                    with pytest.raises(Unauthenticated):
                        await node.sessions.verify(forged)


Rotations.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestRotations = Rotations.TestCase
