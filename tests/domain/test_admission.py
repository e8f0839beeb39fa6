"""Which access tokens pass, by their generation and key, and for how long time alone cannot change that."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from sessiond.domain.admission import Admission, Claim, admit_access, admitted_until, recent, recognise
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.steps import NOT_THE_SESSIONS
from tests.domain.samples import NOW, a_session, a_standing

GRACE = timedelta(seconds=30)
ROTATED = a_session(generation=5, kid=9, prev_kid=7, rotated_at=NOW)
LAST = NOW + 30_000


def claim(generation: int, kid: int, nonce: bytes | None = b"n" * 16) -> Claim:
    return Claim(kid, generation, nonce)


@pytest.mark.parametrize(
    ("generation", "kid", "admission"),
    [
        (5, 9, Admission.CURRENT),
        (5, 7, Admission.FOREIGN),
        (4, 7, Admission.PREVIOUS),
        (4, 9, Admission.FOREIGN),
        (3, 7, Admission.SUPERSEDED),
        (6, 9, Admission.NEWER),
        (7, 9, Admission.NEWER),
    ],
)
def test_a_claim_is_of_the_generation_whose_key_it_names(
    generation: int, kid: int, admission: Admission
) -> None:
    assert recognise(ROTATED, claim(generation, kid)) is admission
    assert recognise(ROTATED, claim(generation, kid, b"m" * 16)) is Admission.FOREIGN
    assert recognise(ROTATED, claim(generation, kid, None)) is admission


@pytest.mark.parametrize(("generation", "answer"), [(3, False), (4, True), (5, True), (6, False)])
def test_the_current_and_the_previous_generation_are_recent(generation: int, answer: bool) -> None:
    assert recent(ROTATED, generation) is answer


def test_the_previous_token_passes_until_the_grace_is_over_and_the_current_one_after_it() -> None:
    standing = a_standing(ROTATED)

    assert admit_access(standing, claim(4, 7), now=LAST - 1, grace=GRACE) is Admission.PREVIOUS
    assert admit_access(standing, claim(5, 9), now=LAST, grace=GRACE) is Admission.CURRENT
    for generation, now in ((4, LAST), (3, NOW), (3, LAST - 1)):
        with pytest.raises(Unauthenticated) as refused:
            admit_access(standing, claim(generation, 7), now=now, grace=GRACE)
        assert refused.value.code == "token_superseded"


def test_what_is_admitted_is_remembered_until_the_first_thing_that_ends_it() -> None:
    session = a_session(generation=5, rotated_at=NOW, expires_at=NOW + 400_000)
    actor = a_session(expires_at=NOW + 300_000)
    plain = a_standing(session)
    acted = msgspec.structs.replace(plain, acting=actor)

    assert admitted_until(plain, 5, NOW + 100_000, grace=GRACE) == NOW + 100_000
    assert admitted_until(plain, 5, NOW + 600_000, grace=GRACE) == NOW + 400_000
    assert admitted_until(acted, 5, NOW + 600_000, grace=GRACE) == NOW + 300_000
    assert admitted_until(acted, 5, NOW + 200_000, grace=GRACE) == NOW + 200_000
    assert admitted_until(plain, 4, NOW + 600_000, grace=GRACE) == LAST
    assert admitted_until(plain, 4, NOW + 20_000, grace=GRACE) == NOW + 20_000


def test_a_session_that_ended_admits_no_token_of_its_own_and_says_so_to_no_stranger() -> None:
    standing = a_standing(msgspec.structs.replace(ROTATED, expires_at=NOW))

    for admitted in (claim(5, 9), claim(4, 7), claim(3, 7), claim(6, 9)):
        with pytest.raises(Unauthenticated) as refused:
            admit_access(standing, admitted, now=NOW, grace=GRACE)
        assert refused.value.code == "session_expired"
    with pytest.raises(Unauthenticated) as refused:
        admit_access(standing, claim(5, 9, b"m" * 16), now=NOW, grace=GRACE)
    assert refused.value is NOT_THE_SESSIONS


def test_a_claim_of_a_generation_to_come_is_told_not_refused() -> None:
    assert admit_access(a_standing(ROTATED), claim(6, 9), now=LAST, grace=GRACE) is Admission.NEWER
