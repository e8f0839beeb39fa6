"""Rotations end nothing, on any node, and what a change would refuse is counted before it is made."""

from __future__ import annotations

from typing import Any

import pytest

from sessiond.domain.errors import Unauthenticated
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import Initiator
from sessiond.domain.keys import Audience, KeyKind, KeyState
from sessiond.services.key_use import Refused
from sessiond.services.keys import Keys
from sessiond.services.rotating import KEY_UNKNOWN
from sessiond.services.token_forms import Form
from sessiond.services.tokens import Tokens
from tests.deployment import (
    ALICE,
    BASE_URL,
    BY,
    WRAPPING_KEY,
    CountedEntropy,
    CountingObserver,
    TestDeployment,
)


async def rotate(deployment: TestDeployment, kind: KeyKind) -> None:
    """Rotate, once everybody knows the successor."""
    deployment.clock.advance(hours=2)
    await deployment.services.rotating.rotate(DEFAULT_PROJECT, kind, by=BY)


async def node(deployment: TestDeployment) -> tuple[Keys, Tokens]:
    """Return another node's ring, as it is now; it learns of nothing by itself."""
    services = deployment.services
    keys = Keys(
        services.store, services.clock, wrapping_key=WRAPPING_KEY, deployment=services.keys.deployment
    )
    return keys, Tokens(keys, CountedEntropy("node"), CountingObserver(), base_url=BASE_URL)


def key(deployment: TestDeployment, kind: KeyKind, state: KeyState) -> str:
    held = deployment.services.keys.ring.held()
    return next(each.name for each in held if each.line.kind is kind and each.state is state)


async def test_a_rotated_root_ends_nothing_and_changes_no_retried_refresh_token(
    deployment: TestDeployment,
) -> None:
    sessions, session = deployment.services.sessions, await deployment.issue()
    first = deployment.refresh_token(session)
    rotated = (await sessions.refresh(first, Form.REFRESH)).session
    answered = deployment.refresh_token(rotated)

    await deployment.services.rotating.rotate(DEFAULT_PROJECT, KeyKind.ROOT, by=BY)
    deployment.clock.advance(seconds=5)
    retried = (await sessions.refresh(first, Form.REFRESH)).session

    assert deployment.refresh_token(retried) == answered


@pytest.mark.parametrize("kind", KeyKind)
async def test_a_node_that_has_not_heard_of_a_rotation_takes_what_a_faster_one_minted(
    deployment: TestDeployment, kind: KeyKind
) -> None:
    _, slow = await node(deployment)
    await rotate(deployment, kind)
    session = await deployment.issue()
    texts = [
        deployment.access_token(session),
        deployment.refresh_token(session),
        deployment.services.tokens.jwt(
            Form.NATIVE_JWT,
            session,
            now=deployment.clock.now(),
            expires_at=session.expires_at,
            first={"client_id": DEFAULT_PROJECT},
        ),
    ]

    assert [slow.recognise(text).session for text in texts] == [session.id] * 3


async def test_a_waiting_rotation_is_carried_out_by_whoever_comes_first(deployment: TestDeployment) -> None:
    rotating = deployment.services.rotating
    before = deployment.services.keys.signing_key(DEFAULT_PROJECT, Audience.NATIVE)
    await rotating.rotate(DEFAULT_PROJECT, KeyKind.SIGNING, by=Initiator("operator"))

    early = await rotating.activate_due()
    deployment.clock.advance(minutes=65)
    due = await rotating.activate_due()
    again = await rotating.activate_due()

    assert (early, due, again) == (False, True, False)
    assert deployment.services.keys.signing_key(DEFAULT_PROJECT, Audience.NATIVE) != before


async def test_two_nodes_that_rotate_at_once_rotate_once(deployment: TestDeployment) -> None:
    rotating = deployment.services.rotating
    deployment.clock.advance(hours=2)

    await rotating.rotate(DEFAULT_PROJECT, KeyKind.ROOT, by=Initiator("one"))
    await rotating.rotate(DEFAULT_PROJECT, KeyKind.ROOT, by=Initiator("other"))

    states = [key.state for key in deployment.services.keys.ring.held() if key.line.kind is KeyKind.ROOT]
    assert sorted(states) == [KeyState.ACTIVE, KeyState.PENDING, KeyState.RETIRED]


async def test_what_was_done_to_keys_is_in_the_events(deployment: TestDeployment) -> None:
    await rotate(deployment, KeyKind.ROOT)
    retired = key(deployment, KeyKind.ROOT, KeyState.RETIRED)
    await deployment.services.rotating.rotate(DEFAULT_PROJECT, KeyKind.VAULT, by=BY, dry_run=True)
    await deployment.services.rotating.compromise(DEFAULT_PROJECT, retired, by=Initiator("operator"))

    told: list[Any] = [
        (event.by, dict(event.data))
        for _, event in await deployment.services.store.events(after=0, limit=100)
        if event.type is EventType.KEYS_CHANGED
    ]
    assert told == [("test", {"rotated": "root"}), ("operator", {"compromised": retired})]


async def test_a_dry_run_counts_what_hangs_on_the_key_and_nothing_else(deployment: TestDeployment) -> None:
    rotating, sessions = deployment.services.rotating, deployment.services.sessions
    held = [await deployment.issue() for _ in range(4)]
    await sessions.revoke(held[0], reason="signed_out", by=BY)
    await rotate(deployment, KeyKind.ROOT)
    moved = await sessions.refresh(deployment.refresh_token(held[1]), Form.REFRESH)
    await sessions.refresh(deployment.refresh_token(moved.session), Form.REFRESH)
    await deployment.issue()
    retired, active = (key(deployment, KeyKind.ROOT, state) for state in (KeyState.RETIRED, KeyState.ACTIVE))

    of_the_former = await rotating.compromise(DEFAULT_PROJECT, retired, by=BY, dry_run=True)
    of_the_present = await rotating.compromise(DEFAULT_PROJECT, active, by=BY, dry_run=True)

    assert of_the_former.refused == Refused(sessions=2)
    assert of_the_present.refused == Refused(sessions=2)


async def test_a_subjects_ended_sessions_are_not_counted(deployment: TestDeployment) -> None:
    await deployment.issue()
    await deployment.services.subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, by=BY)
    active = key(deployment, KeyKind.ROOT, KeyState.ACTIVE)

    foreseen = await deployment.services.rotating.compromise(DEFAULT_PROJECT, active, by=BY, dry_run=True)

    assert foreseen.refused == Refused()


async def test_a_refused_root_is_refused_by_a_node_that_has_not_heard_of_it(
    deployment: TestDeployment,
) -> None:
    services = deployment.services
    token = deployment.access_token(await deployment.issue())
    before = services.keys.deployment, services.keys.ring
    active = key(deployment, KeyKind.ROOT, KeyState.ACTIVE)
    await services.rotating.compromise(DEFAULT_PROJECT, active, by=BY)
    refused_version = services.keys.deployment.version
    services.keys.deployment, services.keys.ring = before  # as a node that has read nothing since

    with pytest.raises(Unauthenticated):
        await services.sessions.verify(token)

    assert services.keys.deployment.version == refused_version


async def test_another_projects_key_is_unknown(deployment: TestDeployment) -> None:
    other = await deployment.services.projects.add("shop", by=BY)
    active = key(deployment, KeyKind.ROOT, KeyState.ACTIVE)

    with pytest.raises(type(KEY_UNKNOWN)):
        await deployment.services.rotating.compromise(other.id, active, by=BY)
