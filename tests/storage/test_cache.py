"""The bounded cache of standings: what it keeps, and what makes it forget."""

import msgspec
import pytest

from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.records import Kind, Record
from sessiond.domain.sessions import Session, Standing
from sessiond.services.ports import Touch
from sessiond.storage.cache import Recent, StandingCache
from sessiond.testing import samples

BOB = samples.subject(SubjectId("bob"), partition=samples.ELSEWHERE)
BOBS = samples.session(BOB.id, id=samples.session_id(samples.NOW, samples.ELSEWHERE))


def complete(session: Session | None = None) -> Standing:
    return Standing(
        session=session or samples.session(actor=samples.actor(BOBS.id)),
        subject=samples.subject(),
        project=samples.project(),
        deployment=samples.deployment(),
        actor=BOB,
        acting=BOBS,
    )


def drop(cache: StandingCache, record: Record) -> None:
    cache.drop(record.kind, record.key.project, record.key.id)


def test_what_was_kept_is_found_in_its_project_only() -> None:
    cache, standing = StandingCache(10), complete()
    cache.put(standing)
    assert cache.get(DEFAULT_PROJECT, standing.session.id) == standing
    assert cache.get(samples.OTHER_PROJECT, standing.session.id) is None


@pytest.mark.parametrize("missing", ["subject", "project", "deployment", "actor", "acting"])
def test_an_incomplete_standing_is_not_kept(missing: str) -> None:
    cache, standing = StandingCache(10), complete()
    cache.put(msgspec.structs.replace(standing, **{missing: None}))
    assert cache.get(DEFAULT_PROJECT, standing.session.id) is None


@pytest.mark.parametrize(
    "changed",
    [samples.subject(), samples.project(), samples.deployment(), BOB, BOBS],
    ids=lambda record: record.kind,
)
def test_a_change_around_a_session_makes_it_forgotten(changed: Record) -> None:
    cache, standing = StandingCache(10), complete()
    cache.put(standing)
    drop(cache, changed)
    assert cache.get(DEFAULT_PROJECT, standing.session.id) is None


def test_a_change_of_another_record_leaves_a_session_known() -> None:
    cache, standing = StandingCache(10), complete()
    cache.put(standing)
    for other in (samples.session(), samples.subject(SubjectId("carol")), samples.tally()):
        drop(cache, other)
    cache.drop(Kind.SUBJECT, samples.OTHER_PROJECT, b"alice")
    assert cache.get(DEFAULT_PROJECT, standing.session.id) is not None
    drop(cache, standing.session)
    assert cache.get(DEFAULT_PROJECT, standing.session.id) is None


def test_sessions_of_one_subject_do_not_displace_each_other() -> None:
    cache, standings = StandingCache(10), [complete() for _ in range(3)]
    for standing in standings:
        cache.put(standing)
    assert all(cache.get(DEFAULT_PROJECT, standing.session.id) == standing for standing in standings)


def test_a_newer_subject_overtakes_the_standings_of_the_older() -> None:
    cache, old, new = StandingCache(10), complete(), complete()
    cache.put(old)
    assert new.subject is not None
    new = msgspec.structs.replace(new, subject=samples.renewed(new.subject, 99))
    cache.put(new)
    assert cache.get(DEFAULT_PROJECT, old.session.id) is None
    assert cache.get(DEFAULT_PROJECT, new.session.id) == new


def test_a_newer_session_of_an_actor_overtakes_the_standings_of_the_older() -> None:
    cache, old, new = StandingCache(10), complete(), complete()
    cache.put(old)
    new = msgspec.structs.replace(new, acting=BOBS.revoked(now=samples.NOW, reason="signed_out"))
    cache.put(new)
    assert cache.get(DEFAULT_PROJECT, old.session.id) is None
    assert cache.get(DEFAULT_PROJECT, new.session.id) == new


def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    recent: Recent[int, str] = Recent(100)
    for n in range(1000):
        recent.put(n, str(n))
        assert recent.get(0) == "0"
        assert len(recent) <= 100
    assert recent.get(999) == "999"
    assert recent.get(500) is None


def test_a_new_value_replaces_one_that_grew_old() -> None:
    recent: Recent[int, str] = Recent(4)
    recent.put(1, "old")
    recent.put(2, "b")
    recent.put(3, "c")
    recent.put(1, "new")
    recent.drop(3)
    for n in range(4, 6):
        recent.put(n, "x")
        assert recent.get(1) in {"new", None}


def test_a_session_that_was_written_over_the_one_that_is_kept_takes_its_place() -> None:
    cache, standing = StandingCache(10), complete()
    cache.put(standing)
    successor = standing.session.rotated(now=samples.NOW + 1, kid=9)

    cache.replace(successor)

    assert cache.get(DEFAULT_PROJECT, successor.id) == msgspec.structs.replace(standing, session=successor)


@pytest.mark.parametrize(
    "kept",
    [
        {"version": 7},
        {"last_seen_at": samples.NOW + 60_000},
        {"seen_generation": 1},
    ],
    ids=lambda members: next(iter(members)),
)
def test_a_session_is_forgotten_where_only_a_read_can_tell_what_its_row_is_now(kept: dict[str, int]) -> None:
    cache, standing = StandingCache(10), complete()
    successor = standing.session.rotated(now=samples.NOW + 1, kid=9)
    cache.put(complete(msgspec.structs.replace(standing.session, **kept)))

    cache.replace(successor)

    assert cache.get(DEFAULT_PROJECT, successor.id) is None


def test_a_session_that_was_seen_is_kept_so_and_what_it_acts_in_is_forgotten() -> None:
    cache, acted = StandingCache(10), complete()
    own = msgspec.structs.replace(acted, session=BOBS, subject=BOB, actor=None, acting=None)
    cache.put(acted)
    cache.put(own)

    cache.touch(Touch(project=BOBS.project, session=BOBS.id, seen_at=samples.NOW + 5, generation=0))

    assert cache.get(DEFAULT_PROJECT, acted.session.id) is None
    seen = cache.get(DEFAULT_PROJECT, BOBS.id)
    assert seen == msgspec.structs.replace(own, session=BOBS.touched(seen_at=samples.NOW + 5, generation=0))


def test_an_ended_session_is_not_kept_in_its_own_place() -> None:
    cache, standing = StandingCache(10), complete()
    cache.put(standing)

    cache.replace(standing.session.revoked(now=samples.NOW + 1, reason="revoked"))

    assert cache.get(DEFAULT_PROJECT, standing.session.id) is None


def test_a_session_that_was_just_made_stands_on_what_is_known_when_it_is_asked_for() -> None:
    standing = complete(samples.session())
    standing = msgspec.structs.replace(standing, actor=None, acting=None)
    cache = StandingCache(10, lambda session: msgspec.structs.replace(standing, session=session))
    cache.welcome([standing.session])

    assert cache.get(samples.OTHER_PROJECT, standing.session.id) is None
    assert cache.get(DEFAULT_PROJECT, standing.session.id) == standing
    successor = standing.session.rotated(now=samples.NOW + 1, kid=9)
    cache.replace(successor)
    assert cache.get(DEFAULT_PROJECT, successor.id) == msgspec.structs.replace(standing, session=successor)


def test_a_session_that_was_just_made_is_replaced_and_forgotten_before_anyone_asked_for_it() -> None:
    standing = msgspec.structs.replace(complete(samples.session()), actor=None, acting=None)
    cache = StandingCache(10, lambda session: msgspec.structs.replace(standing, session=session))
    successor = standing.session.rotated(now=samples.NOW + 1, kid=9)
    cache.welcome([standing.session])

    cache.replace(successor)

    assert cache.get(DEFAULT_PROJECT, successor.id) == msgspec.structs.replace(standing, session=successor)
    cache.welcome([standing.session])
    drop(cache, standing.session)
    assert cache.get(DEFAULT_PROJECT, standing.session.id) is None


def test_of_sessions_that_nobody_asked_for_the_newest_quarter_is_kept() -> None:
    standing = msgspec.structs.replace(complete(samples.session()), actor=None, acting=None)
    cache = StandingCache(100, lambda session: msgspec.structs.replace(standing, session=session))
    sessions = [samples.session() for _ in range(50)]

    cache.welcome(sessions)

    found = [cache.get(DEFAULT_PROJECT, session.id) is not None for session in sessions]
    assert (any(found[:25]), all(found[38:])) == (False, True)


def test_a_session_that_was_just_made_is_unknown_where_only_a_read_tells_what_it_stands_on() -> None:
    cache = StandingCache(10)
    session = samples.session()

    cache.welcome([session])

    assert cache.get(DEFAULT_PROJECT, session.id) is None


@pytest.mark.parametrize("listed_first", [True, False])
def test_a_session_that_is_both_listed_and_asked_for_is_kept_once(*, listed_first: bool) -> None:
    cache, standing = StandingCache(20), complete()
    session = standing.session
    if listed_first:
        cache.welcome([session])
    cache.put(standing)
    cache.welcome([session])
    cache.touch(Touch(project=session.project, session=session.id, seen_at=samples.NOW + 5, generation=0))

    for _ in range(20):
        cache.put(complete(samples.session()))

    assert cache.seen(session.id) is None
