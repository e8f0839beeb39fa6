from __future__ import annotations

import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import NotFound
from sessiond.services.vault.answers import NewToken
from tests.deployment import ALICE
from tests.services.vault.storage import APP, Storage


async def test_an_expired_entry_stays_listed_until_its_retention_is_over(storage: Storage) -> None:
    saved = await storage.save()
    storage.clock.advance(days=30, minutes=59)
    assert (
        await storage.store.purge(ended_before=storage.clock.now(), due_before=storage.clock.now(), limit=100)
        == 0
    )
    page = await storage.vault.list_page(APP, user=None, valid=False, page=1, limit=20)
    assert [(entry.id, entry.valid) for entry in page.entries] == [(saved.id, False)]

    storage.clock.advance(minutes=2)
    await storage.store.purge(ended_before=storage.clock.now(), due_before=storage.clock.now(), limit=100)

    assert await storage.ids() == []


async def test_the_valid_entry_that_was_saved_last_is_the_current_one(storage: Storage) -> None:
    await storage.save(token="older")
    short = NewToken(user=ALICE, token=Secret("short"), expires_at=storage.clock.now() + 60_000)
    storage.clock.advance(seconds=1)
    await storage.vault.save(APP, short)

    assert (await storage.vault.current(APP, user=ALICE)).token.reveal() == "short"
    storage.clock.advance(minutes=1)
    assert (await storage.vault.current(APP, user=ALICE)).token.reveal() == "older"
    assert (await storage.vault.validity(APP, user=ALICE)).valid
    storage.clock.advance(hours=1)
    with pytest.raises(NotFound):
        await storage.vault.current(APP, user=ALICE)
    validity = await storage.vault.validity(APP, user=ALICE)
    assert (validity.valid, validity.expires_at, validity.seconds_remaining) == (False, short.expires_at, 0)
