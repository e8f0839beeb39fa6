"""Tokens of a native session are a function of its row, but for the moment at which to use them."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from sessiond.crypto.tokens import TokenKind
from sessiond.domain.sessions import AccessFormat, Session
from sessiond.services.native_tokens import Minted
from tests.deployment import TestDeployment


async def minted(deployment: TestDeployment, session: Session) -> Minted:
    services = deployment.services
    return await services.native_tokens.mint(session, services.rules.policy, now=deployment.clock.now())


async def test_a_repeated_answer_has_the_same_refresh_token_and_a_moment_of_its_own(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()

    first, second = await minted(deployment, session), await minted(deployment, session)

    assert first.refresh_token == second.refresh_token
    assert first.refresh_after != second.refresh_after


async def test_nobody_is_told_to_refresh_after_the_session_has_ended(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    deployment.clock.advance(days=30, seconds=-20)

    near_the_end = await minted(deployment, session)
    last_second = await minted(
        deployment, msgspec.structs.replace(session, expires_at=deployment.clock.now() + 1000)
    )

    assert near_the_end.expires_in == timedelta(seconds=20).seconds
    assert 10 <= near_the_end.refresh_after <= 18
    assert last_second.refresh_after == last_second.expires_in == 1


async def test_what_an_access_token_says_is_kept_and_a_refresh_token_s_text_is_not(
    deployment: TestDeployment,
) -> None:
    tokens, given = deployment.services.tokens, await minted(deployment, await deployment.issue())

    access = [tokens.recognise(given.access_token) for _ in range(2)]
    refresh = [tokens.recognise(given.refresh_token) for _ in range(2)]

    assert access[0] is access[1]
    assert refresh[0] == refresh[1]
    assert refresh[0] is not refresh[1]


async def test_many_opaque_tokens_push_out_no_signature_that_was_checked(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    jwt = msgspec.structs.replace(session, access_format=AccessFormat.JWT)
    tokens, signed = deployment.services.tokens, (await minted(deployment, jwt)).access_token
    checked = tokens.recognise(signed)

    for second in range(20_001):
        tokens.recognise(tokens.opaque(TokenKind.ACCESS, session, expires_at=second * 1000))

    assert tokens.recognise(signed) is checked
