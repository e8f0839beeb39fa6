"""Who has an id after its former holder was deleted finds nothing of theirs, and keeps all that is its own."""

from __future__ import annotations

import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import ServerCaller
from sessiond.domain.errors import NotFound
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.services.exports import Export
from sessiond.services.vault.answers import NewToken
from tests.deployment import ALICE, BY, TestDeployment

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")


async def deleted(deployment: TestDeployment) -> None:
    await deployment.services.subjects.delete(DEFAULT_PROJECT, ALICE, by=BY)
    deployment.clock.advance(seconds=1)


async def exported(deployment: TestDeployment) -> Export:
    return await deployment.services.exports.export(DEFAULT_PROJECT, ALICE, by=BY)


async def test_a_namesake_reads_no_session_of_the_former_holder(deployment: TestDeployment) -> None:
    former = await deployment.issue()
    await deleted(deployment)
    holder = await deployment.issue()

    with pytest.raises(NotFound, match="session_unknown"):
        await deployment.services.own_sessions.get(holder, former.id)
    with pytest.raises(NotFound, match="session_unknown"):
        await deployment.services.own_sessions.end(holder, former.id, reason="mine", by=BY)


async def test_a_subject_goes_on_reading_its_own_ended_sessions(deployment: TestDeployment) -> None:
    early = await deployment.issue()
    deployment.clock.advance(days=1)
    await deployment.services.subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, by=BY)
    holder = await deployment.issue()

    found = await deployment.services.own_sessions.get(holder, early.id)

    assert found.session.id == early.id


async def test_an_export_tells_nothing_of_the_former_holder(deployment: TestDeployment) -> None:
    former = await deployment.issue()
    await deleted(deployment)
    holder = await deployment.issue()

    export = await exported(deployment)

    assert [each.session.id for each in export.sessions] == [holder.id]
    assert former.id not in {event.session for event in export.events}
    told = [event.type for event in export.events]
    assert told == [EventType.SUBJECT_CREATED, EventType.SESSION_ISSUED, EventType.SUBJECT_EXPORTED]


async def test_a_retried_save_for_a_namesake_is_no_empty_promise(deployment: TestDeployment) -> None:
    await deployment.issue()
    vault, until = deployment.services.vault, deployment.clock.now() + 10**9
    new = NewToken(user=ALICE, token=Secret("kept"), expires_at=until)
    first = await vault.save(APP, new, idempotency_key="key")
    await deleted(deployment)
    await deployment.issue()

    second = await vault.save(APP, new, idempotency_key="key")
    third = await vault.save(APP, new, idempotency_key="key")

    assert second.id != first.id
    assert third.id == second.id
    assert (await vault.read(APP, second.id)).token.reveal() == "kept"
