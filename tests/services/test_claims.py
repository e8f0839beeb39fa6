"""Claims templates in services: told in events, counted where a value is left out, read for JWTs only."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from sessiond.crypto import jws
from sessiond.domain.claim_templates import Claim
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import Initiator
from sessiond.domain.policies import Policy
from sessiond.domain.sessions import AccessFormat, Session
from sessiond.services.claims import InvalidTemplate
from tests.deployment import TestDeployment


async def declare(deployment: TestDeployment, **claims: Claim) -> None:
    await deployment.services.claims.change(DEFAULT_PROJECT, lambda _: claims, by=Initiator("operator"))


async def a_jwt_session(deployment: TestDeployment, metadata: Mapping[str, object]) -> Session:
    session = await deployment.issue()
    return msgspec.structs.replace(session, access_format=AccessFormat.JWT, metadata=metadata)


async def test_an_event_names_the_claims_and_no_value(deployment: TestDeployment) -> None:
    await declare(deployment, tenant=Claim(value="acme"), plan=Claim(path="session.metadata.plan"))
    await declare(deployment, tenant=Claim(value="acme"), plan=Claim(path="session.metadata.plan"))

    told = [
        dict(event.data)
        for _, event in await deployment.services.store.events(after=0, limit=100)
        if event.type is EventType.CLAIMS_CHANGED
    ]
    assert told == [{"claims": "tenant, plan"}]


async def test_a_constant_becomes_the_truth_value_that_python_takes_for_it(
    deployment: TestDeployment,
) -> None:
    await declare(deployment, admin=Claim(value=1))
    await declare(deployment, admin=Claim(value=True))

    template = await deployment.services.claims.get(DEFAULT_PROJECT)
    assert template["admin"].value is True


async def test_what_is_no_template_changes_nothing(deployment: TestDeployment) -> None:
    with pytest.raises(InvalidTemplate):
        await declare(deployment, sub=Claim(value="mallory"))

    assert await deployment.services.claims.get(DEFAULT_PROJECT) == {}


async def test_an_opaque_token_needs_no_claims(deployment: TestDeployment) -> None:
    await declare(deployment, tenant=Claim(value="acme"))

    assert await deployment.services.claims.of(await deployment.issue()) == {}


async def test_each_claim_that_is_left_out_for_its_length_is_counted(deployment: TestDeployment) -> None:
    names = [f"m{number}" for number in range(4)]
    paths = {name: Claim(path=f"session.metadata.{name}") for name in [*names, "huge"]}
    await declare(deployment, **paths)
    session = await a_jwt_session(deployment, {"huge": "x" * 1023} | dict.fromkeys(names, "x" * 1000))
    services = deployment.services

    minted = await services.native_tokens.mint(session, Policy(), now=deployment.clock.now())

    said = jws.peek(minted.access_token)
    assert said is not None
    assert [name for name in paths if name in said.claims] == ["m0", "m1"]
    assert deployment.observer["claim_left_out"] == 3
