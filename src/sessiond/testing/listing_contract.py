"""Contract: `list_by_subject`, `scan` and `count`."""

# ruff: noqa: D102, S101  a test's name is its sentence, and it is made of asserts

from __future__ import annotations

import pytest

from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.records import Kind, Record
from sessiond.services.ports import Place, Selection, Store
from sessiond.testing import samples
from sessiond.testing.samples import ALICE, HOUR, NOW

BOB = SubjectId("bob")


async def _put(store: Store, *records: Record) -> None:
    for record in records:
        await store.apply(samples.put(record))


class ListingContract:
    """What holds for reads of many."""

    async def test_a_subject_s_sessions_are_listed_newest_first(self, store: Store) -> None:
        old, new, middle = (samples.session(created_at=NOW + n) for n in (0, 2, 1))
        await _put(store, old, new, middle)
        assert await store.list_by_subject(DEFAULT_PROJECT, ALICE) == [new, middle, old]

    async def test_only_the_subject_s_own_sessions_are_listed(self, store: Store) -> None:
        mine = samples.session()
        await _put(store, mine, samples.session(BOB), samples.session(project=samples.OTHER_PROJECT))
        assert await store.list_by_subject(DEFAULT_PROJECT, ALICE) == [mine]
        assert list(await store.list_by_subject(DEFAULT_PROJECT, SubjectId("ali"))) == []

    async def test_without_an_instant_ended_sessions_are_listed_too(self, store: Store) -> None:
        ended = samples.session(expires_at=NOW, revoked_at=NOW, revoked_reason="r")
        await _put(store, ended)
        assert await store.list_by_subject(DEFAULT_PROJECT, ALICE) == [ended]

    @pytest.mark.parametrize(
        ("members", "live"),
        [
            ({}, True),
            ({"revoked_at": NOW + HOUR, "revoked_reason": "r"}, False),
            ({"expires_at": NOW}, False),
            ({"expires_at": NOW + 1}, True),
            ({"idle_timeout_ms": HOUR, "last_seen_at": NOW - HOUR}, False),
            ({"idle_timeout_ms": HOUR, "last_seen_at": NOW - HOUR + 1}, True),
        ],
    )
    async def test_live_means_not_revoked_and_both_limits_ahead(
        self, store: Store, members: samples.SessionMembers, *, live: bool
    ) -> None:
        session = samples.session(**members)
        await _put(store, session)
        found = await store.list_by_subject(DEFAULT_PROJECT, ALICE, live_at=NOW)
        assert list(found) == ([session] if live else [])

    async def test_epochs_do_not_matter_to_a_list(self, store: Store) -> None:
        session = samples.session()
        await _put(store, session, samples.subject())
        await _put(store, samples.renewed(samples.subject(), 1))
        assert await store.list_by_subject(DEFAULT_PROJECT, ALICE, live_at=NOW) == [session]

    async def test_a_list_can_be_read_in_pages(self, store: Store) -> None:
        newest_first = [samples.session(created_at=NOW - n) for n in range(5)]
        await _put(store, *newest_first)
        page = await store.list_by_subject(DEFAULT_PROJECT, ALICE, limit=2)
        assert page == newest_first[:2]
        rest = await store.list_by_subject(DEFAULT_PROJECT, ALICE, before=page[-1].id)
        assert rest == newest_first[2:]
        assert list(await store.list_by_subject(DEFAULT_PROJECT, ALICE, limit=0)) == []

    async def test_the_limit_counts_live_sessions_only(self, store: Store) -> None:
        live = samples.session(created_at=NOW - 5)
        await _put(store, live, samples.session(expires_at=NOW))
        assert await store.list_by_subject(DEFAULT_PROJECT, ALICE, live_at=NOW, limit=1) == [live]

    async def test_a_scan_answers_newest_first_and_then_the_highest_id(self, store: Store) -> None:
        subjects = [samples.subject(SubjectId(name), created_at=NOW + at) for name, at in _NAMED]
        await _put(store, *subjects)
        found = await store.scan(Selection(kind=Kind.SUBJECT), limit=9)
        assert found == [subjects[n] for n in (3, 0, 2, 1)]

    async def test_sessions_are_scanned_newest_first(self, store: Store) -> None:
        newest_first = [samples.session(SubjectId(f"s{n}"), created_at=NOW - n) for n in range(4)]
        await _put(store, *newest_first[2:], *newest_first[:2])
        assert await store.scan(Selection(kind=Kind.SESSION), limit=9) == newest_first
        mine = Selection(kind=Kind.SESSION, owner="s3")
        assert await store.scan(mine, limit=9) == newest_first[3:]

    async def test_a_scan_is_bounded_and_can_skip(self, store: Store) -> None:
        newest_first = [samples.session(created_at=NOW - n) for n in range(5)]
        await _put(store, *newest_first)
        everything = Selection(kind=Kind.SESSION)
        assert await store.scan(everything, limit=2) == newest_first[:2]
        assert await store.scan(everything, limit=2, offset=3) == newest_first[3:]
        assert list(await store.scan(everything, limit=2, offset=5)) == []
        assert list(await store.scan(everything, limit=0)) == []

    @pytest.mark.parametrize("kind", [Kind.SESSION, Kind.SUBJECT])
    async def test_a_scan_goes_on_after_a_place(self, store: Store, kind: Kind) -> None:
        newest_first = _in_places(kind)
        await _put(store, *newest_first)
        selection = Selection(kind=kind, project=DEFAULT_PROJECT)
        for n, record in enumerate(newest_first):
            assert list(await store.scan(selection, limit=9, after=Place.of(record))) == newest_first[n + 1 :]
        page = await store.scan(selection, limit=2, offset=1, after=Place.of(newest_first[0]))
        assert page == newest_first[2:4]

    @pytest.mark.parametrize("kind", [Kind.SESSION, Kind.SUBJECT])
    async def test_pages_neither_miss_nor_repeat_what_stays_while_others_come_and_go(
        self, store: Store, kind: Kind
    ) -> None:
        newer, *newest_first = _in_places(kind)
        await _put(store, *newest_first)
        selection = Selection(kind=kind, project=DEFAULT_PROJECT)
        first = await store.scan(selection, limit=2)
        await _put(store, newer)
        await store.apply(samples.delete(first[-1].key, 1))
        rest = await store.scan(selection, limit=9, after=Place.of(first[-1]))
        assert [*first, *rest] == newest_first

    @pytest.mark.parametrize("kind", [Kind.SESSION, Kind.SUBJECT])
    async def test_a_place_is_within_the_selection(self, store: Store, kind: Kind) -> None:
        here = _in_places(kind)
        foreign = samples.session(project=samples.OTHER_PROJECT, created_at=NOW - 1)
        stranger = samples.subject(BOB, project=samples.OTHER_PROJECT, created_at=NOW - 1)
        await _put(store, *here, foreign, stranger)
        owner = "alice" if kind is Kind.SESSION else "user"
        selection = Selection(kind=kind, project=DEFAULT_PROJECT, owner=owner)
        assert await store.scan(selection, limit=9, after=Place.of(here[1])) == here[2:]

    async def test_a_selection_is_about_one_kind(self, store: Store) -> None:
        session, alice = samples.session(), samples.subject()
        await _put(store, session, alice)
        assert await store.scan(Selection(kind=Kind.SESSION), limit=9) == [session]
        assert await store.scan(Selection(kind=Kind.SUBJECT), limit=9) == [alice]
        assert list(await store.scan(Selection(kind=Kind.PIN), limit=9)) == []

    async def test_a_selection_can_be_about_one_project(self, store: Store) -> None:
        here: list[Record] = [samples.session(), samples.subject()]
        there: list[Record] = [
            samples.session(project=samples.OTHER_PROJECT),
            samples.subject(project=samples.OTHER_PROJECT),
        ]
        await _put(store, *here, *there)
        for ours, theirs in zip(here, there, strict=True):
            for project, record in ((DEFAULT_PROJECT, ours), (samples.OTHER_PROJECT, theirs)):
                selection = Selection(kind=record.kind, project=project)
                assert await store.scan(selection, limit=9) == [record]
                assert await store.count(selection) == 1

    async def test_a_selection_can_be_about_one_owner(self, store: Store) -> None:
        mine, alice = samples.session(), samples.subject()
        await _put(store, mine, samples.session(BOB), alice)
        assert await store.scan(Selection(kind=Kind.SESSION, owner="alice"), limit=9) == [mine]
        assert await store.scan(Selection(kind=Kind.SUBJECT, owner="user"), limit=9) == [alice]
        assert await store.count(Selection(kind=Kind.SUBJECT, owner="alice")) == 0
        narrow = Selection(kind=Kind.SESSION, owner="alice", project=samples.OTHER_PROJECT)
        assert await store.count(narrow) == 0

    async def test_a_selection_can_be_about_what_has_expired_or_not(self, store: Store) -> None:
        over, due, ahead = (samples.session(expires_at=NOW + n) for n in (-1, 0, 1))
        alice = samples.subject()
        await _put(store, over, due, ahead, alice)
        expired = Selection(kind=Kind.SESSION, expired_at=NOW, expired=True)
        fresh = Selection(kind=Kind.SESSION, expired_at=NOW)
        assert await store.scan(expired, limit=9) == [due, over]
        assert await store.scan(fresh, limit=9) == [ahead]
        assert (await store.count(expired), await store.count(fresh)) == (2, 1)
        never = Selection(kind=Kind.SUBJECT, expired_at=NOW)
        assert await store.scan(never, limit=9) == [alice]
        assert await store.count(Selection(kind=Kind.SUBJECT, expired_at=NOW, expired=True)) == 0

    async def test_a_count_follows_what_is_written(self, store: Store) -> None:
        everything = Selection(kind=Kind.SESSION)
        assert await store.count(everything) == 0
        session = samples.session()
        await _put(store, session, samples.session(BOB))
        assert await store.count(everything) == len([session, BOB])
        await store.revoke([samples.revocation(session)])
        assert await store.count(everything) == len([session, BOB])
        await store.apply(samples.delete(session.key, 2))
        assert await store.count(everything) == 1


def _in_places(kind: Kind) -> list[Record]:
    """Return records of *kind*, newest first, some of them of the same instant."""
    if kind is Kind.SESSION:
        sessions: list[Record] = [samples.session(created_at=NOW - n // 2) for n in range(5)]
        return sorted(sessions, key=lambda session: session.key.id, reverse=True)
    return [samples.subject(SubjectId(f"s{9 - n}"), created_at=NOW - n // 2) for n in range(5)]


_NAMED = (("b", 1), ("a", 0), ("c", 0), ("a2", 2))
