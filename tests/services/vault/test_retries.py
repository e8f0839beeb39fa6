from __future__ import annotations

import msgspec
import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import InvalidRequest, Unavailable
from sessiond.domain.instants import later
from sessiond.domain.replays import IdempotencyKeyReused
from tests.deployment import ALICE
from tests.services.vault.storage import APP, BOB, HOUR, Storage, racing


async def test_a_retry_gets_the_first_answer_and_creates_nothing(storage: Storage) -> None:
    new = storage.new()
    first = await storage.vault.save(APP, new, idempotency_key="k")
    storage.clock.advance(minutes=5)

    again = await storage.vault.save(APP, new, idempotency_key="k")

    assert again == first
    assert await storage.ids() == [first.id]


async def test_a_retry_gets_the_first_answer_whatever_became_of_the_entry(storage: Storage) -> None:
    new = storage.new()
    first = await storage.vault.save(APP, new, idempotency_key="k")
    await storage.vault.replace(APP, first.id, Secret("new"), later(storage.clock.now(), 2 * HOUR))
    after_replace = await storage.vault.save(APP, new, idempotency_key="k")
    await storage.vault.delete(APP, first.id)
    storage.clock.advance(hours=2)

    after_delete_and_expiry = await storage.vault.save(APP, new, idempotency_key="k")

    assert first == after_replace == after_delete_and_expiry
    assert await storage.ids() == []


async def test_a_key_with_another_request_is_refused_whatever_differs(storage: Storage) -> None:
    new = storage.new()
    await storage.vault.save(APP, new, idempotency_key="k")
    others = [
        msgspec.structs.replace(new, user=BOB),
        msgspec.structs.replace(new, token=Secret("other")),
        msgspec.structs.replace(new, expires_at=new.expires_at + 1),
    ]

    for other in others:
        with pytest.raises(IdempotencyKeyReused):
            await storage.vault.save(APP, other, idempotency_key="k")

    assert len(await storage.ids()) == 1


async def test_keys_of_different_callers_do_not_meet(storage: Storage) -> None:
    alice, bob = await storage.session_of(ALICE), await storage.session_of(BOB)

    saved = [
        await storage.save(ALICE, by=alice, key="k"),
        await storage.save(BOB, by=bob, key="k"),
        await storage.save(ALICE, by=APP, key="k"),
    ]

    assert len({each.id for each in saved}) == 3


async def test_a_key_is_forgotten_after_a_day(storage: Storage) -> None:
    first = await storage.save(key="k")
    storage.clock.advance(hours=24)

    second = await storage.save(BOB, key="k")

    assert second.id != first.id


async def test_of_two_retries_at_once_one_creates(storage: Storage) -> None:
    new = storage.new()
    racing(storage).before_apply = lambda: storage.vault.save(APP, new, idempotency_key="k")

    answered = await storage.vault.save(APP, new, idempotency_key="k")

    assert await storage.ids() == [answered.id]


async def test_a_create_that_failed_after_its_key_was_tied_is_done_by_the_retry(storage: Storage) -> None:
    new = storage.new()

    async def tie_and_fail() -> None:
        racing(storage).before_apply = fail

    async def fail() -> None:
        raise Unavailable("store_unavailable", "The disk is full.")

    racing(storage).before_apply = tie_and_fail
    with pytest.raises(Unavailable):
        await storage.vault.save(APP, new, idempotency_key="k")
    assert await storage.ids() == []

    saved = await storage.vault.save(APP, new, idempotency_key="k")

    assert await storage.ids() == [saved.id]


async def test_a_refused_create_leaves_its_key_free(storage: Storage) -> None:
    past = msgspec.structs.replace(storage.new(), expires_at=storage.clock.now())
    with pytest.raises(InvalidRequest):
        await storage.vault.save(APP, past, idempotency_key="k")

    assert (await storage.save(key="k")).user == ALICE
