from __future__ import annotations

import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import OperatorCaller, SubjectCaller
from sessiond.domain.errors import Forbidden, NotFound
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.instants import later
from sessiond.domain.sessions import Actor
from sessiond.services.orders import Order
from sessiond.services.vault.answers import NewToken
from tests.deployment import ALICE, BY
from tests.services.vault.storage import APP, HOUR, Storage, racing


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
            by=BY,
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
