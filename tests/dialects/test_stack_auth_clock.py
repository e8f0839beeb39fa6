"""Stack Auth: what only time, a setting or a disabled user brings about; over the services, with a set clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import msgspec
import pytest

from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.policies import Policy, Preset
from sessiond.domain.rules import Rules, StackRules
from sessiond.http.app import App
from sessiond.http.dialects.stack_auth import dialect
from sessiond.http.edge import Edge
from tests.deployment import BY, NOON, TestDeployment
from tests.dialects.stack_calls import CLIENT, PROJECT, SERVER, SESSIONS, Tokens, claims_of, plain, refusal

GONE = (401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
DAY = 86_400_000


class Clocked:
    """The dialect over a deployment in memory."""

    def __init__(self, deployment: TestDeployment, http: httpx.AsyncClient) -> None:
        self.deployment = deployment
        self.clock = deployment.clock
        self.http = http

    async def signed_in(self, **members: object) -> Tokens:
        user = (await self.http.post("/api/v1/users", headers=SERVER, json={})).json()["id"]
        body = (await self.http.post(SESSIONS, headers=SERVER, json={"user_id": user, **members})).json()
        return Tokens(user, body["access_token"], body["refresh_token"])

    async def me(self, access: str) -> httpx.Response:
        return await self.http.get("/api/v1/users/me", headers={**CLIENT, "x-stack-access-token": access})

    async def refresh(self, token: str) -> httpx.Response:
        headers = {**CLIENT, "x-stack-refresh-token": token}
        return await self.http.post(f"{SESSIONS}/current/refresh", headers=headers)

    async def life_of(self, tokens: Tokens) -> timedelta:
        standing = await self.deployment.services.sessions.verify(tokens.access)
        return timedelta(milliseconds=standing.session.expires_at - standing.session.created_at)


async def clocked(rules: Rules | None = None) -> Clocked:
    deployment = await TestDeployment.born(rules)
    edge = Edge()
    app = App([dialect(deployment.services, edge)], edge=edge, clock=deployment.clock)
    transport = httpx.ASGITransport(app=app)
    return Clocked(deployment, httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000"))


@pytest.fixture
async def stack() -> AsyncIterator[Clocked]:
    """The dialect with the usual rules."""
    made = await clocked()
    async with made.http:
        yield made


async def test_an_access_token_expires_after_ten_minutes_and_says_when(stack: Clocked) -> None:
    tokens = await stack.signed_in()
    stack.clock.advance(minutes=9, seconds=59)
    assert (await stack.me(tokens.access)).status_code == 200

    stack.clock.advance(seconds=2)
    answer = await stack.me(tokens.access)

    assert refusal(answer) == (401, "ACCESS_TOKEN_EXPIRED")
    assert answer.json()["details"] == {
        "expired_at_millis": NOON + 600_000,
        "project_id": PROJECT,
        "user_id": tokens.user,
        "refresh_token_id": tokens.session,
    }
    assert answer.json()["error"] == (
        "Access token has expired. Please refresh it and try again. (The access token expired at "
        f"2027-01-15T08:10:00.000Z.) Project ID: {PROJECT}. User ID: {tokens.user}. "
        f"Refresh token ID: {tokens.session}.\n\nDebug info: Most likely, you fetched the access token before it "
        "expired (for example, in a server component, pre-rendered page, or on page load), but then didn't refresh it "
        "before it expired. If this is the case, and you're using the SDK, make sure you call getAccessToken() every "
        "time you need to use the access token. If you're not using the SDK, make sure you refresh the access token "
        "with the refresh endpoint."
    )
    fresh = (await stack.refresh(tokens.refresh)).json()["access_token"]
    assert (await stack.me(fresh)).status_code == 200


async def test_a_session_of_five_seconds_refreshes_for_five_seconds(stack: Clocked) -> None:
    tokens = await stack.signed_in(expires_in_millis=5000)

    refreshed = await stack.refresh(tokens.refresh)
    assert refreshed.status_code == 200
    assert (await stack.me(refreshed.json()["access_token"])).status_code == 200

    stack.clock.advance(milliseconds=5001)
    assert refusal(await stack.refresh(tokens.refresh)) == GONE
    assert refusal(await stack.me(refreshed.json()["access_token"])) == (401, "ACCESS_TOKEN_EXPIRED")


async def test_a_token_never_promises_less_than_the_npm_client_takes(stack: Clocked) -> None:
    tokens = await stack.signed_in(expires_in_millis=60_000)
    assert claims_of(tokens.access)["exp"] == NOON // 1000 + 60

    stack.clock.advance(seconds=55)
    claims = claims_of((await stack.refresh(tokens.refresh)).json()["access_token"])

    assert claims["exp"] - claims["iat"] == 30


async def test_refreshing_extends_nothing(stack: Clocked) -> None:
    tokens = await stack.signed_in(expires_in_millis=2 * DAY)
    for _ in range(3):
        stack.clock.advance(hours=15)
        assert (await stack.refresh(tokens.refresh)).status_code == 200

    stack.clock.advance(hours=4)

    assert refusal(await stack.refresh(tokens.refresh)) == GONE


async def test_the_usual_lives_are_thirty_days_and_an_hour(stack: Clocked) -> None:
    assert await stack.life_of(await stack.signed_in()) == timedelta(days=30)
    assert await stack.life_of(await stack.signed_in(is_impersonation=True)) == timedelta(hours=1)
    assert await stack.life_of(await stack.signed_in(expires_in_millis=365 * DAY)) == timedelta(days=365)


async def test_the_longest_life_of_the_settings_cuts_what_is_asked_for() -> None:
    stack = await clocked(Rules(stack=StackRules(max_lifetime=timedelta(days=7))))

    assert await stack.life_of(await stack.signed_in(expires_in_millis=365 * DAY)) == timedelta(days=7)
    assert await stack.life_of(await stack.signed_in()) == timedelta(days=7)


async def test_a_stricter_policy_cuts_what_nobody_asked_for() -> None:
    policy = Policy(preset=Preset.AAL2, absolute_timeout=timedelta(hours=8), idle_timeout=timedelta(hours=1))
    stack = await clocked(Rules(policy=policy))

    assert await stack.life_of(await stack.signed_in()) == timedelta(hours=8)
    assert await stack.life_of(await stack.signed_in(is_impersonation=True)) == timedelta(hours=1)


async def test_an_impersonation_is_audited_with_who_and_why(stack: Clocked) -> None:
    tokens = await stack.signed_in(is_impersonation=True)

    events = [event for _, event in await stack.deployment.services.store.events(after=0, limit=100)]

    (issued,) = [event for event in events if event.type is EventType.SESSION_IMPERSONATED]
    assert (issued.subject, issued.by) == (tokens.user, "server_key:seeded")
    assert issued.data["actor"] == "seeded"
    assert issued.data["reason"] == "Stack Auth API"


async def test_refreshes_are_counted_and_write_no_events(stack: Clocked) -> None:
    tokens = await stack.signed_in()
    store = stack.deployment.services.store
    before = await store.newest_event()

    await stack.refresh(tokens.refresh)
    form = {"grant_type": "refresh_token", "client_id": PROJECT, "refresh_token": tokens.refresh}
    await stack.http.post("/api/v1/auth/oauth/token", data=form)

    assert stack.deployment.observer["refresh"] == 2
    assert await store.newest_event() == before


async def test_a_disabled_user_gets_no_session_and_keeps_none(stack: Clocked) -> None:
    tokens = await stack.signed_in()
    await stack.deployment.services.subjects.disable(DEFAULT_PROJECT, SubjectId(tokens.user), by=BY)

    refused = await stack.http.post(SESSIONS, headers=SERVER, json={"user_id": tokens.user})

    assert plain(refused) == (403, "The subject is disabled.")
    assert refusal(await stack.refresh(tokens.refresh)) == GONE
    assert refusal(await stack.me(tokens.access)) == (401, "ACCESS_TOKEN_EXPIRED")


async def test_a_profile_of_other_shape_harms_nothing(stack: Clocked) -> None:
    tokens = await stack.signed_in()
    odd = {
        "primary_email": 5,
        "primary_email_verified": "yes",
        "display_name": [],
        "client_metadata": {"a": 1},
    }
    await stack.deployment.services.subjects.change(
        DEFAULT_PROJECT,
        SubjectId(tokens.user),
        lambda old: msgspec.structs.replace(old, profile=odd, name="x" * 5000),
        by=BY,
    )

    refreshed = (await stack.refresh(tokens.refresh)).json()["access_token"]
    user = (await stack.me(refreshed)).json()

    assert (user["primary_email"], user["primary_email_verified"], user["client_metadata"]) == (
        None,
        False,
        {"a": 1},
    )
    assert claims_of(refreshed)["name"] == "x" * 256


async def test_a_store_that_does_not_answer_is_503_and_never_a_refused_token(stack: Clocked) -> None:
    tokens = await stack.signed_in()
    await stack.deployment.services.store.close()

    for answer in (await stack.me(tokens.access), await stack.refresh(tokens.refresh)):
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
