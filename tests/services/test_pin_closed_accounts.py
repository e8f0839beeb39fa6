"""Guessing the PIN of one account from many addresses closes it, but not to who has been here before."""

from __future__ import annotations

import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Throttled
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import Initiator
from sessiond.domain.rules import PinRules
from tests.deployment import BY
from tests.pin_door import AWAY, HOME, Door

pytestmark = pytest.mark.usefixtures("cheap_hashes")


async def closed_door() -> Door:
    """Return a door at which strangers have closed alice's account, who was here before from home."""
    door = await Door.with_alice(PinRules(account_closes_after=8))
    await door.login()
    await door.besiege(8)
    return door


# -- one account, over all addresses


async def test_strangers_may_try_an_account_so_often_in_an_hour() -> None:
    door = await Door.with_alice(PinRules(account_attempts_per_hour=6))
    await door.besiege(6)

    assert await door.knock(address=AWAY) == "too_many_attempts"
    door.clock.advance(minutes=59)
    assert await door.knock(address=AWAY) == "too_many_attempts"
    door.clock.advance(minutes=1)
    assert await door.knock(address=AWAY) == "in"


async def test_a_closed_account_stays_closed_to_strangers_even_with_the_pin() -> None:
    door = await closed_door()

    door.clock.advance(days=29)

    with pytest.raises(Throttled) as refusal:
        await door.login(address=AWAY)
    assert refusal.value.retry_after_seconds == 3600


async def test_the_owner_gets_in_from_an_address_with_a_former_success() -> None:
    door = await closed_door()

    assert await door.knock(address=HOME) == "in"


async def test_the_owners_success_opens_the_account_again() -> None:
    door = await closed_door()

    await door.login(address=HOME)

    assert await door.knock(address=AWAY) == "in"


async def test_the_owner_gets_in_from_anywhere_with_the_browser_of_a_former_success() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=8))
    known = (await door.login()).known_client.text.reveal()
    await door.besiege(8)

    assert await door.knock(address=AWAY) == "too_many_attempts"
    assert await door.knock(address=AWAY, known=known) == "in"


async def test_a_client_is_known_for_thirty_days() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=8))
    known = (await door.login()).known_client.text.reveal()
    door.clock.advance(days=30)
    await door.besiege(8)

    assert await door.knock(address=HOME) == "too_many_attempts"
    assert await door.knock(address=AWAY, known=known) == "too_many_attempts"


async def test_nobody_is_known_after_another_pin_was_set() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=8))
    known = (await door.login()).known_client.text.reveal()
    door.clock.advance(seconds=1)
    await door.pins.set_pin(DEFAULT_PROJECT, "alice", Secret("5555"), by=BY)

    await door.besiege(8)

    assert await door.knock(pin="5555", address=HOME) == "too_many_attempts"
    assert await door.knock(pin="5555", address=AWAY, known=known) == "too_many_attempts"


async def test_a_browser_is_known_for_its_own_account_only() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=8))
    await door.pins.add_user(DEFAULT_PROJECT, "bob", Secret("5555"), by=BY)
    of_bob = (await door.login("bob", "5555", address=AWAY)).known_client.text.reveal()
    await door.besiege(8)

    assert await door.knock(address=AWAY, known=of_bob) == "too_many_attempts"


async def test_a_forged_known_client_is_a_stranger() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=8))
    known = (await door.login()).known_client.text.reveal()
    await door.besiege(8)
    mutants = [known[:i] + ("A" if known[i] != "A" else "B") + known[i + 1 :] for i in range(len(known))]

    outcomes = {
        await door.knock(address=AWAY, known=text) for text in (*mutants, "", known[:-1], known + "A", "é")
    }

    assert outcomes == {"too_many_attempts"}


async def test_a_stolen_known_client_has_five_free_attempts_in_all_its_addresses() -> None:
    door = await Door.with_alice()
    known = (await door.login()).known_client.text.reveal()

    for host in range(5):
        await door.fail(1, address=f"198.51.100.{host}", known=known)

    assert await door.knock(address=AWAY, known=known) == "too_many_attempts"
    assert await door.knock(address=AWAY) == "in"


async def test_the_failures_of_known_clients_close_no_account() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=3))
    await door.login()

    await door.fail(4, address=HOME)

    assert await door.knock(address=AWAY) == "in"


# -- the operator


async def test_the_operator_sees_a_closed_account_and_unlocks_it() -> None:
    door = await closed_door()
    assert (await door.pins.get_user(DEFAULT_PROJECT, "alice")).closed
    assert [user.closed for user in await door.pins.list_users(DEFAULT_PROJECT)] == [True]

    await door.pins.unlock(DEFAULT_PROJECT, "ALICE", by=Initiator("cli"))

    assert not (await door.pins.get_user(DEFAULT_PROJECT, "alice")).closed
    assert await door.knock(address=AWAY) == "in"


async def test_an_unlock_ends_every_wait_of_the_account_and_of_no_other(door: Door) -> None:
    await door.pins.add_user(DEFAULT_PROJECT, "bob", Secret("5555"), by=BY)
    await door.fail(5, address=HOME)
    await door.fail(5, address=AWAY)
    await door.fail(5, "bob", address=HOME)

    await door.pins.unlock(DEFAULT_PROJECT, "alice", by=Initiator("cli"))

    assert [await door.knock(address=each) for each in (HOME, AWAY)] == ["in", "in"]
    assert await door.knock("bob", "5555") == "too_many_attempts"


async def test_an_unlock_keeps_known_clients_known() -> None:
    door = await closed_door()
    await door.pins.unlock(DEFAULT_PROJECT, "alice", by=Initiator("cli"))

    await door.besiege(8)

    assert await door.knock(address=HOME) == "in"
