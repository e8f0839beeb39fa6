"""Erasing a subject: nothing that is kept names it afterwards, wherever it broke off, and others keep theirs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import PUBLIC, ServerCaller
from sessiond.domain.errors import Forbidden, Unauthenticated, Unavailable
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.records import Kind
from sessiond.domain.sessions import Actor, Client, Session, SessionKind
from sessiond.domain.subjects import OPERATOR, SubjectKind
from sessiond.services.orders import Order
from sessiond.services.ports import Selection, Store
from sessiond.services.vault.answers import NewToken
from sessiond.storage.engine import Role
from sessiond.storage.engines.memory import open_store
from sessiond.storage.engines.sqlite import open_store as open_sqlite
from tests.crashing import Crashing
from tests.deployment import BY, NOON, TestDeployment

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")
ANNA = SubjectId("anna-of-the-canary")
BOB = SubjectId("bob")
PIN = Secret("4711")
DEVICE = "device-identifier-42"
HOME = Client(address="192.0.2.77", user_agent="anna's phone", name="anna's")
NAMES = [b"anna", b"Anna", b"192.0.2.77"]


class House:
    """A deployment in which Anna has left traces everywhere."""

    own: Session
    device: SubjectId
    acted: Session
    bobs: Session

    def __init__(self, deployment: TestDeployment) -> None:
        self.deployment = deployment
        self.services = deployment.services

    @classmethod
    async def furnished(cls, store: Store | None = None) -> House:
        """Return one where she left them."""
        house = cls(await TestDeployment.born(store=store))
        services = house.services
        await services.pins.add_user(DEFAULT_PROJECT, ANNA, PIN, by=Initiator("cli"))
        await services.pin_sign_in.login(DEFAULT_PROJECT, ANNA, PIN, client=HOME)
        house.own = await house.issue(ANNA, idempotency_key="key-1", asked=b"x")
        ended = await house.issue(ANNA)
        await services.sessions.revoke(ended, reason="anna asked for it", by=Initiator(f"subject:{ANNA}"))
        new = NewToken(user=ANNA, token=Secret("kept"), expires_at=NOON + 10**9)
        await services.vault.save(APP, new, idempotency_key="key-2")
        device, _ = await services.devices.open_session(PUBLIC, DEVICE, Client(address="192.0.2.1"))
        house.device = device.subject
        await services.linking.link(APP, device.id, ANNA)
        house.acted = await house.issue(BOB, actor=house.anna())
        house.bobs = await house.issue(BOB)
        await services.exports.export(DEFAULT_PROJECT, ANNA, by=Initiator("server_key:app"))
        return house

    def anna(self) -> Actor:
        """Return Anna, who acts by her own session."""
        return Actor(
            name="Anna of support",
            reason="ticket",
            subject=ANNA,
            partition=self.own.key.partition,
            session=self.own.id,
            epoch=self.own.epochs.subject,
        )

    async def issue(self, subject: SubjectId, **members: object) -> Session:
        """Issue a session of *subject*."""
        order = Order(
            project=DEFAULT_PROJECT,
            subject=subject,
            session_kind=SessionKind.TOKENS,
            by=Initiator("server_key:app"),
            create=SubjectKind.USER,
            client=HOME if subject == ANNA else Client(),
        )
        return (await self.services.issuing.issue(msgspec.structs.replace(order, **members))).session

    async def erase(self, subject: SubjectId = ANNA) -> None:
        """Erase."""
        await self.services.erasing.erase(DEFAULT_PROJECT, subject, by=Initiator("server_key:app"))

    async def events(self) -> list[Event]:
        """Return all that is told."""
        return [event for _, event in await self.services.store.events(after=0, limit=10_000)]

    async def records(self) -> int:
        """Count what is stored."""
        return sum([await self.services.store.count(Selection(kind=kind)) for kind in Kind])

    async def traces(self, names: list[bytes] = NAMES) -> list[bytes]:
        """Return which of *names* stand in anything that is stored or told."""
        store = self.services.store
        kept = [await store.scan(Selection(kind=kind), limit=10_000) for kind in Kind]
        keys = [[record.key for record in rows] for rows in kept]
        everything = msgspec.msgpack.encode([kept, keys, await self.events()])
        return [name for name in names if name in everything]


def bytes_in(directory: Path) -> bytes:
    """Return every byte of the files there."""
    return b"".join(path.read_bytes() for path in directory.iterdir())


async def test_nothing_that_is_kept_names_the_erased() -> None:
    house = await House.furnished()
    assert await house.traces() == NAMES

    await house.erase()

    assert await house.traces() == []
    assert await house.services.belongings.replays(DEFAULT_PROJECT, ANNA) == []
    pseudonym = house.services.erasing.pseudonym(DEFAULT_PROJECT, ANNA)
    told = [event for event in await house.events() if event.subject == pseudonym]
    assert {EventType.SUBJECT_CREATED, EventType.SESSION_ISSUED, EventType.VAULT_SAVED} <= {
        event.type for event in told
    }
    assert (told[-1].type, told[-1].by) == (EventType.SUBJECT_ERASED, "server_key:app")


async def test_nothing_in_a_database_file_names_the_erased(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sessiond.db"
    house = await House.furnished(await open_sqlite(url, role=Role.SERVER))

    await house.erase()
    assert await house.traces() == []
    await house.services.store.close()

    assert [name for name in NAMES if name in bytes_in(tmp_path)] == []


async def test_the_sessions_of_the_erased_are_dead_at_once_and_do_not_revive() -> None:
    house = await House.furnished()
    tokens = [house.deployment.access_token(each) for each in (house.own, house.acted)]

    await house.erase()
    again = await house.issue(ANNA)

    for token in tokens:
        with pytest.raises(Unauthenticated):
            await house.services.sessions.verify(token)
    verified = await house.services.sessions.verify(house.deployment.access_token(again))
    assert verified.session.epochs.subject != house.own.epochs.subject


async def test_what_others_have_stays() -> None:
    house = await House.furnished()
    before = [event for event in await house.events() if event.subject == BOB]

    await house.erase()

    token = house.deployment.access_token(house.bobs)
    assert (await house.services.sessions.verify(token)).session == house.bobs
    after = [event for event in await house.events() if event.subject == BOB]
    assert [(event.type, event.session) for event in after] == [
        (event.type, event.session) for event in before
    ]
    device = await house.services.subjects.require(DEFAULT_PROJECT, house.device)
    assert device.link is None


async def test_erasing_again_or_somebody_unknown_changes_nothing() -> None:
    house = await House.furnished()
    await house.erase()
    events, records = await house.events(), await house.records()

    await house.erase()
    await house.erase(SubjectId("nobody"))

    assert (await house.events(), await house.records()) == (events, records)


async def test_the_same_person_stays_the_same_pseudonym() -> None:
    house = await House.furnished()
    await house.erase()
    await house.issue(ANNA)
    await house.erase()

    erased = {event.subject for event in await house.events() if event.type is EventType.SUBJECT_ERASED}
    assert erased == {house.services.erasing.pseudonym(DEFAULT_PROJECT, ANNA)}
    other = (await house.services.projects.add("other", by=BY)).id
    assert house.services.erasing.pseudonym(other, ANNA) not in erased


async def test_a_crash_at_any_write_leaves_what_the_same_call_finishes() -> None:
    crash_at, finished = 0, False
    while not finished:
        store = Crashing(await open_store("memory://", role=Role.SERVER))
        house = await House.furnished(store)
        store.arm(crash_at)
        try:
            await house.erase()
            finished = True
        except Unavailable:
            live = await house.services.sessions.list_live(DEFAULT_PROJECT, ANNA)
            assert not live or crash_at == 0
            await house.erase()
        assert await house.traces() == [], crash_at
        crash_at += 1
    assert crash_at > 10


async def test_sign_ins_meanwhile_leave_no_trace() -> None:
    house = await House.furnished()

    outcomes = await asyncio.gather(
        house.erase(), *(house.issue(ANNA) for _ in range(20)), return_exceptions=True
    )
    await house.erase()

    assert outcomes[0] is None
    assert await house.traces() == []


async def test_a_device_that_is_erased_is_forgotten_by_the_user_it_was_linked_to() -> None:
    house = await House.furnished()
    assert await house.traces([house.device.encode()])

    await house.erase(house.device)

    assert await house.traces([house.device.encode()]) == []
    again, _ = await house.services.devices.open_session(PUBLIC, DEVICE, Client(address="192.0.2.1"))
    assert (again.subject, again.linked_from) == (house.device, None)
    assert len(await house.services.sessions.list_live(DEFAULT_PROJECT, ANNA)) > 0


async def test_what_is_in_the_vault_for_somebody_who_never_signed_in_is_erased() -> None:
    house = await House.furnished()
    carl = SubjectId("carl-of-the-vault")
    new = NewToken(user=carl, token=Secret("kept"), expires_at=NOON + 10**9)
    await house.services.vault.save(APP, new)
    export = await house.services.exports.export(DEFAULT_PROJECT, carl, by=BY)

    await house.erase(carl)

    assert (export.subject, len(export.entries)) == (None, 1)
    assert await house.traces([carl.encode()]) == []


async def test_the_export_has_what_is_erased() -> None:
    house = await House.furnished()
    await house.services.pin_sign_in.login(DEFAULT_PROJECT, ANNA, PIN, client=HOME)

    export = await house.services.exports.export(DEFAULT_PROJECT, ANNA, by=BY)

    assert export.pin is not None
    assert len(export.sessions) == 5
    assert [each.subject for each in export.acted] == [BOB]
    assert [each.id for each in export.linked] == [house.device]
    assert (len(export.entries), len(export.replays), len(export.attempts) > 0) == (1, 2, True)
    assert EventType.SUBJECT_LINKED in {event.type for event in export.events}
    assert house.acted.id in {event.session for event in export.events}


async def test_the_operator_is_not_erased(deployment: TestDeployment) -> None:
    with pytest.raises(Forbidden, match="subject_reserved"):
        await deployment.services.erasing.erase(DEFAULT_PROJECT, OPERATOR, by=BY)
