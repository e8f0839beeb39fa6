"""Contract: `find_session`, `peek_session`, `revoke` and `touch`."""

# ruff: noqa: D102, S101, PLR2004  a test's name is its sentence, and it is made of asserts and literal values

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from sessiond.domain.errors import Conflict
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SubjectId
from sessiond.domain.records import Record
from sessiond.domain.sessions import Actor, Session, Standing
from sessiond.services.ports import Store, Touch
from sessiond.testing import samples
from sessiond.testing.samples import HOUR, NOW

BOB = SubjectId("bob")
_OWN = samples.session(BOB, id=samples.session_id(NOW, samples.ELSEWHERE))
"""The session of the one who acts, in a partition of its own."""


async def _prepare(store: Store, session: Session) -> Standing:
    """Store everything that the session's life depends on and read it, so that memory may know it."""
    records: list[list[Record]] = [
        [samples.deployment(), samples.project()],
        [samples.subject(), session],
        [samples.subject(BOB, partition=samples.ELSEWHERE), _OWN],
    ]
    for together in records:
        await store.apply(samples.put(*together))
    standing = await store.find_session(DEFAULT_PROJECT, session.id)
    assert standing is not None
    return standing


async def _seen(store: Store, session: Session) -> Standing | None:
    """Return what a read finds, after checking that memory says the same or nothing, before and after the read."""
    early = store.peek_session(session.project, session.id)
    found = await store.find_session(session.project, session.id)
    assert early is None or early == found
    late = store.peek_session(session.project, session.id)
    assert late is None or late == found
    return found


class SessionContract:
    """What holds for sessions beyond other records."""

    async def test_a_session_is_found_with_everything_its_life_depends_on(self, store: Store) -> None:
        session = samples.session(actor=samples.actor(_OWN.id))
        assert await _prepare(store, session) == Standing(
            session=session,
            subject=samples.subject(),
            project=samples.project(),
            deployment=samples.deployment(),
            actor=samples.subject(BOB, partition=samples.ELSEWHERE),
            acting=_OWN,
        )

    async def test_what_is_missing_around_a_session_is_none(self, store: Store) -> None:
        session = samples.session(actor=samples.actor(_OWN.id))
        await store.apply(samples.put(session))
        assert await _seen(store, session) == Standing(session, None, None, None, None, None)

    async def test_an_actor_who_is_no_subject_of_ours_is_not_looked_up(self, store: Store) -> None:
        session = samples.session(actor=Actor(name="bob", reason="r"))
        standing = await _prepare(store, session)
        assert (standing.actor, standing.acting) == (None, None)

    async def test_an_actor_is_found_in_the_session_s_project_only(self, store: Store) -> None:
        actor = samples.actor(_OWN.id)
        session = samples.session(project=samples.OTHER_PROJECT, actor=actor)
        await _prepare(store, samples.session())
        await store.apply(samples.put(session))
        assert await _seen(store, session) == Standing(session, None, None, samples.deployment(), None, None)

    async def test_what_appears_around_a_session_is_seen(self, store: Store) -> None:
        session = samples.session(actor=samples.actor(_OWN.id))
        await store.apply(samples.put(session))
        bob = samples.subject(BOB, partition=samples.ELSEWHERE)
        for record in (samples.subject(), samples.project(), samples.deployment(), bob, _OWN):
            await _seen(store, session)
            await store.apply(samples.put(record))
        expected = Standing(session, samples.subject(), samples.project(), samples.deployment(), bob, _OWN)
        assert await _seen(store, session) == expected

    async def test_a_session_is_absent_until_it_is_put(self, store: Store) -> None:
        session = samples.session()
        assert await _seen(store, session) is None
        await store.apply(samples.put(session))
        assert (await _seen(store, session)) is not None

    async def test_no_session_is_found_through_another_project(self, store: Store) -> None:
        session = samples.session()
        await _prepare(store, session)
        assert store.peek_session(samples.OTHER_PROJECT, session.id) is None
        assert await store.find_session(samples.OTHER_PROJECT, session.id) is None
        foreign = msgspec.structs.replace(samples.revocation(session), project=samples.OTHER_PROJECT)
        assert await store.revoke([foreign]) == [None]
        touch = Touch(project=samples.OTHER_PROJECT, session=session.id, seen_at=NOW + HOUR, generation=0)
        await store.touch([touch])
        assert await store.get(session.key) == session

    async def test_what_changes_around_a_session_in_which_nobody_acts_is_seen(self, store: Store) -> None:
        session = samples.session()
        before = await _prepare(store, session)
        changed = samples.renewed(samples.subject(), 99)
        assert await _seen(store, session) == before
        await store.apply(samples.put(changed))
        assert await _seen(store, session) == msgspec.structs.replace(before, subject=changed)
        await store.apply(samples.put(session.rotated(now=NOW + 1, kid=5)))
        standing = await _seen(store, session)
        assert standing is not None
        assert standing.subject == changed

    async def test_a_session_of_another_project_with_its_id_takes_nothing_from_it(self, store: Store) -> None:
        session = samples.session()
        other = samples.session(id=session.id, project=samples.OTHER_PROJECT)
        await store.apply(samples.put(session))
        # Ids are drawn at random, so that only who means to gives one twice: an engine need not keep both.
        with contextlib.suppress(Conflict):
            await store.apply(samples.put(other))
        (ended,) = await store.revoke([samples.revocation(other)])
        standing = await store.find_session(DEFAULT_PROJECT, session.id)
        assert standing is not None
        assert standing.session == session
        assert await store.get_many([session.key, other.key]) == [session, ended]

    async def test_memory_never_answers_what_a_write_has_overtaken(self, store: Store) -> None:
        session = samples.session(actor=samples.actor(_OWN.id))
        before = await _prepare(store, session)
        bob = samples.subject(BOB, partition=samples.ELSEWHERE)
        writes: list[Record] = [
            session.rotated(now=NOW + 1, kid=5),
            samples.renewed(samples.subject(), 99),
            msgspec.structs.replace(samples.project(), epoch=98, version=2),
            msgspec.structs.replace(samples.deployment(), epoch=97, version=2),
            samples.renewed(bob, 96),
            _OWN.rotated(now=NOW + 1, kid=5),
        ]
        for record in writes:
            await store.apply(samples.put(record))
            peeked = store.peek_session(DEFAULT_PROJECT, session.id)
            after = await store.find_session(DEFAULT_PROJECT, session.id)
            assert after != before
            assert peeked is None or peeked == after
            assert after is not None
            before = after
        assert before == Standing(*writes)  # type: ignore[arg-type]  # in the order of Standing's members

    async def test_an_actor_s_session_that_ends_is_seen_by_what_it_acts_in(self, store: Store) -> None:
        first, second = (samples.session(actor=samples.actor(_OWN.id)) for _ in range(2))
        await _prepare(store, first)
        await store.apply(samples.put(second))
        await _seen(store, second)
        (ended,) = await store.revoke([samples.revocation(_OWN)])
        for session in (first, second):
            peeked = store.peek_session(DEFAULT_PROJECT, session.id)
            assert peeked is None or peeked.acting == ended
            found = await _seen(store, session)
            assert found is not None
            assert found.acting == ended
        await store.apply(samples.delete(_OWN.key, 2))
        for session in (first, second):
            found = await _seen(store, session)
            assert found is not None
            assert found.acting is None

    async def test_an_actor_s_session_that_is_seen_is_seen_by_what_it_acts_in(self, store: Store) -> None:
        session = samples.session(actor=samples.actor(_OWN.id))
        await _prepare(store, session)
        await store.touch([_touch(_OWN, NOW + 5, 0)])
        found = await _seen(store, session)
        assert found is not None
        assert found.acting == _OWN.touched(seen_at=NOW + 5, generation=0)

    async def test_memory_forgets_what_is_deleted_or_purged(self, store: Store) -> None:
        deleted, purged = samples.session(), samples.session(expires_at=NOW)
        await _prepare(store, deleted)
        await store.apply(samples.put(purged))
        await store.find_session(DEFAULT_PROJECT, purged.id)
        await store.apply(samples.delete(deleted.key, 1))
        assert store.peek_session(DEFAULT_PROJECT, deleted.id) is None
        assert await store.purge(ended_before=NOW + 1, due_before=NOW + 1, limit=10) == 1
        assert store.peek_session(DEFAULT_PROJECT, purged.id) is None

    async def test_revoke_ends_a_session_and_raises_its_version_by_one(self, store: Store) -> None:
        session = samples.session()
        await _prepare(store, session)
        expected = session.revoked(now=NOW + HOUR, reason="operator")
        assert await store.revoke([samples.revocation(session)]) == [expected]
        peeked = store.peek_session(DEFAULT_PROJECT, session.id)
        assert peeked is None or peeked.session == expected
        found = await store.find_session(DEFAULT_PROJECT, session.id)
        assert found is not None
        assert found.session == expected
        assert expected.version == 2

    async def test_the_first_revocation_wins_and_only_it_is_told(self, store: Store) -> None:
        session = samples.session()
        await store.apply(samples.put(session))
        first = samples.revocation(session, at=NOW + HOUR, reason="first")
        again = samples.revocation(session, at=NOW + 1, reason="again")
        ended = session.revoked(now=NOW + HOUR, reason="first")
        assert await store.revoke([first, again]) == [ended, ended]
        assert await store.revoke([again]) == [ended]
        assert await store.get(session.key) == ended
        assert [event for _, event in await store.events(after=0, limit=9)] == [first.event]

    async def test_revoke_needs_no_version_and_answers_in_order(self, store: Store) -> None:
        first, second = samples.session(), samples.session(version=1)
        await store.apply(samples.put(first, second))
        rotated = second.rotated(now=NOW + 1, kid=5)
        await store.apply(samples.put(rotated))
        absent = samples.session()
        answers = await store.revoke([samples.revocation(each) for each in (second, absent, first)])
        assert answers == [
            rotated.revoked(now=NOW + HOUR, reason="operator"),
            None,
            first.revoked(now=NOW + HOUR, reason="operator"),
        ]
        assert len(await store.events(after=0, limit=9)) == 2
        assert list(await store.revoke([])) == []

    async def test_revoke_reaches_sessions_of_any_partition(self, store: Store) -> None:
        sessions = [samples.session(id=samples.session_id(NOW, Partition(n))) for n in (0, 1, 4095)]
        for session in sessions:
            await store.apply(samples.put(session))
        answers = await store.revoke([samples.revocation(session) for session in sessions])
        assert [answer and answer.revoked_at for answer in answers] == [NOW + HOUR] * 3

    async def test_revocations_at_once_are_one(self, store: Store) -> None:
        session = samples.session()
        await store.apply(samples.put(session))
        revocations = [samples.revocation(session, at=NOW + n, reason=f"r{n}") for n in range(6)]
        answers = await asyncio.gather(*(store.revoke([revocation]) for revocation in revocations))
        assert len({answer.revoked_reason for (answer,) in answers if answer is not None}) == 1
        assert len(await store.events(after=0, limit=9)) == 1

    async def test_touch_raises_what_is_lower_and_not_the_version(self, store: Store) -> None:
        session = samples.session(generation=3)
        await _prepare(store, session)
        await store.touch([_touch(session, NOW + 5, 2)])
        expected = session.touched(seen_at=NOW + 5, generation=2)
        assert (expected.last_seen_at, expected.seen_generation, expected.version) == (NOW + 5, 2, 1)
        found = await _seen(store, session)
        assert found is not None
        assert found.session == expected

    async def test_touch_takes_each_maximum_by_itself(self, store: Store) -> None:
        session = samples.session(generation=3)
        await store.apply(samples.put(session))
        await store.touch([_touch(session, NOW + 5, 1), _touch(session, NOW + 9, 0)])
        await store.touch([_touch(session, NOW - 5, 3), _touch(session, NOW + 2, 2)])
        assert await store.get(session.key) == session.touched(seen_at=NOW + 9, generation=3)

    async def test_touch_never_passes_the_generation(self, store: Store) -> None:
        session = samples.session(generation=3)
        await store.apply(samples.put(session))
        await store.touch([_touch(session, NOW, 7)])
        found = await store.get(session.key)
        assert isinstance(found, Session)
        assert found.seen_generation == 3

    async def test_touch_creates_nothing_and_changes_nothing_that_ended(self, store: Store) -> None:
        absent, ended = samples.session(), samples.session(generation=2)
        await store.apply(samples.put(ended))
        (revoked,) = await store.revoke([samples.revocation(ended)])
        await store.touch([_touch(absent, NOW + 5, 0), _touch(ended, NOW + 5, 2)])
        assert await store.get_many([absent.key, ended.key]) == [None, revoked]

    async def test_a_put_lowers_neither_last_seen_nor_seen_generation(self, store: Store) -> None:
        session = samples.session(generation=3)
        await store.apply(samples.put(session))
        await store.touch([_touch(session, NOW + HOUR, 3)])
        rotated = session.rotated(now=NOW + 1, kid=5)
        await store.apply(samples.put(rotated))
        expected = msgspec.structs.replace(rotated, last_seen_at=NOW + HOUR, seen_generation=3)
        assert await store.get(session.key) == expected

    async def test_a_put_raises_last_seen_and_seen_generation(self, store: Store) -> None:
        session = samples.session(generation=3)
        await store.apply(samples.put(session))
        changed = msgspec.structs.replace(session, last_seen_at=NOW + 7, seen_generation=2, version=2)
        await store.apply(samples.put(changed))
        assert await store.get(session.key) == changed


def _touch(session: Session, seen_at: int, generation: int) -> Touch:
    return Touch(project=session.project, session=session.id, seen_at=seen_at, generation=generation)
