"""The invariants of tokens.md section 6 as one machine: an owner, a thief, lost answers, parallel refreshes.

The machine drives the services over the memory engine, or the one that `--engine` names, with a set clock. It never
asks the decision table what should happen; it checks what must hold whatever the table says:

1. each generation has one refresh text, and what is accepted is of the current or the previous one;
2. what ended stays ended, over touches, retries and restarts;
3. nothing ends that had no reason to: the current token of a live session is always answered;
4. a superseded token after the grace (after the overlap once its successor was seen) ends the session;
5. touches that are dropped, repeated or late turn no accept into an end;
8. a new root key ends nothing and changes no repeated answer;
10. a clock that steps, forward or back, ends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sessiond.domain.errors import Unauthenticated, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.policies import Policy
from sessiond.domain.projects import Deployment
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Session
from sessiond.services.ports import Change, Touch
from sessiond.services.token_forms import Form
from sessiond.services.touches import Touches
from tests.crypto.material import with_new_root
from tests.deployment import BY, CountedEntropy, TestDeployment
from tests.invariants.engines import empty_store

T = TypeVar("T")

OWNER, THIEF = "owner", "thief"
HOLDERS = st.sampled_from([OWNER, THIEF])
ABSOLUTE, IDLE = timedelta(minutes=30), timedelta(minutes=8)
OVERLAP_MS, GRACE_MS = 10_000, 30_000
RULES = Rules(policy=Policy(absolute_timeout=ABSOLUTE, idle_timeout=IDLE))


class Lineage(RuleBasedStateMachine):
    """One session, its holders, and what they have seen."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.held: dict[str, tuple[str, str]] = {}
        self.refresh_texts: dict[int, str] = {}
        self.access_texts: list[tuple[int, str]] = []
        self.flushed: list[Touch] = []
        self.end: str | None = None

    def teardown(self) -> None:
        self.run(self.deployment.services.store.close())
        self.loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    @initialize()
    def sign_in(self) -> None:
        self.deployment = self.run(TestDeployment.born(RULES, store=self.run(empty_store())))
        session = self.run(self.deployment.issue())
        self.born = session
        self.held[OWNER] = self.learn(session)

    # -- what the machine knows ---------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.deployment.clock.now()

    @property
    def row(self) -> Session:
        return self.run(self.deployment.services.sessions.get(DEFAULT_PROJECT, self.born.id)).session

    def learn(self, session: Session) -> tuple[str, str]:
        """Note the texts of an answer: one refresh text for each generation, ever."""
        refresh = self.deployment.refresh_token(session)
        access = self.deployment.access_token(session)
        assert self.refresh_texts.setdefault(session.generation, refresh) == refresh
        self.access_texts.append((session.generation, access))
        return refresh, access

    def generation_of(self, refresh: str) -> int:
        return next(generation for generation, text in self.refresh_texts.items() if text == refresh)

    def timed_out(self, row: Session) -> bool:
        return self.now >= row.expires_at or self.now >= row.last_seen_at + (row.idle_timeout_ms or 0)

    # -- what can happen ----------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0, 1, 4, 9, 11, 20, 29, 31, 45, 120, 300, 500]))
    def time_passes(self, seconds: int) -> None:
        self.deployment.clock.advance(seconds=seconds)

    @rule(seconds=st.sampled_from([-60, -6, -4, -1, 4, 6, 40, 200]), often=st.integers(0, 3))
    def the_clock_steps(self, seconds: int, *, often: int) -> None:
        if often == 0:
            self.deployment.clock.step(seconds=seconds)

    @rule()
    def the_thief_copies_what_the_owner_holds(self) -> None:
        self.held[THIEF] = self.held[OWNER]

    @precondition(lambda self: self.held)
    @rule(holder=HOLDERS, lost=st.booleans())
    def a_holder_refreshes(self, holder: str, *, lost: bool) -> None:
        held = self.held.get(holder)
        if held is not None:
            answer = self.present(held[0])
            if answer is not None and not lost:
                self.held[holder] = answer

    @rule(holder=HOLDERS, tabs=st.integers(2, 3))
    def tabs_refresh_in_parallel(self, holder: str, tabs: int) -> None:
        held = self.held.get(holder)
        if held is None:
            return
        before = self.row
        answers = self.run(self.all_at_once(held[0], tabs))
        texts = [self.learn(session) for session in answers if session is not None]
        if self.generation_of(held[0]) == before.generation and self.sound(before):
            assert len(texts) == tabs
            assert len({refresh for refresh, _ in texts}) == 1
        if texts:
            self.held[holder] = texts[-1]
        self.note_end(before, held[0])

    async def all_at_once(self, text: str, tabs: int) -> list[Session | None]:
        async def one() -> Session | None:
            try:
                return (await self.deployment.services.sessions.refresh(text, Form.REFRESH)).session
            except (Unauthenticated, Unavailable):
                return None

        return list(await asyncio.gather(*(one() for _ in range(tabs))))

    @precondition(lambda self: len(self.refresh_texts) > 1)
    @rule(data=st.data())
    def somebody_replays_an_old_refresh_token(self, data: st.DataObject) -> None:
        self.present(data.draw(st.sampled_from(sorted(self.refresh_texts.values()))))

    @rule(data=st.data())
    def somebody_verifies_an_access_token(self, data: st.DataObject) -> None:
        generation, text = data.draw(st.sampled_from(self.access_texts))
        row = self.row
        try:
            self.run(self.deployment.services.sessions.verify(text))
        except Unauthenticated:
            return
        assert self.end is None
        assert generation in {row.generation, row.generation - 1}
        if generation < row.generation:
            assert self.now < row.rotated_at + GRACE_MS

    @rule(holder=HOLDERS)
    def a_holder_works_and_it_is_written(self, holder: str) -> None:
        if holder in self.held:
            before, (_, text) = self.row, self.held[holder]
            try:
                self.run(self.deployment.services.sessions.verify(text))
            except Unauthenticated:
                assert self.row.revoked_at == before.revoked_at
            self.the_touches_are_written()

    @rule()
    def the_touches_are_written(self) -> None:
        touches = self.deployment.services.touches
        self.flushed += touches._waiting.values()  # noqa: SLF001  what is on its way to the store
        self.run(touches.flush())

    @rule()
    def the_touches_are_lost(self) -> None:
        self.restart()

    @precondition(lambda self: self.flushed)
    @rule(data=st.data())
    def a_touch_comes_twice_and_late(self, data: st.DataObject) -> None:
        touch = data.draw(st.sampled_from(self.flushed))
        self.run(self.deployment.services.store.touch([touch]))

    @rule()
    def the_root_key_is_rotated(self) -> None:
        keys = self.deployment.services.keys
        old = keys.deployment
        ring = with_new_root(keys.ring, DEFAULT_PROJECT, CountedEntropy(f"root {old.version}"), self.now)
        renewed: Deployment = msgspec.structs.replace(
            old,
            ring=keys.seal(ring, CountedEntropy(f"seal {old.version}")),
            ring_version=old.ring_version + 1,
            version=old.version + 1,
        )
        change = Change(partition=old.key.partition, expects={old.key: old.version}, puts=[renewed])
        self.run(self.deployment.services.store.apply(change))
        keys.adopt(renewed)

    @rule(often=st.integers(0, 9))
    def the_owner_signs_out(self, often: int) -> None:
        if often == 0:
            self.run(self.deployment.services.sessions.revoke(self.row, reason="signed_out", by=BY))
            self.end = self.end or "signed_out"

    def restart(self) -> None:
        """Forget what a process holds in memory."""
        services = self.deployment.services
        fresh = Touches(services.store)
        services.touches = fresh
        services.sessions._touches = fresh  # noqa: SLF001

    # -- what must hold -----------------------------------------------------------------------------------------

    def stepped(self, row: Session) -> bool:
        return self.deployment.clock.stepped_since(row.rotated_at)

    def sound(self, row: Session) -> bool:
        """Tell whether nothing but the token itself can be a reason to refuse."""
        return self.end is None and not self.timed_out(row) and self.now >= row.rotated_at - 5000

    def present(self, text: str) -> tuple[str, str] | None:
        before, generation = self.row, self.generation_of(text)
        try:
            session = self.run(self.deployment.services.sessions.refresh(text, Form.REFRESH)).session
        except Unavailable:
            assert self.now < before.rotated_at - 5000 or self.stepped(before)
            assert self.row.revoked_at == before.revoked_at
            return None
        except Unauthenticated:
            assert not (generation == before.generation and self.sound(before))
            self.note_end(before, text)
            return None
        assert self.end is None
        assert generation in {before.generation, before.generation - 1}
        if generation < before.generation:
            self.check_repeated(before)
        return self.learn(session)

    def check_repeated(self, before: Session) -> None:
        confirmed = before.seen_generation >= before.generation
        assert self.now - before.rotated_at <= (OVERLAP_MS if confirmed else GRACE_MS)

    def note_end(self, before: Session, text: str) -> None:
        """An end must have had its reason: a superseded token, presented too late."""
        after = self.row
        if after.revoked_at is None:
            behind = before.generation - self.generation_of(text)
            assert behind < 2 or not self.sound(before)
            return
        if before.revoked_at is None:
            behind, age = before.generation - self.generation_of(text), self.now - before.rotated_at
            confirmed = before.seen_generation >= before.generation
            late = age > (OVERLAP_MS if confirmed else GRACE_MS)
            assert behind >= 2 or (behind == 1 and late and not self.stepped(before))
            self.end = after.revoked_reason

    @invariant()
    def what_ended_stays_ended(self) -> None:
        if self.end is not None:
            assert self.row.revoked_reason == self.end

    @invariant()
    def only_two_generations_can_be_accepted(self) -> None:
        if self.refresh_texts:
            assert max(self.refresh_texts) <= self.row.generation


Lineage.TestCase.settings = settings(max_examples=400, stateful_step_count=50, deadline=None)
TestLineage = Lineage.TestCase
