"""Deleting a subject takes what the vault keeps for it along: whoever has the id later inherits nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import ServerCaller
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.records import Kind
from sessiond.domain.rules import Rules, VaultRules
from sessiond.services.ports import Change, Selection
from sessiond.services.vault.answers import NewToken
from sessiond.storage.engines.memory import MemoryStore
from tests.deployment import NOON, TestDeployment

ANNA, BOB = SubjectId("anna"), SubjectId("bob")
APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")
MANY = 205


class RacingStore(MemoryStore):
    """A memory engine that lets something else happen just before the next write."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def apply(self, change: Change) -> None:
        happening, self.meanwhile = self.meanwhile, None
        if happening is not None:
            await happening()
        await super().apply(change)


class Home:
    """Anna, who has a PIN, with Bob as her neighbour in the vault."""

    def __init__(self, deployment: TestDeployment, store: RacingStore) -> None:
        self.services = deployment.services
        self.store = store

    @classmethod
    async def built(cls) -> Home:
        store = RacingStore()
        home = cls(await TestDeployment.born(Rules(vault=VaultRules(max_per_user=1000)), store=store), store)
        await home.services.pins.add_user(DEFAULT_PROJECT, ANNA, Secret("4711"), by=Initiator("cli"))
        await home.save(BOB)
        return home

    async def save(self, user: SubjectId = ANNA) -> None:
        new = NewToken(user=user, token=Secret("kept"), expires_at=NOON + 10**9)
        await self.services.vault.save(APP, new)

    async def kept(self, user: SubjectId) -> int:
        return await self.store.count(Selection(kind=Kind.VAULT_ENTRY, project=DEFAULT_PROJECT, owner=user))


async def by_the_dialect(home: Home) -> None:
    await home.services.subjects.delete(DEFAULT_PROJECT, ANNA, by=Initiator("server_key:app"))


async def by_the_command(home: Home) -> None:
    await home.services.pins.delete_user(DEFAULT_PROJECT, ANNA, by=Initiator("cli"))


Deleting = Callable[[Home], Awaitable[None]]
each_way = pytest.mark.parametrize("delete", [by_the_dialect, by_the_command])


@each_way
async def test_a_namesake_finds_nothing_in_the_vault(delete: Deleting) -> None:
    home = await Home.built()
    await home.save()

    await delete(home)

    assert (await home.kept(ANNA), await home.kept(BOB)) == (0, 1)
    assert await home.store.count(Selection(kind=Kind.SUBJECT, project=DEFAULT_PROJECT, owner="user")) == 0


@each_way
async def test_what_is_saved_meanwhile_goes_too(delete: Deleting) -> None:
    home = await Home.built()
    home.store.meanwhile = home.save

    await delete(home)

    assert await home.kept(ANNA) == 0


async def test_many_entries_go_in_several_changes_each_told() -> None:
    home = await Home.built()
    for _ in range(MANY):
        await home.save()

    await by_the_dialect(home)

    told = [event for _, event in await home.store.events(after=0, limit=1000)]
    cleared = [event.data["count"] for event in told if event.type is EventType.VAULT_CLEARED]
    assert (await home.kept(ANNA), cleared, told[-1].type) == (0, [100, 100, 5], EventType.SUBJECT_DELETED)
