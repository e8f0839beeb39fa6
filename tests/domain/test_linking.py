"""What a device or an anonymous subject was linked to, and what may be linked now."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.domain.errors import Refusal
from sessiond.domain.ids import SubjectId, id_text, mint_id
from sessiond.domain.linking import (
    LINKED_SESSION_ENDED,
    LINKED_TO_ANOTHER,
    NOT_A_USER,
    NOT_ANONYMOUS,
    already_linked,
    check_user,
    continued,
    link_facts,
)
from sessiond.domain.sessions import Actor, Session, SessionKind, Standing
from sessiond.domain.subjects import Link, Subject, SubjectKind
from tests.domain.samples import ALICE, NOW, PARTITION, a_session, a_standing, a_subject

PHONE = SubjectId("phone")
USERS = mint_id(now=NOW, partition=PARTITION, entropy=b"\1" * 8)
DEVICE = a_subject(id=PHONE, subject_kind=SubjectKind.DEVICE, link=Link(ALICE, USERS))


def users(**changes: object) -> Standing:
    """Return the session of a user that the device was linked to."""
    return a_standing(a_session(id=USERS, linked_from=PHONE, **changes))


def presented(subject: Subject | None = DEVICE, **changes: object) -> Standing:
    """Return the session that is to be linked, a device's unless *changes* say otherwise."""
    session = msgspec.structs.replace(a_session(subject=PHONE, session_kind=SessionKind.DEVICE), **changes)
    return msgspec.structs.replace(a_standing(session), subject=subject)


def test_a_device_leads_to_the_session_that_it_was_linked_to() -> None:
    linked = users()

    assert continued(DEVICE, linked, NOW) is linked.session


@pytest.mark.parametrize(
    ("device", "linked"),
    [
        (msgspec.structs.replace(DEVICE, link=None), users()),
        (msgspec.structs.replace(DEVICE, disabled_at=NOW), users()),
        (msgspec.structs.replace(DEVICE, link=Link(ALICE, b"another session!")), users()),
        (DEVICE, None),
        (DEVICE, users(expires_at=NOW)),
        (DEVICE, a_standing(a_session(id=USERS))),
        (DEVICE, a_standing(a_session(id=USERS, linked_from=SubjectId("another")))),
    ],
    ids=["unlinked", "disabled", "another session", "gone", "ended", "of no device", "of another device"],
)
def test_it_leads_nowhere_else(device: Subject, linked: Standing | None) -> None:
    assert continued(device, linked, NOW) is None


@pytest.mark.parametrize(
    "standing",
    [
        presented(),
        presented(a_subject(id=PHONE, anonymous=True), session_kind=SessionKind.TOKENS),
    ],
    ids=["a device's", "an anonymous subject's"],
)
def test_what_was_not_linked_is_to_be_linked_now(standing: Standing) -> None:
    assert already_linked(standing, None, ALICE, NOW) is None


def test_what_was_linked_to_the_user_is_found_by_either_session() -> None:
    linked = users()

    assert already_linked(presented(), linked, ALICE, NOW) is linked.session
    assert already_linked(linked, None, ALICE, NOW) is linked.session


def test_a_device_whose_linked_session_ended_is_linked_anew() -> None:
    assert already_linked(presented(), users(expires_at=NOW), ALICE, NOW) is None


def test_an_ended_device_session_still_finds_what_it_was_linked_to() -> None:
    linked = users()

    assert already_linked(presented(expires_at=NOW), linked, ALICE, NOW) is linked.session


@pytest.mark.parametrize(
    ("standing", "linked", "user", "refusal", "code"),
    [
        (a_standing(), None, ALICE, NOT_ANONYMOUS, "not_anonymous"),
        (presented(actor=Actor(name="ops", reason="t")), None, ALICE, NOT_ANONYMOUS, "not_anonymous"),
        (presented(expires_at=NOW), None, ALICE, LINKED_SESSION_ENDED, "session_ended"),
        (presented(None), None, ALICE, LINKED_SESSION_ENDED, "session_ended"),
        (users(expires_at=NOW), None, ALICE, LINKED_SESSION_ENDED, "session_ended"),
        (presented(), users(), SubjectId("bob"), LINKED_TO_ANOTHER, "linked_to_another"),
        (users(), None, SubjectId("bob"), LINKED_TO_ANOTHER, "linked_to_another"),
    ],
    ids=[
        "a user's",
        "impersonated",
        "ended",
        "without a record",
        "linked and ended",
        "another's",
        "another's own",
    ],
)
def test_everything_else_is_refused(
    standing: Standing, linked: Standing | None, user: SubjectId, refusal: Refusal, code: str
) -> None:
    with pytest.raises(type(refusal)) as refused:
        already_linked(standing, linked, user, NOW)

    assert refused.value is refusal
    assert refused.value.code == code


def test_sessions_are_linked_to_users_who_are_known_to_somebody_or_to_nobody_yet() -> None:
    check_user(None)
    check_user(a_subject())
    for other in (a_subject(anonymous=True), a_subject(subject_kind=SubjectKind.DEVICE)):
        with pytest.raises(type(NOT_A_USER)) as refused:
            check_user(other)
        assert refused.value is NOT_A_USER


def test_the_event_names_the_user_and_the_session_that_was_opened() -> None:
    opened: Session = users().session

    assert link_facts(ALICE, opened) == {"user": "alice", "opened": id_text(USERS)}
