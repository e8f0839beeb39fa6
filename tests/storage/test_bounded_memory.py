"""What memory may answer beside a feed of changes: the rule, and the ways in which an answer can be overtaken."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.domain.freshness import answers_until
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId, SubjectId
from sessiond.domain.records import Key
from sessiond.domain.sessions import Session, Standing
from sessiond.storage.bounded_memory import BoundedMemory
from sessiond.testing import samples
from sessiond.testing.samples import NOW

BOUND = 2.0


class Seconds:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def memory(seconds: Seconds) -> BoundedMemory:
    """A memory beside a feed that tells all, and was just heard."""
    memory = BoundedMemory(100, bound=BOUND, tells_all=True, monotonic=seconds)
    memory.heard(seconds.now)
    return memory


@pytest.fixture
def hinted(seconds: Seconds) -> BoundedMemory:
    """A memory beside a feed that may lose a word, and was just heard."""
    memory = BoundedMemory(100, bound=BOUND, tells_all=False, monotonic=seconds)
    memory.heard(seconds.now)
    return memory


def standing(session: Session) -> Standing:
    return Standing(
        session=session,
        subject=samples.subject(),
        project=samples.project(),
        deployment=samples.deployment(),
    )


def remember(memory: BoundedMemory, session: Session) -> None:
    with memory.reading() as reading:
        memory.keep(reading, standing(session))


def knows(memory: BoundedMemory, session: Session) -> bool:
    return memory.get(DEFAULT_PROJECT, session.id) is not None


def drop(memory: BoundedMemory, key: Key) -> None:
    memory.drop(key.kind, key.project, key.id)


def stands_on(session: Session) -> dict[str, Key]:
    return {
        "session": session.key,
        "subject": samples.subject().key,
        "project": samples.project().key,
        "deployment": samples.deployment().key,
    }


def test_a_feed_that_tells_all_vouches_up_to_its_last_heartbeat() -> None:
    assert answers_until(read_at=5.0, heard_at=9.0, tells_all=True, bound=2.0) == 11.0
    assert answers_until(read_at=10.0, heard_at=9.0, tells_all=True, bound=2.0) == 11.0


def test_hints_vouch_for_nothing_and_without_them_memory_is_silent() -> None:
    assert answers_until(read_at=5.0, heard_at=9.0, tells_all=False, bound=2.0) == 7.0
    assert answers_until(read_at=10.0, heard_at=9.0, tells_all=False, bound=2.0) == 11.0


def test_what_was_read_is_answered_for_as_long_as_heartbeats_come_back(
    memory: BoundedMemory, seconds: Seconds
) -> None:
    session = samples.session()
    remember(memory, session)

    for _ in range(5):
        seconds.now += BOUND
        assert knows(memory, session)
        memory.heard(seconds.now)

    seconds.now += BOUND + 0.001
    assert not knows(memory, session)


def test_a_heartbeat_counts_from_when_it_was_sent(memory: BoundedMemory, seconds: Seconds) -> None:
    session = samples.session()
    remember(memory, session)
    sent_at = seconds.now + 0.5
    seconds.now += 1.9

    memory.heard(sent_at)

    assert memory.staleness().measured_seconds == pytest.approx(1.4)
    seconds.now = sent_at + BOUND
    assert knows(memory, session)
    seconds.now += 0.001
    assert not knows(memory, session)
    assert not memory.staleness().heard


def test_beside_hints_what_was_read_is_answered_for_the_bound_alone(
    hinted: BoundedMemory, seconds: Seconds
) -> None:
    session = samples.session()
    remember(hinted, session)
    seconds.now += BOUND
    hinted.heard(seconds.now)
    assert knows(hinted, session)

    seconds.now += 0.001

    assert not knows(hinted, session)
    remember(hinted, session)
    assert knows(hinted, session)


def test_beside_hints_a_silent_feed_silences_memory(hinted: BoundedMemory, seconds: Seconds) -> None:
    session = samples.session()
    seconds.now += BOUND
    remember(hinted, session)
    assert knows(hinted, session)
    seconds.now += 0.001
    assert not knows(hinted, session)


@pytest.mark.parametrize("what", ["session", "subject", "project", "deployment"])
def test_what_is_told_to_have_changed_is_forgotten(memory: BoundedMemory, what: str) -> None:
    session = samples.session()
    remember(memory, session)

    drop(memory, stands_on(session)[what])

    assert not knows(memory, session)


@pytest.mark.parametrize("what", ["session", "subject", "project", "deployment"])
def test_a_read_that_a_change_overtakes_is_not_kept(memory: BoundedMemory, what: str) -> None:
    session = samples.session()
    with memory.reading() as reading:
        drop(memory, stands_on(session)[what])
        memory.keep(reading, standing(session))

    assert not knows(memory, session)


def test_a_change_of_another_session_overtakes_nothing(memory: BoundedMemory) -> None:
    session = samples.session()
    with memory.reading() as reading:
        drop(memory, samples.session().key)
        memory.keep(reading, standing(session))

    assert knows(memory, session)


def test_whoever_acts_overtakes_too(memory: BoundedMemory) -> None:
    bob = samples.subject(SubjectId("bob"), partition=samples.ELSEWHERE)
    own = samples.session(bob.id, id=samples.session_id(NOW, samples.ELSEWHERE))
    acted = samples.session(actor=samples.actor(own.id))
    whole = msgspec.structs.replace(standing(acted), actor=bob, acting=own)
    for key in (own.key, bob.key):
        with memory.reading() as reading:
            drop(memory, key)
            memory.keep(reading, whole)
        assert not knows(memory, acted)

        with memory.reading() as reading:
            memory.keep(reading, whole)
        assert knows(memory, acted)
        drop(memory, key)
        assert not knows(memory, acted)


def test_a_feed_that_was_interrupted_vouches_for_nothing_that_was_known_or_on_its_way(
    memory: BoundedMemory, seconds: Seconds
) -> None:
    known, coming = samples.session(), samples.session()
    remember(memory, known)
    with memory.reading() as reading:
        memory.lose()
        memory.heard(seconds.now)
        memory.keep(reading, standing(coming))

    assert not knows(memory, known)
    assert not knows(memory, coming)


def test_what_was_read_before_the_feed_was_first_heard_is_not_kept(seconds: Seconds) -> None:
    memory = BoundedMemory(100, bound=BOUND, tells_all=True, monotonic=seconds)
    session = samples.session()
    assert memory.staleness().measured_seconds is None
    with memory.reading() as reading:
        memory.heard(seconds.now)
        memory.keep(reading, standing(session))

    assert not knows(memory, session)


def test_a_session_of_another_project_is_not_found(memory: BoundedMemory) -> None:
    session = samples.session()
    remember(memory, session)

    assert memory.get(samples.OTHER_PROJECT, session.id) is None
    assert memory.get(DEFAULT_PROJECT, SessionId(bytes(16))) is None
