"""Invariant 6 of tokens.md as a machine: whatever is ended, erased, made anew or restored, nothing lives again.

Two nodes serve one store. The machine keeps a list of every session that ever was and of those that may live; it knows
nothing of epochs. It checks after every step that on both nodes exactly those pass, and that a restored copy brings
none back, whether it is the whole database or only what decides about sessions that are still there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sessiond.domain.callers import OperatorCaller
from sessiond.domain.errors import Forbidden, Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SubjectId
from sessiond.domain.records import Kind, Record
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Session, SessionKind
from sessiond.domain.subjects import Subject, SubjectKind
from sessiond.services.bundle import Services
from sessiond.services.impersonating import Asked
from sessiond.services.orders import Order
from sessiond.services.token_forms import Form
from tests.deployment import BY, TestDeployment
from tests.invariants.copies import all_records, put_back
from tests.invariants.engines import empty_store

T = TypeVar("T")

NODES = st.sampled_from([0, 1])
PROJECTS = st.sampled_from(["default", "another"])
PEOPLE = (SubjectId("alice"), SubjectId("bob"))
SUBJECTS = st.sampled_from(PEOPLE)
MOST_COPIES, LOOKED_AT = 2, 12
DECISIVE = frozenset({Kind.DEPLOYMENT, Kind.PROJECT, Kind.SUBJECT})
"""The records that decide whether a session lives that has not ended by itself."""


def holders_of(session: Session) -> set[SubjectId]:
    """Return whose sessions' end is the session's end."""
    actor = None if session.actor is None else session.actor.subject
    return {session.subject} if actor is None else {session.subject, actor}


class Epochs(RuleBasedStateMachine):
    """Two projects with two subjects each, and somebody who ends, erases and restores."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.born: list[tuple[Session, str, str]] = []
        self.living: set[bytes] = set()
        self.disabled: set[tuple[ProjectId, SubjectId]] = set()
        self.copies: list[Sequence[Record]] = []
        self.starts = 0

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    @initialize()
    def begin(self) -> None:
        self.store = self.run(empty_store())
        self.start_nodes()
        another = self.run(self.nodes[0].projects.add("another", by=BY)).id
        self.projects = {"default": DEFAULT_PROJECT, "another": another}
        self.start_nodes()
        self.everything_is_ended(0)

    def start_nodes(self) -> None:
        """Start two processes on what lies in the store."""
        self.starts += 1
        seeds = [f"start {self.starts} of node {node}" for node in (0, 1)]
        self.deployments = [
            self.run(TestDeployment.born(Rules(), store=self.store, seed=seed)) for seed in seeds
        ]

    @property
    def nodes(self) -> Sequence[Services]:
        return [deployment.services for deployment in self.deployments]

    # -- what can happen ----------------------------------------------------------------------------------------

    @rule(node=NODES, project=PROJECTS, subject=SUBJECTS)
    def somebody_signs_in(self, node: int, project: str, subject: SubjectId) -> None:
        self.issue(node, self.order(self.projects[project], subject))

    @precondition(lambda self: self.living)
    @rule(node=NODES, data=st.data(), ended=st.booleans())
    def somebody_acts_as_the_other(self, node: int, data: st.DataObject, *, ended: bool) -> None:
        own = data.draw(st.sampled_from([each for each, _, _ in self.born if each.id in self.living]))
        subject = next(each for each in PEOPLE if each != own.subject)
        known = self.run(self.nodes[node].subjects.get(own.project, subject))
        if known is None or own.actor is not None:
            return
        caller, asked = OperatorCaller(project=own.project), Asked(session=own.id, reason="asked to")
        order = self.order(own.project, subject)
        self.issue(node, self.run(self.nodes[node].impersonating.order(caller, order, asked)))
        if ended:
            self.end_all_of(node, own.project, own.subject)

    def order(self, project: ProjectId, subject: SubjectId) -> Order:
        return Order(
            project=project,
            subject=subject,
            session_kind=SessionKind.TOKENS,
            by=BY,
            create=SubjectKind.USER,
            rotates=True,
        )

    def issue(self, node: int, order: Order) -> None:
        try:
            session = self.run(self.nodes[node].issuing.issue(order)).session
        except Forbidden:
            assert (order.project, order.subject) in self.disabled
            return
        assert (order.project, order.subject) not in self.disabled
        deployment = self.deployments[node]
        self.born.append((session, deployment.access_token(session), deployment.refresh_token(session)))
        self.living.add(session.id)

    @precondition(lambda self: self.living)
    @rule(node=NODES, data=st.data())
    def a_subject_s_sessions_are_ended(self, node: int, data: st.DataObject) -> None:
        self.end_all_of(node, *self.somebody(data))

    def end_all_of(self, node: int, project: ProjectId, subject: SubjectId) -> None:
        self.run(self.nodes[node].subjects.revoke_sessions(project, subject, by=BY))
        self.end(project, subject)
        self.issue(node, self.order(project, subject))

    @precondition(lambda self: self.living)
    @rule(node=NODES, data=st.data())
    def a_project_s_sessions_are_ended(self, node: int, data: st.DataObject) -> None:
        project, subject = self.somebody(data)
        self.run(self.nodes[node].projects.revoke_sessions(project, by=BY))
        self.end(project)
        self.issue(node, self.order(project, subject))

    @precondition(lambda self: self.living)
    @rule(node=NODES, data=st.data())
    def a_subject_is_disabled(self, node: int, data: st.DataObject) -> None:
        project, subject = self.somebody(data)
        self.run(self.nodes[node].subjects.disable(project, subject, by=BY))
        self.disabled.add((project, subject))
        self.end(project, subject)

    @precondition(lambda self: self.disabled)
    @rule(node=NODES, data=st.data())
    def a_subject_is_enabled(self, node: int, data: st.DataObject) -> None:
        project, subject = data.draw(st.sampled_from(sorted(self.disabled)))
        self.run(self.nodes[node].subjects.enable(project, subject, by=BY))
        self.disabled.remove((project, subject))

    @precondition(lambda self: self.living)
    @rule(node=NODES, erased=st.booleans(), data=st.data())
    def a_subject_goes_and_comes_again(self, node: int, data: st.DataObject, *, erased: bool) -> None:
        project, subject = self.somebody(data)
        if erased:
            self.run(self.nodes[node].erasing.erase(project, subject, by=BY))
        else:
            self.run(self.nodes[node].subjects.delete(project, subject, by=BY))
        self.end(project, subject)
        self.issue(node, self.order(project, subject))

    @precondition(lambda self: len(self.copies) < MOST_COPIES)
    @rule()
    def a_copy_is_taken(self) -> None:
        self.copies.append(self.run(all_records(self.store)))

    @precondition(lambda self: self.copies)
    @rule(data=st.data(), whole=st.booleans())
    def a_copy_is_restored(self, data: st.DataObject, *, whole: bool) -> None:
        """Restore all of it into an empty database, or beside newer sessions only what decides whether they live."""
        records = data.draw(st.sampled_from(self.copies))
        if whole:
            self.run(self.store.close())
            self.store = self.run(empty_store())
        self.run(put_back([each for each in records if whole or each.kind in DECISIVE], self.store))
        self.start_nodes()
        now = self.run(all_records(self.store))
        self.disabled = {
            (each.project, each.id) for each in now if isinstance(each, Subject) and each.disabled_at
        }
        self.everything_is_ended(0)

    @rule(node=NODES)
    def everything_is_ended(self, node: int) -> None:
        self.run(self.nodes[node].recovery.recover(by=BY, reason="restored"))
        self.living.clear()
        for subject in PEOPLE:
            self.somebody_signs_in(node, "default", subject)

    def somebody(self, data: st.DataObject) -> tuple[ProjectId, SubjectId]:
        """Return a subject that has a session, or acts in one."""
        session = data.draw(st.sampled_from([each for each, _, _ in self.born if each.id in self.living]))
        return session.project, data.draw(st.sampled_from(sorted(holders_of(session))))

    def end(self, project: ProjectId, subject: SubjectId | None = None) -> None:
        """Note which sessions have ended: those that are meant, and those in which their holders act."""
        for session, _, _ in self.born:
            if session.project == project and (subject is None or subject in holders_of(session)):
                self.living.discard(session.id)

    # -- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def what_lives_passes_everywhere_and_nothing_else_does(self) -> None:
        self.run(self.look_at_the_newest())

    async def look_at_the_newest(self) -> None:
        for session, access, refresh in self.born[-LOOKED_AT:]:
            lives = session.id in self.living
            for node in self.nodes:
                assert lives or node.sessions.peek(access) is None
                assert await passes(node.sessions.verify(access)) == lives
            assert lives or not await passes(self.nodes[0].sessions.refresh(refresh, Form.REFRESH))


async def passes(asking: Coroutine[Any, Any, object]) -> bool:
    """Tell whether a token passed."""
    try:
        await asking
    except Unauthenticated:
        return False
    return True


Epochs.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestEpochs = Epochs.TestCase
