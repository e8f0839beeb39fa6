"""Since when nobody uses an anonymous subject any more."""

from datetime import timedelta

import pytest

from sessiond.domain.abandoned import abandoned_since, is_stale, may_be_abandoned
from sessiond.domain.endings import Ended, Ending
from tests.domain.samples import NOW, a_subject

VISITOR = a_subject(anonymous=True)


def over(at: int | None) -> Ended:
    """Return the ending of a session, at an instant that may not be known any more."""
    return Ended(Ending.SUBJECT_EPOCH, at)


def test_who_is_known_or_kept_from_coming_back_is_never_abandoned() -> None:
    assert may_be_abandoned(VISITOR)
    assert not may_be_abandoned(a_subject())
    assert not may_be_abandoned(VISITOR.disabled(now=NOW, epoch=1, by="shop"))


@pytest.mark.parametrize(
    ("ends", "marked", "since"),
    [
        ([over(NOW - 5), None], None, None),
        ([over(NOW - 5), None], NOW - 9, None),
        ([over(NOW - 5), over(NOW - 3)], None, NOW - 3),
        ([over(NOW - 5)], NOW - 9, NOW - 5),
        ([], None, NOW),
        ([], NOW - 9, NOW - 9),
        ([over(NOW - 5), over(None)], None, NOW),
        ([over(NOW - 5), over(None)], NOW - 2, NOW - 2),
    ],
)
def test_a_subject_is_abandoned_since_the_last_of_its_sessions_ended(
    ends: list[Ended | None], marked: int | None, since: int | None
) -> None:
    subject = VISITOR if marked is None else VISITOR.abandoned(marked)
    assert abandoned_since(subject, ends, NOW) == since


def test_a_sign_in_takes_the_mark_away() -> None:
    back = VISITOR.abandoned(NOW - 9).signed_in()
    assert (back.abandoned_at, back.version) == (None, VISITOR.version + 2)


def test_what_is_abandoned_is_stale_after_that_long() -> None:
    assert not is_stale(NOW - 59_999, kept_for=timedelta(minutes=1), now=NOW)
    assert is_stale(NOW - 60_000, kept_for=timedelta(minutes=1), now=NOW)
