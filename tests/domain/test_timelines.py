"""Which events belong to a session's story, and which of them ended it."""

from __future__ import annotations

import pytest

from sessiond.domain.endings import Ended, Ending
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SubjectId, id_text, mint_id
from sessiond.domain.timelines import belongs, ended_all, ended_by, reason_of
from tests.domain.samples import ALICE, NOW, PARTITION

SESSION = mint_id(now=NOW, partition=PARTITION, entropy=bytes(8))
ANOTHER = mint_id(now=NOW, partition=PARTITION, entropy=b"\1" * 8)
ELSEWHERE = ProjectId("00000000-0000-4000-8000-000000000002")


def event(what: EventType, at: int = NOW, **changes: object) -> Event:
    members = {"partition": PARTITION, "project": DEFAULT_PROJECT, **changes}
    return Event(type=what, at=at, **members)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "part"),
    [
        (event(EventType.SESSION_ISSUED, NOW - 1, session=SESSION), True),
        (event(EventType.SESSION_ISSUED, session=ANOTHER, subject=ALICE), False),
        (event(EventType.SUBJECT_DISABLED, subject=ALICE), True),
        (event(EventType.SUBJECT_ENABLED, subject=ALICE), True),
        (event(EventType.SUBJECT_ERASED, subject=ALICE), True),
        (event(EventType.SUBJECT_DISABLED, NOW - 1, subject=ALICE), False),
        (event(EventType.SUBJECT_DISABLED, subject=SubjectId("bob")), False),
        (event(EventType.SUBJECT_DISABLED, session=ANOTHER, subject=ALICE), False),
        (event(EventType.SUBJECT_CHANGED, subject=ALICE), False),
    ],
)
def test_a_story_is_its_own_events_and_what_befell_the_subject_in_its_time(told: Event, part: bool) -> None:
    assert belongs(told, SESSION, ALICE) is part


def test_without_a_subject_a_story_is_its_own_events_alone() -> None:
    assert belongs(event(EventType.SESSION_ISSUED, session=SESSION), SESSION, None)
    assert not belongs(event(EventType.SUBJECT_DISABLED), SESSION, None)


@pytest.mark.parametrize(
    ("told", "ended"),
    [
        (event(EventType.PROJECT_SESSIONS_REVOKED), True),
        (event(EventType.PROJECT_SESSIONS_REVOKED, NOW - 1), False),
        (event(EventType.PROJECT_SESSIONS_REVOKED, project=ELSEWHERE), False),
        (event(EventType.DEPLOYMENT_RECOVERED, project=ELSEWHERE), True),
        (event(EventType.DEPLOYMENT_RECOVERED, NOW - 1), False),
        (event(EventType.POLICY_CHANGED), False),
    ],
)
def test_all_of_a_project_or_of_a_deployment_may_end_in_its_time(told: Event, ended: bool) -> None:
    assert ended_all(told, SESSION, DEFAULT_PROJECT) is ended


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (EventType.SUBJECT_SESSIONS_REVOKED, Ending.SUBJECT_EPOCH),
        (EventType.SUBJECT_DISABLED, Ending.SUBJECT_DISABLED),
        (EventType.SUBJECT_DELETED, Ending.SUBJECT_GONE),
        (EventType.SUBJECT_ERASED, Ending.SUBJECT_GONE),
        (EventType.PROJECT_SESSIONS_REVOKED, Ending.PROJECT_EPOCH),
        (EventType.DEPLOYMENT_RECOVERED, Ending.DEPLOYMENT_EPOCH),
    ],
)
def test_what_ended_all_of_somebodys_ended_it_unless_it_was_kept(what: EventType, why: Ending) -> None:
    kept = event(what, data={"kept": id_text(SESSION), "reason": "a leak"})

    assert ended_by(event(what, data={"reason": "a leak"}), SESSION) == Ended(why, NOW, "a leak")
    assert ended_by(kept, SESSION) is None
    assert ended_by(kept, ANOTHER) == Ended(why, NOW, "a leak")


@pytest.mark.parametrize(
    "what",
    [
        EventType.SESSION_REVOKED,
        EventType.SESSION_EVICTED,
        EventType.SESSION_STEPPED_UP,
        EventType.SESSION_SWITCHED,
        EventType.REFRESH_REUSED,
        EventType.ROTATION_LOST,
    ],
)
def test_its_own_ending_revoked_it(what: EventType) -> None:
    assert ended_by(event(what, session=SESSION), SESSION) == Ended(Ending.REVOKED, NOW, None)


@pytest.mark.parametrize(
    "told",
    [
        event(EventType.SESSION_ISSUED, session=SESSION),
        event(EventType.SUBJECT_DISABLED, session=SESSION),
        event(EventType.SUBJECT_ENABLED),
    ],
)
def test_nothing_else_ended_it(told: Event) -> None:
    assert ended_by(told, SESSION) is None


def test_a_reason_is_a_text_or_none() -> None:
    assert reason_of(event(EventType.SESSION_REVOKED, data={"reason": "a leak"})) == "a leak"
    assert reason_of(event(EventType.SESSION_REVOKED, data={"reason": 7})) is None
    assert reason_of(event(EventType.SESSION_REVOKED)) is None
