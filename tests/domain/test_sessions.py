"""Whether a session lives, and which tokens of it are admitted (docs/tokens.md section 2)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from sessiond.domain.admission import Admission, Claim, admit_access
from sessiond.domain.endings import Ending, ending
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.sessions import INVALID, Session, Standing
from tests.domain.samples import NOW, a_session, a_standing, a_subject

GRACE = timedelta(seconds=30)


def a_claim(session: Session, **changes: object) -> Claim:
    claim = Claim(kid=session.kid, generation=session.generation, nonce=session.nonce)
    return msgspec.structs.replace(claim, **changes)


def admitted(standing: Standing, claim: Claim) -> Admission | str:
    try:
        return admit_access(standing, claim, now=NOW, grace=GRACE)
    except Unauthenticated as refusal:
        return refusal.code


def test_a_session_lives_within_its_limits_and_epochs() -> None:
    assert ending(a_standing(), NOW) is None


def test_a_revoked_session_has_ended_for_that_reason_first() -> None:
    session = a_session(expires_at=NOW).revoked(now=NOW - 5, reason="revoked")

    assert ending(a_standing(session), NOW) is Ending.REVOKED


def test_revoking_twice_keeps_the_first_time_and_reason() -> None:
    once = a_session().revoked(now=NOW, reason="first")

    assert once.revoked(now=NOW + 9, reason="second") == once


def test_a_session_ends_at_its_absolute_limit_not_after() -> None:
    session = a_session(expires_at=NOW)

    assert ending(a_standing(session), NOW - 1) is None
    assert ending(a_standing(session), NOW) is Ending.ABSOLUTE_TIMEOUT


def test_a_session_ends_at_its_idle_limit_counted_from_last_use() -> None:
    session = a_session(last_seen_at=NOW - 5000, idle_timeout_ms=5000)

    assert ending(a_standing(session), NOW - 1) is None
    assert ending(a_standing(session), NOW) is Ending.IDLE_TIMEOUT


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ("deployment", Ending.DEPLOYMENT_EPOCH),
        ("project", Ending.PROJECT_EPOCH),
        ("subject", Ending.SUBJECT_EPOCH),
    ],
)
def test_a_new_epoch_ends_the_session(member: str, why: Ending) -> None:
    standing = a_standing()
    moved = msgspec.structs.replace(getattr(standing, member), epoch=999)

    assert ending(msgspec.structs.replace(standing, **{member: moved}), NOW) is why


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ("deployment", Ending.DEPLOYMENT_EPOCH),
        ("project", Ending.PROJECT_EPOCH),
        ("subject", Ending.SUBJECT_GONE),
    ],
)
def test_a_record_that_is_gone_ends_the_session(member: str, why: Ending) -> None:
    assert ending(msgspec.structs.replace(a_standing(), **{member: None}), NOW) is why


def test_a_disabled_subject_has_no_live_session() -> None:
    standing = a_standing(subject=a_subject(disabled_at=NOW - 1))

    assert ending(standing, NOW) is Ending.SUBJECT_DISABLED


def test_the_current_generation_is_admitted() -> None:
    session = a_session(generation=3)

    assert admitted(a_standing(session), a_claim(session)) is Admission.CURRENT


@pytest.mark.parametrize(("age_ms", "answer"), [(29_999, Admission.PREVIOUS), (30_000, "token_superseded")])
def test_the_previous_generation_is_admitted_for_the_grace(age_ms: int, answer: Admission | str) -> None:
    session = a_session(generation=3, prev_kid=6, rotated_at=NOW - age_ms)

    assert admitted(a_standing(session), a_claim(session, generation=2, kid=6)) == answer


def test_an_older_generation_is_superseded_and_ends_nothing() -> None:
    session = a_session(generation=3, prev_kid=6)

    assert admitted(a_standing(session), a_claim(session, generation=1, kid=5)) == "token_superseded"


def test_a_newer_generation_is_told_apart() -> None:
    session = a_session(generation=3)

    assert admitted(a_standing(session), a_claim(session, generation=4)) is Admission.NEWER


@pytest.mark.parametrize(
    "changes",
    [{"nonce": b"x" * 16}, {"kid": 8}, {"kid": 6}, {"generation": 2, "kid": 7}],
    ids=["other nonce", "unnamed key", "previous key", "current key for the previous generation"],
)
def test_a_claim_that_the_row_does_not_bear_out_is_invalid(changes: dict[str, object]) -> None:
    session = a_session(generation=3, prev_kid=6)

    assert admitted(a_standing(session), a_claim(session, **changes)) == INVALID.code


def test_a_touch_takes_the_maximum_and_changes_no_version() -> None:
    session = a_session(generation=2, last_seen_at=NOW, seen_generation=1)

    touched = session.touched(seen_at=NOW - 50, generation=9)

    assert (touched.last_seen_at, touched.seen_generation, touched.version) == (NOW, 2, session.version)


def test_a_touch_does_not_revive() -> None:
    ended = a_session().revoked(now=NOW, reason="revoked")

    assert ended.touched(seen_at=NOW + 5, generation=0) == ended
