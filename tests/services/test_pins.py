"""PIN users as the operator meets them, and signing in, refreshing and signing out as they meet it."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import InvalidRequest, NotFound, Refusal, StateConflict, Unauthenticated
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.pins import Attempts, Pin
from sessiond.domain.records import Kind
from sessiond.domain.rules import PinRules
from sessiond.domain.sessions import SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.pin_hashing import PinHashing
from sessiond.services.pin_sign_in import SignedIn
from sessiond.services.ports import Change, Selection
from sessiond.services.token_forms import Form
from sessiond.storage.engines.memory import MemoryStore
from tests.crypto.material import with_new_root
from tests.deployment import TestDeployment
from tests.pin_door import HOME, PIN, WRONG, Door

pytestmark = pytest.mark.usefixtures("cheap_hashes")

OPERATOR = Initiator("cli")


@pytest.fixture
async def door() -> Door:
    return await Door.with_alice()


async def verdict(door: Door, text: str) -> str:
    try:
        await door.deployment.services.sessions.verify(text)
    except Unauthenticated as refusal:
        return refusal.code
    return "live"


def access(signed_in: SignedIn) -> str:
    return signed_in.access_token.text.reveal()


def refresh(signed_in: SignedIn) -> str:
    return signed_in.refresh_token.text.reveal()


# -- users


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


# -- signing in


async def test_a_name_and_its_pin_open_a_session(door: Door) -> None:
    signed_in = await door.login("ALICE")

    session = signed_in.session
    assert (session.subject, session.session_kind, session.rotates) == ("alice", SessionKind.PIN, False)
    assert (session.client.address, session.client.user_agent) == (HOME, "till/1.0")
    assert session.amr == ("pin",)
    assert session.expires_at - session.created_at == 30 * 86_400_000
    assert (signed_in.access_token.lifetime_seconds, signed_in.refresh_token.lifetime_seconds) == (
        60,
        2_592_000,
    )
    assert (await door.deployment.services.sessions.verify(access(signed_in))).form is Form.PIN_ACCESS


async def test_each_sign_in_is_a_session_of_its_own(door: Door) -> None:
    first, second = await door.login(), await door.login()

    assert first.session.id != second.session.id
    assert [await verdict(door, access(each)) for each in (first, second)] == ["live", "live"]


async def test_whatever_is_wrong_is_refused_in_the_same_words(door: Door) -> None:
    await door.pins.add_user(DEFAULT_PROJECT, "bob", Secret("5555"), by=OPERATOR)
    await door.pins.disable(DEFAULT_PROJECT, "bob", by=OPERATOR)
    refusals = []
    for name, pin in (("alice", WRONG), ("nobody", PIN), ("bob", "5555"), ("alice", "00123")):
        with pytest.raises(Refusal) as refusal:
            await door.login(name, pin)
        refusals.append((type(refusal.value), refusal.value.code, refusal.value.detail, refusal.value.data))

    assert len({str(refusal) for refusal in refusals}) == 1
    assert refusals[0][2] == "Invalid credentials"


@pytest.mark.parametrize("name", ["", "a" * 257, "a\x00b", "\ud800", "\ufdfa" * 1000, "a" * 60_000])
async def test_what_can_be_no_name_is_refused_before_anything_is_counted(door: Door, name: str) -> None:
    assert await door.knock(name) == "invalid_name"
    assert await door.counters() == 0


async def test_what_can_be_no_pin_is_refused_before_anything_is_counted(door: Door) -> None:
    assert await door.knock(pin="123") == "invalid_pin"
    assert await door.knock(pin="1" * 65) == "invalid_pin"
    assert await door.counters() == 0


class InterruptedStore(MemoryStore):
    """A store in which something happens between an attempt that was counted and the look at its PIN."""

    def __init__(self) -> None:
        super().__init__()
        self.door: Door | None = None

    async def apply(self, change: Change) -> None:
        await super().apply(change)
        if self.door is not None and any(isinstance(put, Attempts) for put in change.puts):
            door, self.door = self.door, None
            await door.pins.set_pin(DEFAULT_PROJECT, "alice", Secret("5555"), by=OPERATOR)


async def test_a_pin_that_is_replaced_while_it_is_looked_at_opens_nothing() -> None:
    store = InterruptedStore()
    door = await Door.with_alice(store=store)
    store.door = door

    assert await door.knock() == "invalid_credentials"

    assert not await door.deployment.services.sessions.list_live(DEFAULT_PROJECT, SubjectId("alice"))
    assert await door.knock(pin="5555") == "in"


# -- the hashing queue


async def test_no_more_pins_wait_than_the_queue_holds(deployment: TestDeployment) -> None:
    services = deployment.services
    hashing = PinHashing(services.keys, services.entropy, threads=1)
    permits = [hashing.permit() for _ in range(17)]

    with pytest.raises(Refusal) as refusal:
        hashing.permit()
    with permits[0]:
        pass

    assert refusal.value.code == "busy"
    with hashing.permit() as permit:
        assert await permit.run(lambda: "hashed") == "hashed"
    hashing.close()


async def test_an_attempt_that_finds_no_permit_is_not_counted() -> None:
    door = await Door.with_alice(PinRules(hashing_threads=1))
    permits = [door.deployment.services.pin_hashing.permit() for _ in range(17)]

    assert await door.knock(pin=WRONG) == "busy"
    for permit in permits:
        with permit:
            pass

    assert await door.counters() == 0
    assert await door.knock() == "in"


# -- keys


async def test_a_pin_outlives_its_pepper_and_moves_to_the_new_one(door: Door) -> None:
    signed_in = await door.login()
    services = door.deployment.services
    former = (await door.pins.get_user(DEFAULT_PROJECT, "alice")).pin

    services.keys.ring = with_new_root(
        services.keys.ring, DEFAULT_PROJECT, services.entropy, door.clock.now()
    )

    assert await door.knock() == "in"
    renewed = (await door.pins.get_user(DEFAULT_PROJECT, "alice")).pin
    assert renewed.kid == services.keys.ring.active_root(DEFAULT_PROJECT).kid != former.kid
    assert renewed.set_at == former.set_at
    assert await door.knock() == "in"
    assert await verdict(door, access(signed_in)) == "live"


async def test_a_pin_under_a_key_that_is_gone_matches_nothing(door: Door) -> None:
    user = await door.pins.get_user(DEFAULT_PROJECT, "alice")
    await lose_key_of(door, user.pin)

    assert await door.knock() == "invalid_credentials"

    await door.pins.set_pin(DEFAULT_PROJECT, "alice", Secret("5555"), by=OPERATOR)
    assert await door.knock(pin="5555") == "in"


async def lose_key_of(door: Door, pin: Pin) -> None:
    lost = msgspec.structs.replace(pin, kid=pin.kid ^ 1, version=pin.version + 1)
    await door.store.apply(Change(partition=pin.partition, expects={pin.key: pin.version}, puts=[lost]))


# -- refreshing and signing out


async def test_a_refresh_token_gets_access_tokens_and_stays_as_it_is(door: Door) -> None:
    signed_in = await door.login()
    door.clock.advance(seconds=61)
    assert await verdict(door, access(signed_in)) == "token_expired"

    renewed = [(await door.sign_in.refresh(refresh(signed_in))) for _ in range(5)]

    texts = {token.text.reveal() for token in renewed}
    assert len(texts) == 5
    assert [await verdict(door, text) for text in texts] == ["live"] * 5
    assert {token.lifetime_seconds for token in renewed} == {60}


async def test_a_refresh_never_reaches_beyond_the_sessions_limit(door: Door) -> None:
    signed_in = await door.login()
    door.clock.advance(days=30, seconds=-10)

    assert (await door.sign_in.refresh(refresh(signed_in))).lifetime_seconds == 10

    door.clock.advance(seconds=10)
    with pytest.raises(Unauthenticated):
        await door.sign_in.refresh(refresh(signed_in))


async def test_each_token_opens_its_own_door_only(door: Door) -> None:
    signed_in = await door.login()

    with pytest.raises(Unauthenticated):
        await door.sign_in.refresh(access(signed_in))
    with pytest.raises(Unauthenticated):
        await door.sign_in.logout(refresh(signed_in), None, address=None)
    with pytest.raises(Unauthenticated):
        await door.sign_in.logout(None, access(signed_in), address=None)
    assert await verdict(door, refresh(signed_in)) == "wrong_token_kind"
    assert await verdict(door, access(signed_in)) == "live"


@pytest.mark.parametrize("waited", [0, 61])
async def test_signing_out_ends_both_tokens_at_once(door: Door, waited: int) -> None:
    signed_in = await door.login()
    other = await door.login()
    door.clock.advance(seconds=waited)

    await door.sign_in.logout(access(signed_in), refresh(signed_in), address=None)

    assert await verdict(door, access(signed_in)) == ("token_expired" if waited else "session_revoked")
    with pytest.raises(Unauthenticated):
        await door.sign_in.refresh(refresh(signed_in))
    await door.sign_in.refresh(refresh(other))


async def test_a_browser_that_dropped_its_access_token_signs_out_with_the_other(door: Door) -> None:
    signed_in = await door.login()

    await door.sign_in.logout(None, refresh(signed_in), address=None)

    assert await verdict(door, access(signed_in)) == "session_revoked"


async def test_signing_out_twice_or_without_a_sound_token_is_refused(door: Door) -> None:
    signed_in = await door.login()
    await door.sign_in.logout(access(signed_in), refresh(signed_in), address=None)
    live = refresh(await door.login())

    for presented in (
        (access(signed_in), refresh(signed_in)),
        (access(signed_in), live),
        ("eyJhbGciOiJIUzI1NiJ9.e30.AAAA", live),
        (None, None),
    ):
        with pytest.raises(Unauthenticated):
            await door.sign_in.logout(*presented, address=None)
    await door.sign_in.refresh(live)
