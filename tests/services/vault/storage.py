"""A vault to test, what is around it, and a store in which something happens just before a write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import Caller, ServerCaller, SubjectCaller
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.instants import later
from sessiond.domain.rules import Rules, VaultRules
from sessiond.domain.vault import VaultEntry, entry_key, parse_entry_id
from sessiond.services.ports import Change
from sessiond.services.vault import Vault
from sessiond.services.vault.answers import NewToken, Shown
from sessiond.storage.engines.memory import MemoryStore
from tests.deployment import ALICE, TestDeployment

BOB = SubjectId("bob")
APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.Canary_Q3Yk"
HOUR = timedelta(hours=1)


class RacingStore(MemoryStore):
    """A memory engine that lets something else happen just before the next write."""

    def __init__(self) -> None:
        super().__init__()
        self.before_apply: Callable[[], Awaitable[object]] | None = None

    async def apply(self, change: Change) -> None:
        meanwhile, self.before_apply = self.before_apply, None
        if meanwhile is not None:
            await meanwhile()
        await super().apply(change)


class Storage:
    """A vault and what a test needs around it."""

    def __init__(self, deployment: TestDeployment) -> None:
        self.deployment = deployment
        self.clock = deployment.clock
        self.store = deployment.services.store
        self.vault: Vault = deployment.services.vault

    async def save(
        self, user: SubjectId = ALICE, token: str = TOKEN, *, by: Caller = APP, key: str | None = None
    ) -> Shown:
        self.clock.advance(milliseconds=1)
        return await self.vault.save(by, self.new(user, token), idempotency_key=key)

    def new(self, user: SubjectId = ALICE, token: str = TOKEN) -> NewToken:
        return NewToken(user=user, token=Secret(token), expires_at=later(self.clock.now(), HOUR))

    async def session_of(self, user: SubjectId) -> SubjectCaller:
        session = await self.deployment.issue(user)
        standing = await self.store.find_session(DEFAULT_PROJECT, session.id)
        assert standing is not None
        return SubjectCaller(standing=standing)

    async def entry(self, entry: str) -> VaultEntry:
        parsed = parse_entry_id(entry)
        assert parsed is not None
        found = await self.store.get(entry_key(DEFAULT_PROJECT, parsed))
        assert isinstance(found, VaultEntry)
        return found

    async def put(self, entry: VaultEntry) -> None:
        """Write *entry* as someone with access to the database would."""
        present = await self.entry(entry.id)
        await self.store.apply(
            Change(partition=entry.key.partition, expects={entry.key: present.version}, puts=[entry])
        )

    async def events(self, *kinds: EventType) -> Sequence[Event]:
        return [event for _, event in await self.store.events(after=0, limit=1000) if event.type in kinds]

    async def ids(self, user: SubjectId | None = None, by: Caller = APP) -> Sequence[str]:
        page = await self.vault.list_page(by, user=user, valid=None, page=1, limit=100)
        return [entry.id for entry in page.entries]


async def small(cap: int) -> Storage:
    rules = Rules(vault=VaultRules(max_per_user=cap))
    return Storage(await TestDeployment.born(rules, store=RacingStore()))


def racing(storage: Storage) -> RacingStore:
    assert isinstance(storage.store, RacingStore)
    return storage.store
