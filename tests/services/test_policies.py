"""Policies of projects: what is changed is told in an event, and nobody's change is lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import Initiator
from sessiond.domain.policies import Policy
from sessiond.services.policies import Effective, InvalidPolicy
from tests.deployment import TestDeployment


async def test_an_event_names_what_counts_otherwise(deployment: TestDeployment) -> None:
    policies = deployment.services.policies

    await policies.change(
        DEFAULT_PROJECT,
        lambda _: Policy(grace=timedelta(seconds=5), max_sessions=2),
        by=Initiator("operator"),
    )
    await policies.change(DEFAULT_PROJECT, lambda _: None, by=Initiator("cli"))

    told = [
        (event.by, dict(event.data))
        for _, event in await deployment.services.store.events(after=0, limit=100)
        if event.type is EventType.POLICY_CHANGED
    ]
    assert told == [
        ("operator", {"source": "project", "grace": "5s", "max_sessions": 2}),
        ("cli", {"source": "configuration", "grace": "30s", "max_sessions": None}),
    ]


async def test_the_same_policy_again_changes_nothing(deployment: TestDeployment) -> None:
    policies = deployment.services.policies
    await policies.change(DEFAULT_PROJECT, lambda _: Policy(max_sessions=2), by=Initiator("operator"))
    before = await deployment.services.store.newest_event()

    await policies.change(DEFAULT_PROJECT, lambda present: present.policy, by=Initiator("operator"))

    assert await deployment.services.store.newest_event() == before


async def test_two_changes_at_once_are_both_made(deployment: TestDeployment) -> None:
    policies = deployment.services.policies

    def with_grace(present: Effective) -> Policy:
        return msgspec.structs.replace(present.policy, grace=timedelta(seconds=5))

    def with_limit(present: Effective) -> Policy:
        return msgspec.structs.replace(present.policy, max_sessions=2)

    await asyncio.gather(
        policies.change(DEFAULT_PROJECT, with_grace, by=Initiator("one")),
        policies.change(DEFAULT_PROJECT, with_limit, by=Initiator("other")),
    )

    assert (await policies.get(DEFAULT_PROJECT)).policy == Policy(grace=timedelta(seconds=5), max_sessions=2)


async def test_what_is_no_policy_is_refused_with_every_fault(deployment: TestDeployment) -> None:
    wrong = Policy(grace=timedelta(seconds=301), max_sessions=0, absolute_timeout=timedelta(days=31))

    with pytest.raises(InvalidPolicy) as refusal:
        await deployment.services.policies.change(DEFAULT_PROJECT, lambda _: wrong, by=Initiator("operator"))

    assert [fault.member for fault in refusal.value.faults] == ["grace", "max_sessions", "absolute_timeout"]
