from __future__ import annotations

import msgspec
import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import ServerCaller
from sessiond.domain.errors import Forbidden, NotFound, Unavailable
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.instants import later
from sessiond.services.ports import Change
from sessiond.services.vault import TOLD_AT_ONCE
from tests.deployment import ALICE, BY
from tests.services.vault.storage import APP, BOB, HOUR, TOKEN, Storage


async def test_a_session_reaches_its_own_entries_only_and_anothers_look_unknown(storage: Storage) -> None:
    alice, theirs = await storage.session_of(ALICE), await storage.save(BOB)
    unknown = theirs.id[:-1] + ("0" if theirs.id[-1] != "0" else "1")
    refusals = []

    for entry in (theirs.id, unknown):
        for ask in (
            lambda entry: storage.vault.read(alice, entry),
            lambda entry: storage.vault.delete(alice, entry),
            lambda entry: storage.vault.replace(alice, entry, Secret("x"), later(storage.clock.now(), HOUR)),
        ):
            with pytest.raises(NotFound) as refused:
                await ask(entry)
            refusals.append(refused.value)

    assert len({(refusal.code, refusal.detail) for refusal in refusals}) == 1
    assert (await storage.vault.read(APP, theirs.id)).token.reveal() == TOKEN
    attempts = await storage.events(EventType.VAULT_REFUSED)
    assert [(each.subject, each.data["entry"]) for each in attempts] == [(ALICE, theirs.id)] * 3 + [
        (ALICE, unknown)
    ] * 3


async def test_trying_ids_without_end_fills_no_disk(storage: Storage) -> None:
    alice, theirs = await storage.session_of(ALICE), await storage.save(BOB)

    for _ in range(200):
        with pytest.raises(NotFound):
            await storage.vault.read(alice, theirs.id)

    assert len(await storage.events(EventType.VAULT_REFUSED)) == TOLD_AT_ONCE


async def test_attempts_in_one_project_silence_none_of_another(storage: Storage) -> None:
    theirs = await storage.save(BOB)
    another = await storage.deployment.services.projects.add("another", by=BY)
    for caller in (ServerCaller(project=another.id, name=APP.name, key_id="another"), APP):
        for _ in range(TOLD_AT_ONCE):
            with pytest.raises(NotFound):
                await storage.vault.read(caller, theirs.id[:-1] + ("0" if theirs.id[-1] != "0" else "1"))

    told = [event.project for event in await storage.events(EventType.VAULT_REFUSED)]

    assert [told.count(project) for project in (another.id, DEFAULT_PROJECT)] == [TOLD_AT_ONCE] * 2


async def test_a_session_sees_nothing_under_another_users_name(storage: Storage) -> None:
    alice = await storage.session_of(ALICE)
    await storage.save(BOB)

    assert await storage.ids(BOB, by=alice) == []
    assert (await storage.vault.validity(alice, user=BOB)).expires_at is None
    with pytest.raises(NotFound):
        await storage.vault.current(alice, user=BOB)
    await storage.vault.clear(alice, user=BOB)
    assert len(await storage.ids(BOB)) == 1


async def test_a_session_saves_for_its_own_subject_only(storage: Storage) -> None:
    alice = await storage.session_of(ALICE)

    with pytest.raises(Forbidden):
        await storage.save(BOB, by=alice)

    assert (await storage.save(ALICE, by=alice)).user == ALICE


async def test_another_project_sees_nothing(storage: Storage) -> None:
    other = await storage.deployment.services.projects.add("other", by=BY)
    elsewhere = ServerCaller(project=other.id, name="app", key_id="key")
    saved = await storage.save()

    assert await storage.ids(by=elsewhere) == []
    with pytest.raises(NotFound):
        await storage.vault.read(elsewhere, saved.id)
    await storage.vault.clear(elsewhere, user=None)
    assert await storage.ids() == [saved.id]


async def test_a_box_of_one_project_does_not_open_in_another(storage: Storage) -> None:
    other = await storage.deployment.services.projects.add("other", by=BY)
    saved = await storage.entry((await storage.save()).id)
    moved = msgspec.structs.replace(saved, project=other.id)
    await storage.store.apply(Change(partition=moved.key.partition, expects={moved.key: 0}, puts=[moved]))

    with pytest.raises(Unavailable):
        await storage.vault.read(ServerCaller(project=other.id, name="app", key_id="key"), saved.id)
