"""PIN users as the operator meets them: added, listed, given another PIN, disabled, deleted."""

from __future__ import annotations

import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import InvalidRequest, NotFound, StateConflict, Unauthenticated
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.records import Kind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.ports import Selection
from tests.pin_door import PIN, WRONG, Door, access, refresh, verdict

pytestmark = pytest.mark.usefixtures("cheap_hashes")

OPERATOR = Initiator("cli")


async def test_a_user_is_a_subject_under_its_folded_name(door: Door) -> None:
    user = await door.pins.add_user(DEFAULT_PROJECT, "Jo\u0308rg", Secret("4711"), by=OPERATOR)

    subject = await door.deployment.services.subjects.require(DEFAULT_PROJECT, SubjectId("j\u00f6rg"))
    assert user.subject == subject
    assert subject.name == "Jo\u0308rg"
    assert subject.subject_kind is SubjectKind.USER


@pytest.mark.parametrize("name", ["alice", "ALICE", "\uff41lice"])
async def test_a_name_is_given_once_in_whatever_form(door: Door, name: str) -> None:
    with pytest.raises(StateConflict) as refusal:
        await door.pins.add_user(DEFAULT_PROJECT, name, Secret("5555"), by=OPERATOR)

    assert refusal.value.code == "user_exists"
    assert await door.knock() == "in"


async def test_a_refused_addition_forgets_no_failures(door: Door) -> None:
    await door.fail(5)

    with pytest.raises(StateConflict):
        await door.pins.add_user(DEFAULT_PROJECT, "alice", Secret("5555"), by=OPERATOR)

    assert await door.knock() == "too_many_attempts"


async def test_a_user_that_cannot_be_is_not_added(door: Door) -> None:
    for name, pin in (("", PIN), ("bob ", PIN), ("bob", "123"), ("bob", "1" * 65)):
        with pytest.raises(InvalidRequest):
            await door.pins.add_user(DEFAULT_PROJECT, name, Secret(pin), by=OPERATOR)

    assert [user.subject.id for user in await door.pins.list_users(DEFAULT_PROJECT)] == ["alice"]


async def test_users_are_listed_newest_first_and_other_subjects_are_not(door: Door) -> None:
    await door.deployment.issue(SubjectId("carol"))
    door.clock.advance(seconds=1)
    await door.pins.add_user(DEFAULT_PROJECT, "Bob", Secret("5555"), by=OPERATOR)

    users = await door.pins.list_users(DEFAULT_PROJECT)

    assert [user.subject.name for user in users] == ["Bob", "Alice"]
    assert [user.subject.name for user in await door.pins.list_users(DEFAULT_PROJECT, limit=1, offset=1)] == [
        "Alice"
    ]


async def test_a_pin_is_set_only_for_a_user_that_is_there(door: Door) -> None:
    with pytest.raises(NotFound) as refusal:
        await door.pins.set_pin(DEFAULT_PROJECT, "nobody", Secret("5555"), by=OPERATOR)

    assert refusal.value.code == "user_unknown"


async def test_a_subject_without_a_pin_gets_one_by_setting_it_not_by_adding_it(door: Door) -> None:
    await door.deployment.issue(SubjectId("carol"))
    with pytest.raises(StateConflict):
        await door.pins.add_user(DEFAULT_PROJECT, "carol", Secret("5555"), by=OPERATOR)

    await door.pins.set_pin(DEFAULT_PROJECT, "Carol", Secret("5555"), by=OPERATOR)

    assert await door.knock("carol", "5555") == "in"


async def test_a_device_gets_no_pin(door: Door) -> None:
    await door.deployment.services.subjects.create(
        DEFAULT_PROJECT, SubjectId("till"), by=OPERATOR, kind=SubjectKind.DEVICE
    )

    with pytest.raises(StateConflict):
        await door.pins.set_pin(DEFAULT_PROJECT, "till", Secret("5555"), by=OPERATOR)


async def test_another_pin_ends_the_sessions_and_the_former_pin(door: Door) -> None:
    signed_in = await door.login()

    await door.pins.set_pin(DEFAULT_PROJECT, "ALICE", Secret("5555"), by=OPERATOR)

    assert await verdict(door, access(signed_in)) == "subject_sessions_revoked"
    with pytest.raises(Unauthenticated):
        await door.sign_in.refresh(refresh(signed_in))
    assert await door.knock() == "invalid_credentials"
    assert await door.knock(pin="5555") == "in"


async def test_another_pin_leaves_other_users_alone(door: Door) -> None:
    await door.pins.add_user(DEFAULT_PROJECT, "bob", Secret("5555"), by=OPERATOR)
    bob = await door.login("bob", "5555")

    await door.pins.set_pin(DEFAULT_PROJECT, "alice", Secret("4444"), by=OPERATOR)

    assert await verdict(door, access(bob)) == "live"


async def test_a_disabled_user_is_out_at_once_and_may_return_when_enabled(door: Door) -> None:
    signed_in = await door.login()

    await door.pins.disable(DEFAULT_PROJECT, "Alice", by=OPERATOR)
    assert await verdict(door, access(signed_in)) == "subject_disabled"
    assert await door.knock() == "invalid_credentials"

    await door.pins.enable(DEFAULT_PROJECT, "Alice", by=OPERATOR)
    assert await verdict(door, access(signed_in)) == "subject_sessions_revoked"
    assert await door.knock() == "in"


async def test_a_deleted_user_leaves_nothing_and_its_namesake_inherits_nothing(door: Door) -> None:
    signed_in = await door.login()
    await door.fail(4)

    await door.pins.delete_user(DEFAULT_PROJECT, "Alice", by=OPERATOR)

    assert await verdict(door, access(signed_in)) == "subject_gone"
    assert await door.store.count(Selection(kind=Kind.PIN)) == 0
    assert await door.store.count(Selection(kind=Kind.ATTEMPTS, owner="alice")) == 0
    await door.pins.add_user(DEFAULT_PROJECT, "alice", Secret("5555"), by=OPERATOR)
    assert await verdict(door, access(signed_in)) == "subject_sessions_revoked"
    assert await door.knock() == "invalid_credentials"


async def test_a_pin_dies_with_its_subject_however_that_was_deleted(door: Door) -> None:
    await door.deployment.services.subjects.delete(DEFAULT_PROJECT, SubjectId("alice"), by=OPERATOR)
    door.clock.advance(seconds=1)

    await door.deployment.issue(SubjectId("alice"))

    assert await door.knock() == "invalid_credentials"
    assert await door.pins.list_users(DEFAULT_PROJECT) == []


async def test_what_happens_to_users_is_told_in_events(door: Door) -> None:
    await door.knock(pin=WRONG)
    await door.pins.set_pin(DEFAULT_PROJECT, "alice", Secret("5555"), by=OPERATOR)
    await door.pins.unlock(DEFAULT_PROJECT, "alice", by=OPERATOR)

    kinds = [
        event.type for _, event in await door.store.events(after=0, limit=100) if event.subject == "alice"
    ]

    assert kinds == [
        EventType.SUBJECT_CREATED,
        EventType.PIN_SET,
        EventType.PIN_REFUSED,
        EventType.SUBJECT_SESSIONS_REVOKED,
        EventType.PIN_SET,
        EventType.PIN_UNLOCKED,
    ]


async def test_a_stored_pin_shows_neither_itself_nor_its_hash(door: Door) -> None:
    [user] = await door.pins.list_users(DEFAULT_PROJECT)

    assert user.pin.hash.startswith("$argon2id$")
    assert user.pin.hash not in repr(user)
