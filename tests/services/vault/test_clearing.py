from __future__ import annotations

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import PUBLIC
from sessiond.domain.events import EventType
from sessiond.domain.ids import SubjectId
from sessiond.domain.instants import later
from tests.deployment import ALICE
from tests.services.vault.storage import APP, BOB, HOUR, Storage, racing


async def test_clearing_goes_on_until_nothing_is_left(storage: Storage) -> None:
    for number in range(230):
        await storage.save(SubjectId(f"user{number % 3}"), token=f"token{number}")

    await storage.vault.clear(PUBLIC, user=None)

    assert await storage.ids() == []
    cleared = await storage.events(EventType.VAULT_CLEARED)
    assert sum(event.data["count"] or 0 for event in cleared if isinstance(event.data["count"], int)) == 230


async def test_clearing_takes_what_was_replaced_meanwhile_too(storage: Storage) -> None:
    saved = await storage.save()
    racing(storage).before_apply = lambda: storage.vault.replace(
        APP, saved.id, Secret("new"), later(storage.clock.now(), HOUR)
    )

    await storage.vault.clear(APP, user=ALICE)

    assert await storage.ids() == []


async def test_clearing_one_user_leaves_the_others(storage: Storage) -> None:
    await storage.save(ALICE)
    bobs = await storage.save(BOB)

    await storage.vault.clear(await storage.session_of(ALICE), user=None)

    assert await storage.ids() == [bobs.id]
