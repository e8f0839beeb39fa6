"""Signing in with a PIN, refreshing and signing out; what is hashed, how many at once, and under which key."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Refusal, Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.pins import Attempts, Pin
from sessiond.domain.rules import PinRules
from sessiond.domain.sessions import SessionKind
from sessiond.services.pin_hashing import PinHashing
from sessiond.services.ports import Change
from sessiond.services.token_forms import Form
from sessiond.storage.engines.memory import MemoryStore
from tests.crypto.material import with_new_root
from tests.deployment import TestDeployment
from tests.pin_door import HOME, PIN, WRONG, Door, access, refresh, verdict

pytestmark = pytest.mark.usefixtures("cheap_hashes")

OPERATOR = Initiator("cli")


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
