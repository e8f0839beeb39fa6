from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import msgspec
import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import PUBLIC, Caller, OperatorCaller, ServerCaller, SubjectCaller
from sessiond.domain.errors import Forbidden, InvalidRequest, NotFound, Unavailable
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.instants import later
from sessiond.domain.records import Kind
from sessiond.domain.replays import IdempotencyKeyReused
from sessiond.domain.rules import Rules, VaultRules
from sessiond.domain.sessions import Actor
from sessiond.domain.vault import VaultEntry, entry_key, parse_entry_id
from sessiond.services.orders import Order
from sessiond.services.ports import Change, Selection
from sessiond.services.vault import TOLD_AT_ONCE, Vault
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


@pytest.fixture
async def storage() -> Storage:
    return Storage(await TestDeployment.born(store=RacingStore()))


async def small(cap: int) -> Storage:
    rules = Rules(vault=VaultRules(max_per_user=cap))
    return Storage(await TestDeployment.born(rules, store=RacingStore()))


def racing(storage: Storage) -> RacingStore:
    assert isinstance(storage.store, RacingStore)
    return storage.store


# -- sealing ----------------------------------------------------------------------------------------------------


async def test_a_saved_token_is_handed_out_again(storage: Storage) -> None:
    saved = await storage.save()

    opened = await storage.vault.read(APP, saved.id)

    assert opened.token.reveal() == TOKEN
    assert (opened.id, opened.user, opened.valid) == (saved.id, ALICE, True)


async def test_no_record_and_no_event_holds_a_byte_of_the_token_or_its_preview(storage: Storage) -> None:
    saved = await storage.save(key="once")
    await storage.vault.read(APP, saved.id)
    await storage.vault.replace(APP, saved.id, Secret(TOKEN[::-1]), later(storage.clock.now(), HOUR))

    kept = [await storage.store.scan(Selection(kind=kind), limit=1000) for kind in Kind]
    everything = msgspec.msgpack.encode([kept, await storage.store.events(after=0, limit=1000)])

    for part in (TOKEN[:8], TOKEN[8:20], TOKEN[-11:], TOKEN[::-1][:8], "once"):
        assert part.encode() not in everything
        assert part.encode().hex().encode() not in everything


async def test_what_prints_an_opened_entry_prints_no_token(storage: Storage) -> None:
    saved = await storage.save()

    assert TOKEN not in repr(await storage.vault.read(APP, saved.id))
    assert TOKEN not in repr(storage.new())


def flipped(box: bytes) -> bytes:
    return box[:-1] + bytes([box[-1] ^ 1])


TAMPERINGS: dict[str, Callable[[VaultEntry, VaultEntry], VaultEntry]] = {
    "one bit flipped": lambda entry, _: with_token(entry, flipped(entry.boxes.token)),
    "another entry's box": lambda entry, other: with_token(entry, other.boxes.token),
    "the preview's box": lambda entry, _: with_token(entry, entry.boxes.preview),
    "no box": lambda entry, _: with_token(entry, b""),
    "a box of an unknown version": lambda entry, _: with_token(entry, b"\x02" + entry.boxes.token[1:]),
    "another user": lambda entry, _: msgspec.structs.replace(entry, user=BOB),
    "another version": lambda entry, _: msgspec.structs.replace(entry, version=entry.version + 7),
    "an unknown key": lambda entry, _: msgspec.structs.replace(
        entry, boxes=msgspec.structs.replace(entry.boxes, key_id="gone")
    ),
}


def with_token(entry: VaultEntry, box: bytes) -> VaultEntry:
    return msgspec.structs.replace(entry, boxes=msgspec.structs.replace(entry.boxes, token=box))


@pytest.mark.parametrize("how", TAMPERINGS)
async def test_a_tampered_or_swapped_box_is_a_refusal_and_an_event_and_never_a_value(
    storage: Storage, how: str
) -> None:
    saved, other = await storage.save(), await storage.save(token="x" * len(TOKEN))
    await storage.put(TAMPERINGS[how](await storage.entry(saved.id), await storage.entry(other.id)))

    with pytest.raises(Unavailable) as refused:
        await storage.vault.read(APP, saved.id)

    assert refused.value.code in {"vault_unreadable", "key_unavailable"}
    (event,) = await storage.events(EventType.VAULT_UNREADABLE)
    assert event.data == {"entry": saved.id, "reason": refused.value.code}
    assert not await storage.events(EventType.VAULT_READ)


async def test_an_older_box_of_the_same_entry_does_not_open(storage: Storage) -> None:
    saved = await storage.save()
    old = await storage.entry(saved.id)
    await storage.vault.replace(APP, saved.id, Secret("new"), later(storage.clock.now(), HOUR))
    new = await storage.entry(saved.id)

    await storage.put(msgspec.structs.replace(new, boxes=old.boxes))

    with pytest.raises(Unavailable):
        await storage.vault.read(APP, saved.id)


async def test_a_tampered_preview_is_a_refusal_and_an_event_and_never_an_empty_value(
    storage: Storage,
) -> None:
    entry = await storage.entry((await storage.save()).id)
    boxes = msgspec.structs.replace(entry.boxes, preview=flipped(entry.boxes.preview))
    await storage.put(msgspec.structs.replace(entry, boxes=boxes))

    with pytest.raises(Unavailable):
        await storage.ids()
    assert await storage.events(EventType.VAULT_UNREADABLE)


# -- the audit of reads -----------------------------------------------------------------------------------------


async def test_every_full_token_that_leaves_was_written_down_first(storage: Storage) -> None:
    session = await storage.session_of(ALICE)
    saved = await storage.save(by=session)

    await storage.vault.read(session, saved.id)
    await storage.vault.current(APP, user=ALICE)
    await storage.vault.current(OperatorCaller(project=DEFAULT_PROJECT), user=None)

    reads = await storage.events(EventType.VAULT_READ)
    assert [read.by for read in reads] == ["subject:alice", "server_key:app", "operator"]
    assert [read.session for read in reads] == [session.standing.session.id, None, None]
    assert {(read.subject, read.data["entry"]) for read in reads} == {(ALICE, saved.id)}


async def test_who_acts_as_the_user_gets_no_token_and_changes_none(storage: Storage) -> None:
    issued = await storage.deployment.services.issuing.issue(
        Order(
            project=DEFAULT_PROJECT,
            subject=(await storage.session_of(ALICE)).subject,
            session_kind=(await storage.session_of(ALICE)).standing.session.session_kind,
            by="test",
            actor=Actor(name="support", reason="ticket 1"),
        )
    )
    standing = await storage.store.find_session(DEFAULT_PROJECT, issued.session.id)
    assert standing is not None
    saved, acting = await storage.save(), SubjectCaller(standing=standing)
    later_on = storage.deployment.clock.now() + 1000

    for attempt in (
        storage.vault.read(acting, saved.id),
        storage.vault.current(acting, user=None),
        storage.vault.save(acting, NewToken(user=ALICE, token=Secret("t"), expires_at=later_on)),
        storage.vault.replace(acting, saved.id, Secret("t"), later_on),
        storage.vault.delete(acting, saved.id),
        storage.vault.clear(acting, user=None),
    ):
        with pytest.raises(Forbidden, match="impersonated"):
            await attempt

    page = await storage.vault.list_page(acting, user=None, valid=None, page=1, limit=10)
    assert [entry.id for entry in page.entries] == [saved.id]
    assert not await storage.events(EventType.VAULT_READ)
    refused = await storage.events(EventType.VAULT_REFUSED)
    assert {(event.subject, event.by, event.data["reason"]) for event in refused} == {
        (ALICE, "actor:support", "impersonated")
    }


async def test_listing_and_asking_for_validity_read_no_full_token(storage: Storage) -> None:
    await storage.save()

    await storage.ids()
    await storage.vault.validity(APP, user=None)

    assert not await storage.events(EventType.VAULT_READ)


async def test_an_entry_that_was_deleted_before_its_reading_was_written_down_is_not_handed_out(
    storage: Storage,
) -> None:
    saved = await storage.save()
    racing(storage).before_apply = lambda: storage.vault.delete(APP, saved.id)

    with pytest.raises(NotFound):
        await storage.vault.read(APP, saved.id)
    assert not await storage.events(EventType.VAULT_READ)


async def test_an_entry_that_was_replaced_meanwhile_is_read_again(storage: Storage) -> None:
    saved = await storage.save()
    racing(storage).before_apply = lambda: storage.vault.replace(
        APP, saved.id, Secret("new"), later(storage.clock.now(), HOUR)
    )

    assert (await storage.vault.read(APP, saved.id)).token.reveal() == "new"


# -- whose entries ----------------------------------------------------------------------------------------------


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
    other = await storage.deployment.services.projects.add("other", by="test")
    elsewhere = ServerCaller(project=other.id, name="app", key_id="key")
    saved = await storage.save()

    assert await storage.ids(by=elsewhere) == []
    with pytest.raises(NotFound):
        await storage.vault.read(elsewhere, saved.id)
    await storage.vault.clear(elsewhere, user=None)
    assert await storage.ids() == [saved.id]


async def test_a_box_of_one_project_does_not_open_in_another(storage: Storage) -> None:
    other = await storage.deployment.services.projects.add("other", by="test")
    saved = await storage.entry((await storage.save()).id)
    moved = msgspec.structs.replace(saved, project=other.id)
    await storage.store.apply(Change(partition=moved.key.partition, expects={moved.key: 0}, puts=[moved]))

    with pytest.raises(Unavailable):
        await storage.vault.read(ServerCaller(project=other.id, name="app", key_id="key"), saved.id)


# -- the cap ----------------------------------------------------------------------------------------------------


async def test_at_the_cap_the_oldest_goes_and_other_users_keep_theirs() -> None:
    storage = await small(cap=2)
    bobs = await storage.save(BOB)
    first, second, third = [(await storage.save()).id for _ in range(3)]

    assert await storage.ids(ALICE) == [third, second]
    assert await storage.ids(BOB) == [bobs.id]
    (gone,) = await storage.events(EventType.VAULT_DELETED)
    assert gone.data == {"entry": first, "successor": third}


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


# -- retries ----------------------------------------------------------------------------------------------------


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


# -- time -------------------------------------------------------------------------------------------------------


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


# -- clearing ---------------------------------------------------------------------------------------------------


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
