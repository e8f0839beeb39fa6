"""A key that is gone is refused clearly: what needs it gets 503, or 401 where only an intruder could still have it."""

from __future__ import annotations

import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import ServerCaller
from sessiond.domain.errors import Unauthenticated, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.instants import later
from sessiond.domain.keys import KeyKind
from sessiond.domain.policies import LONGEST_TIMEOUT
from sessiond.domain.projects import deployment_key
from sessiond.services.ports import Change
from sessiond.services.token_forms import Form
from sessiond.services.vault.answers import NewToken
from tests.deployment import ALICE, BY, TestDeployment

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")


async def destroyed(deployment: TestDeployment, kind: KeyKind) -> str:
    """Rotate, and destroy the former key though it is needed, as no server does; return its name."""
    services = deployment.services
    deployment.clock.advance(hours=2)
    former = next(key.name for key in services.keys.ring.held() if key.line.kind is kind and key.mints)
    await services.rotating.rotate(DEFAULT_PROJECT, kind, by=BY)
    await services.ring_writing.change(lambda ring, now: ring.without({former}, now), by=BY, facts={})
    return former


async def test_without_its_root_a_session_is_refused_and_another_is_issued(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()
    access, refresh = deployment.access_token(session), deployment.refresh_token(session)

    await destroyed(deployment, KeyKind.ROOT)

    with pytest.raises(Unauthenticated):
        await deployment.services.sessions.verify(access)
    with pytest.raises(Unauthenticated):
        await deployment.services.sessions.refresh(refresh, Form.REFRESH)
    other = await deployment.issue()
    verified = await deployment.services.sessions.verify(deployment.access_token(other))
    assert verified.standing.session.id == other.id


async def test_without_its_key_a_vault_entry_is_unavailable_and_never_empty(
    deployment: TestDeployment,
) -> None:
    vault = deployment.services.vault
    new = NewToken(
        user=ALICE, token=Secret("token"), expires_at=later(deployment.clock.now(), LONGEST_TIMEOUT)
    )
    saved = await vault.save(APP, new)

    await destroyed(deployment, KeyKind.VAULT)

    with pytest.raises(Unavailable) as refusal:
        await vault.read(APP, saved.id)
    assert refusal.value.code == "key_unavailable"


async def test_without_the_ring_s_record_nothing_is_admitted(deployment: TestDeployment) -> None:
    token = deployment.access_token(await deployment.issue())
    record = deployment.services.keys.deployment
    gone = Change(
        partition=record.key.partition, expects={record.key: record.version}, deletes=[deployment_key()]
    )

    await deployment.services.store.apply(gone)

    with pytest.raises(Unauthenticated):
        await deployment.services.sessions.verify(token)
    with pytest.raises(Unavailable) as refusal:
        await deployment.services.rotating.rotate(DEFAULT_PROJECT, KeyKind.ROOT, by=BY)
    assert refusal.value.code == "deployment_missing"
