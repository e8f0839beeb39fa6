"""Retired keys go when nothing needs them, not before; and nothing that was sealed under them is lost."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import ServerCaller
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import later
from sessiond.domain.keys import KeyKind, KeyState
from sessiond.domain.policies import LONGEST_TIMEOUT
from sessiond.domain.records import Kind
from sessiond.domain.vault import VaultEntry
from sessiond.services.key_keeping import KEY_COMPROMISED
from sessiond.services.ports import Change, Selection
from sessiond.services.token_forms import Form
from sessiond.services.vault.answers import NewToken
from tests.deployment import ALICE, BY, TestDeployment
from tests.pin_door import Door

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")


async def rotate(deployment: TestDeployment, kind: KeyKind) -> str:
    """Rotate, once everybody knows the successor; return the name of the first key that is retired then."""
    deployment.clock.advance(hours=2)
    held = deployment.services.keys.ring.held()
    before = next(key.name for key in held if key.line.kind is kind and key.mints)
    await deployment.services.rotating.rotate(DEFAULT_PROJECT, kind, by=BY)
    return before


def state(deployment: TestDeployment, name: str) -> KeyState:
    return next(key.state for key in deployment.services.keys.ring.held() if key.name == name)


async def keep(deployment: TestDeployment, *, limit: int = 100) -> None:
    """Do what the background does each minute."""
    while await deployment.services.key_keeping.bite(limit=limit):
        pass


async def kept(deployment: TestDeployment, users: int, *, each: int = 1) -> None:
    for number in range(users * each):
        deployment.clock.advance(milliseconds=1)
        expires_at = later(deployment.clock.now(), LONGEST_TIMEOUT)
        new = NewToken(
            user=SubjectId(f"user-{number % users}"), token=Secret(f"token {number}"), expires_at=expires_at
        )
        await deployment.services.vault.save(APP, new)


async def entries(deployment: TestDeployment) -> list[VaultEntry]:
    rows = await deployment.services.store.scan(Selection(kind=Kind.VAULT_ENTRY), limit=1000)
    return [row for row in rows if isinstance(row, VaultEntry)]


# Roots


async def test_a_root_goes_when_the_last_live_session_that_names_it_has(deployment: TestDeployment) -> None:
    sessions, session = deployment.services.sessions, await deployment.issue()
    root = await rotate(deployment, KeyKind.ROOT)
    deployment.clock.advance(days=29)

    await keep(deployment)
    named = state(deployment, root)
    session = (await sessions.refresh(deployment.refresh_token(session), Form.REFRESH)).session
    deployment.clock.advance(minutes=1)
    await keep(deployment)
    named_by_the_previous = state(deployment, root)
    await sessions.refresh(deployment.refresh_token(session), Form.REFRESH)
    await keep(deployment)
    young = state(deployment, root)
    deployment.clock.advance(hours=23)
    await keep(deployment)

    assert (named, named_by_the_previous) == (KeyState.RETIRED, KeyState.RETIRED)
    assert young is KeyState.RETIRED  # known clients still carry its MAC
    deployment.clock.advance(days=1)
    await keep(deployment)
    assert state(deployment, root) is KeyState.DESTROYED


async def test_an_ended_session_keeps_no_root(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    root = await rotate(deployment, KeyKind.ROOT)
    await deployment.services.sessions.revoke(session, reason="signed_out", by=BY)
    deployment.clock.advance(days=31)

    await keep(deployment)

    assert state(deployment, root) is KeyState.DESTROYED


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
async def test_many_rows_are_looked_at_in_bites(limit: int) -> None:
    deployment = await TestDeployment.born()
    store = deployment.services.store
    held = [await deployment.issue(SubjectId(f"user-{number}")) for number in range(7)]
    oldest = msgspec.structs.replace(
        held[0], expires_at=later(held[0].expires_at, LONGEST_TIMEOUT), version=2
    )
    change = Change(partition=oldest.key.partition, expects={oldest.key: 1}, puts=[oldest])
    await store.apply(change)
    root = await rotate(deployment, KeyKind.ROOT)
    deployment.clock.advance(days=31)

    await keep(deployment, limit=limit)
    named = state(deployment, root)
    await deployment.services.sessions.revoke(oldest, reason="signed_out", by=BY)
    await keep(deployment, limit=limit)

    assert (named, state(deployment, root)) == (KeyState.RETIRED, KeyState.DESTROYED)


async def test_a_pin_keeps_the_root_of_its_pepper_until_its_user_signs_in() -> None:
    door = await Door.with_alice()
    root = await rotate(door.deployment, KeyKind.ROOT)
    door.clock.advance(days=31)

    await keep(door.deployment)
    named = state(door.deployment, root)
    await door.login()
    await keep(door.deployment)

    assert (named, state(door.deployment, root)) == (KeyState.RETIRED, KeyState.DESTROYED)
    assert await door.knock() == "in"


# Signing keys


async def test_a_signing_key_goes_when_no_jwt_of_it_can_live(deployment: TestDeployment) -> None:
    key = await rotate(deployment, KeyKind.SIGNING)
    deployment.clock.advance(hours=24, minutes=59)
    await keep(deployment)
    before = state(deployment, key)
    deployment.clock.advance(minutes=1)

    await keep(deployment)

    assert (before, state(deployment, key)) == (KeyState.RETIRED, KeyState.DESTROYED)


async def test_a_refused_key_loses_its_secret(deployment: TestDeployment) -> None:
    root = await rotate(deployment, KeyKind.ROOT)
    await deployment.services.rotating.compromise(DEFAULT_PROJECT, root, by=BY)
    await keep(deployment)
    before = state(deployment, root)
    deployment.clock.advance(hours=1)

    await keep(deployment)

    assert (before, state(deployment, root)) == (KeyState.COMPROMISED, KeyState.DESTROYED)


# Vault keys


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_every_entry_is_sealed_anew_and_none_is_lost(limit: int) -> None:
    deployment = await TestDeployment.born()
    await kept(deployment, 3, each=4)
    former = await rotate(deployment, KeyKind.VAULT)
    await kept(deployment, 1)

    await keep(deployment, limit=limit)
    young = state(deployment, former)
    deployment.clock.advance(hours=2)
    await keep(deployment, limit=limit)

    assert {entry.boxes.key_id for entry in await entries(deployment)} == {
        deployment.services.keys.ring.data_key(DEFAULT_PROJECT)[0]
    }
    assert (young, state(deployment, former)) == (KeyState.RETIRED, KeyState.DESTROYED)
    opened = [
        (await deployment.services.vault.read(APP, entry.id)).token.reveal()
        for entry in await entries(deployment)
    ]
    assert sorted(opened) == sorted([*(f"token {number}" for number in range(12)), "token 0"])


async def test_an_entry_that_does_not_open_keeps_its_key_and_stops_no_other(
    deployment: TestDeployment,
) -> None:
    await kept(deployment, 3)
    spoiled = (await entries(deployment))[1]
    worse = msgspec.structs.replace(
        spoiled, boxes=msgspec.structs.replace(spoiled.boxes, token=b"spoiled"), version=spoiled.version + 1
    )
    await deployment.services.store.apply(
        Change(partition=worse.key.partition, expects={worse.key: spoiled.version}, puts=[worse])
    )
    former = await rotate(deployment, KeyKind.VAULT)
    deployment.clock.advance(hours=2)

    await keep(deployment)

    assert state(deployment, former) is KeyState.RETIRED
    assert [entry.id for entry in await entries(deployment) if entry.boxes.key_id == former] == [worse.id]


async def test_entries_are_sealed_anew_at_once_when_asked(deployment: TestDeployment) -> None:
    await kept(deployment, 3)
    await rotate(deployment, KeyKind.VAULT)
    told: list[int] = []

    def progress(done: int, _unreadable: int) -> None:
        told.append(done)

    first = await deployment.services.key_keeping.reseal(progress)
    again = await deployment.services.key_keeping.reseal(progress)

    assert (first, again, told) == ((3, 0), (0, 0), [3, 0])


async def test_an_entry_that_is_read_while_its_key_is_rotated_opens(deployment: TestDeployment) -> None:
    await kept(deployment, 1)
    entry = (await entries(deployment))[0]
    await rotate(deployment, KeyKind.VAULT)

    opened = await deployment.services.vault.read(APP, entry.id)

    assert opened.token.reveal() == "token 0"


async def test_rotating_the_root_leaves_the_vault_readable_for_ever(deployment: TestDeployment) -> None:
    await kept(deployment, 1)
    entry = (await entries(deployment))[0]
    for _ in range(3):
        root = await rotate(deployment, KeyKind.ROOT)
        deployment.clock.advance(days=31)
        await keep(deployment)
        assert state(deployment, root) is KeyState.DESTROYED

    assert (await deployment.services.vault.read(APP, entry.id)).token.reveal() == "token 0"


async def test_nothing_is_done_where_no_key_is_retired(deployment: TestDeployment) -> None:
    await deployment.issue(ALICE)
    before = deployment.services.keys.deployment

    assert not await deployment.services.key_keeping.bite(limit=10)
    assert deployment.services.keys.deployment is before


# Refused roots


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_sessions_of_a_refused_root_are_ended_and_those_that_moved_on_live(
    deployment: TestDeployment, limit: int
) -> None:
    services = deployment.services
    await rotate(deployment, KeyKind.ROOT)
    held = [await deployment.issue() for _ in range(3)]
    root = await rotate(deployment, KeyKind.ROOT)
    moved = (await services.sessions.refresh(deployment.refresh_token(held[0]), Form.REFRESH)).session
    younger = await deployment.issue()

    await services.rotating.compromise(DEFAULT_PROJECT, root, by=Initiator("operator"))
    await keep(deployment, limit=limit)

    found = [await services.sessions.get(DEFAULT_PROJECT, each.id) for each in (*held[1:], moved, younger)]
    assert [standing.session.revoked_reason for standing in found] == [
        KEY_COMPROMISED,
        KEY_COMPROMISED,
        None,
        None,
    ]
    await services.sessions.verify(deployment.access_token(moved))
    told = [
        event.by
        for _, event in await services.store.events(after=0, limit=100)
        if event.type is EventType.SESSION_REVOKED
    ]
    assert told == ["sessiond", "sessiond"]


async def test_a_refused_root_is_destroyed_after_its_sessions_were_ended(deployment: TestDeployment) -> None:
    for _ in range(3):
        await deployment.issue()
    root = await rotate(deployment, KeyKind.ROOT)
    await deployment.services.rotating.compromise(DEFAULT_PROJECT, root, by=Initiator("operator"))
    deployment.clock.advance(days=1)

    await deployment.services.key_keeping.bite(limit=2)
    halfway = state(deployment, root)
    await keep(deployment)

    assert (halfway, state(deployment, root)) == (KeyState.COMPROMISED, KeyState.DESTROYED)
