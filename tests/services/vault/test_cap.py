from __future__ import annotations

from sessiond.crypto.secrets import Secret
from sessiond.domain.events import EventType
from sessiond.domain.instants import later
from sessiond.domain.rules import VaultRules
from sessiond.services.vault import Vault
from tests.deployment import ALICE, TestDeployment
from tests.services.vault.storage import APP, BOB, HOUR, RacingStore, Storage, racing, small


async def test_at_the_cap_the_oldest_goes_and_other_users_keep_theirs() -> None:
    storage = await small(cap=2)
    bobs = await storage.save(BOB)
    first, second, third = [(await storage.save()).id for _ in range(3)]

    assert await storage.ids(ALICE) == [third, second]
    assert await storage.ids(BOB) == [bobs.id]
    (gone,) = await storage.events(EventType.VAULT_DELETED)
    assert gone.data == {"by_key": "key", "entry": first, "successor": third}


async def test_an_entry_that_was_replaced_is_young_again() -> None:
    storage = await small(cap=2)
    first, second = [(await storage.save()).id for _ in range(2)]
    storage.clock.advance(seconds=1)
    await storage.vault.replace(APP, first, Secret("new"), later(storage.clock.now(), HOUR))

    third = (await storage.save()).id

    assert await storage.ids(ALICE) == [third, first]
    assert second not in await storage.ids()


async def test_two_creates_at_once_cannot_both_find_room() -> None:
    storage = await small(cap=2)
    await storage.save()
    racing(storage).before_apply = storage.save

    last = await storage.save()

    ids = await storage.ids(ALICE)
    assert len(ids) == 2
    assert last.id in ids


async def test_a_cap_that_was_lowered_holds_from_the_next_create() -> None:
    store = RacingStore()
    generous = Storage(await TestDeployment.born(store=store))
    for _ in range(5):
        await generous.save()
    tight = Storage(generous.deployment)
    services = generous.deployment.services
    tight.vault = Vault(
        store,
        services.keys,
        generous.clock,
        services.entropy,
        contention=services.contention,
        rules=VaultRules(max_per_user=2),
    )

    await tight.save()

    assert len(await tight.ids(ALICE)) == 2
