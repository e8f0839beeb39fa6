"""Rate limits as clients meet them: what counts, by which key, and what every answer says about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from sessiond.domain.rules import LimitRules, Rules
from sessiond.http.app import App
from sessiond.http.discovery import discover
from sessiond.http.edge import Edge
from tests.deployment import MASTER_TOKEN, SERVER_KEY, TestDeployment
from tests.dialects.stack_calls import CLIENT, SERVER
from tests.server_process import ServerProcess

KEY = {"Authorization": f"Bearer {SERVER_KEY}"}
MASTER = {"Authorization": f"Bearer {MASTER_TOKEN}"}
HOME, OFFICE = "203.0.113.7", "203.0.113.8"
SIGN_UP = "/api/v1/auth/anonymous/sign-up"
LIMITS = LimitRules(by_address=3, by_session=3, sign_ups_by_address=2)


class House:
    """Every dialect over a deployment in memory, asked from one address or another."""

    def __init__(self, deployment: TestDeployment, *, edge: Edge | None = None) -> None:
        edge = edge or Edge()
        self.deployment = deployment
        self.app = App(
            discover(deployment.services, edge),
            edge=edge,
            clock=deployment.clock,
            quotas=deployment.services.rate_limits,
        )

    async def ask(self, method: str, path: str, *, address: str = HOME, **more: Any) -> httpx.Response:  # noqa: ANN401  what httpx takes
        """Ask from *address*."""
        transport = httpx.ASGITransport(app=self.app, client=(address, 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
            return await http.request(method, path, **more)

    async def tokens(self) -> dict[str, Any]:
        """Return the answer to a create with the server key."""
        answer = await self.ask("POST", "/v1/sessions", headers=KEY, json={"subject": "alice"})
        assert answer.status_code == 201
        assert not limits_told(answer)
        body: dict[str, Any] = answer.json()
        return body

    async def refresh(self, token: str | None = None, **more: Any) -> httpx.Response:  # noqa: ANN401  the same
        """Refresh, by default with a token of a new session."""
        token = token or (await self.tokens())["refresh_token"]
        return await self.ask("POST", "/v1/session/refresh", json={"refresh_token": token}, **more)


def limits_told(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("ratelimit")}


async def a_house(limits: LimitRules = LIMITS, *, edge: Edge | None = None) -> House:
    return House(await TestDeployment.born(Rules(limits=limits)), edge=edge)


@pytest.fixture
async def house() -> House:
    """A house with small limits."""
    return await a_house()


async def test_every_answer_that_counts_says_what_is_left(house: House) -> None:
    first, second = await house.refresh(), await house.refresh("sdr1_junk")
    third = await house.refresh()

    assert first.status_code == 200
    reset = first.headers["ratelimit-reset"]
    assert limits_told(first) == {
        "ratelimit-policy": '"address";q=3;w=60',
        "ratelimit": f'"address";r=2;t={reset}',
        "ratelimit-limit": "3",
        "ratelimit-remaining": "2",
        "ratelimit-reset": reset,
    }
    assert 1 <= int(reset) <= 60
    assert (second.status_code, limits_told(second)) == (
        401,
        {},
    )  # nobody's token: nothing is counted or stored
    assert limits_told(third)["ratelimit-remaining"] == "1"


async def test_one_too_many_is_refused_and_told_when_to_come_back(house: House) -> None:
    tokens = await house.tokens()
    for _ in range(3):
        assert (await house.refresh()).status_code == 200

    refused = await house.refresh(tokens["refresh_token"])

    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.json()["code"], refused.json()["limit"]) == ("too_many_requests", "address")
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
    assert refused.headers["ratelimit-remaining"] == "0"
    house.deployment.clock.advance(seconds=int(refused.headers["retry-after"]))
    assert (await house.refresh(tokens["refresh_token"])).status_code == 200  # the refusal used nothing up


async def test_addresses_count_apart_and_ipv6_by_its_network(house: House) -> None:
    for _ in range(3):
        await house.refresh(address="2001:db8:1:2::1")

    assert (await house.refresh(address="2001:db8:1:2:ffff::9")).status_code == 429
    assert (await house.refresh(address="2001:db8:1:3::1")).status_code == 200
    assert (await house.refresh(address=OFFICE)).status_code == 200


async def test_the_oauth_endpoints_count_with_the_native_refresh_unless_a_server_key_is_shown(
    house: House,
) -> None:
    for _ in range(3):
        await house.refresh()
    token = (await house.tokens())["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}

    refused = await house.ask("POST", "/oauth/token", data=form)
    not_revoked = await house.ask("POST", "/oauth/revoke", data={"token": token})
    by_application = await house.ask("POST", "/oauth/token", data=form, headers=KEY)
    revoked = await house.ask("POST", "/oauth/revoke", data={"token": token}, headers=KEY)

    assert (refused.status_code, not_revoked.status_code) == (429, 429)
    assert refused.json()["code"] == "too_many_requests"
    assert int(refused.headers["retry-after"]) > 0
    assert (by_application.status_code, revoked.status_code) == (200, 200)
    assert not limits_told(by_application)


async def test_a_session_s_own_changes_count_by_session_wherever_they_come_from(house: House) -> None:
    mine, other = await house.tokens(), await house.tokens()
    path = f"/v1/me/sessions/{mine['session']['id']}"

    async def rename(tokens: dict[str, Any], address: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        return await house.ask(
            "PATCH", path, headers=headers, json={"client": {"name": "phone"}}, address=address
        )

    answers = [await rename(mine, address) for address in (HOME, OFFICE, HOME, OFFICE)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert (await rename(other, HOME)).status_code == 200


async def test_account_switches_count_by_subject_for_each_makes_a_new_session(house: House) -> None:
    answers = []
    for _ in range(4):
        tokens = await house.tokens()
        own = {"Authorization": f"Bearer {tokens['access_token']}"}
        asked = {"session": tokens["session"]["id"]}
        answers.append(await house.ask("POST", "/v1/session/switch", headers=own, json=asked))

    assert [answer.json()["code"] for answer in answers] == ["account_unknown"] * 3 + ["too_many_requests"]


async def test_verifying_listing_and_signing_out_are_never_limited() -> None:
    house = await a_house(LimitRules(by_address=1, by_session=1, by_server_key=1))
    body = (await house.ask("POST", "/v1/sessions", headers=KEY, json={"subject": "alice"})).json()
    own = {"Authorization": f"Bearer {body['access_token']}"}

    answers = []
    for _ in range(5):
        answers += [
            await house.ask("GET", "/v1/session", headers=own),
            await house.ask("GET", "/v1/verify", headers=own),
            await house.ask("GET", "/v1/me/sessions", headers=own),
            await house.ask("POST", "/oauth/introspect", headers=KEY, data={"token": body["access_token"]}),
        ]
    signed_out = await house.ask("DELETE", "/v1/session", headers=own)

    assert [answer.status_code for answer in answers] == [200] * 20
    assert not any(limits_told(answer) for answer in answers)
    assert signed_out.status_code == 204


async def test_server_keys_are_exempt_unless_a_limit_is_set_for_them(house: House) -> None:
    for _ in range(10):
        await house.tokens()

    strict = await a_house(LimitRules(by_server_key=2))
    answers = [
        await strict.ask("POST", "/v1/sessions", headers=KEY, json={"subject": "alice"}) for _ in range(3)
    ]
    by_operator = await strict.ask("GET", "/v1/sessions?subject=alice", headers=MASTER)

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[0].headers["ratelimit-policy"] == '"server_key";q=2;w=60'
    assert by_operator.status_code == 200


async def test_loopback_is_not_counted(house: House) -> None:
    for address in ("127.0.0.1", "::1"):
        for _ in range(5):
            assert not limits_told(await house.refresh(address=address))


async def test_behind_a_trusted_proxy_the_client_counts_not_the_proxy() -> None:
    house = await a_house(edge=Edge(trusted_proxies=["10.0.0.1"]))

    async def by(client: str, *, proxy: str) -> int:
        answer = await house.refresh(address=proxy, headers={"X-Forwarded-For": client})
        return answer.status_code

    assert [await by(HOME, proxy="10.0.0.1") for _ in range(4)] == [200, 200, 200, 429]
    assert await by(OFFICE, proxy="10.0.0.1") == 200
    untrusted = [await by(f"198.51.100.{n}", proxy="192.0.2.9") for n in range(4)]
    assert untrusted == [200, 200, 200, 429]


async def test_anonymous_sign_ups_count_by_address_unless_a_server_key_is_shown(house: House) -> None:
    answers = [await house.ask("POST", SIGN_UP, headers=CLIENT) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[2].headers["retry-after"]) <= 3600
    assert (await house.ask("POST", SIGN_UP, headers=SERVER)).status_code == 200
    assert (await house.ask("POST", SIGN_UP, headers=CLIENT, address=OFFICE)).status_code == 200


async def test_the_document_shows_where_a_limit_may_refuse_and_what_it_says(house: House) -> None:
    paths = (await house.ask("GET", "/openapi.json")).json()["paths"]

    def refused(method: str, path: str) -> Any:  # noqa: ANN401  a piece of JSON
        return paths[path][method]["responses"].get("429")

    for method, path in (
        ("post", "/v1/session/refresh"),
        ("post", "/oauth/token"),
        ("post", "/oauth/revoke"),
        ("patch", "/v1/me/sessions/{id}"),
        ("post", "/v1/sessions"),
        ("post", SIGN_UP),
    ):
        assert {"Retry-After", "RateLimit", "RateLimit-Policy", "RateLimit-Reset"} <= set(
            refused(method, path)["headers"]
        )
    for method, path in (("get", "/v1/session"), ("get", "/v1/verify"), ("post", "/oauth/introspect")):
        assert refused(method, path) is None


def test_a_real_server_limits_by_the_settings(tmp_path: Path) -> None:
    settings = {"SESSIOND_LIMITS_BY_ADDRESS": "4", "SESSIOND_TRUSTED_PROXIES": "127.0.0.1"}
    with (
        ServerProcess.started(tmp_path, settings=settings) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        body = http.post("/v1/sessions", headers=server.authorization, json={"subject": "alice"}).json()
        answers = [
            http.post(
                "/v1/session/refresh",
                json={"refresh_token": body["refresh_token"]},
                headers={"X-Forwarded-For": HOME},
            )
            for _ in range(9)  # wherever a window ends: one of two windows has more than four
        ]

    codes = [answer.status_code for answer in answers]
    assert codes[0] == 200
    assert 429 in codes
