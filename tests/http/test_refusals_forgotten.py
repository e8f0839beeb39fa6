"""A refusal that is a constant keeps no frames: they would grow with every request, and hold what was presented."""

from __future__ import annotations

import gc
import os

import httpx
import pytest

from sessiond.crypto.secrets import Secret
from sessiond.crypto.tokens import Mint, TokenKind
from sessiond.domain.errors import Refusal
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId
from sessiond.domain.sessions import Client
from sessiond.http.app import App
from sessiond.http.discovery import discover
from sessiond.http.edge import Edge
from tests.deployment import BY, SERVER_KEY, TestDeployment

VAULT = "/api/v1/session-storage"
STACK = {"x-stack-project-id": DEFAULT_PROJECT, "x-stack-access-type": "client"}


class Door:
    """Every dialect over a deployment in memory, and the credentials to knock with."""

    def __init__(self, deployment: TestDeployment) -> None:
        self.deployment = deployment
        edge = Edge(login_url="https://example.test/login")
        self._app = App(discover(deployment.services, edge), edge=edge, clock=deployment.clock)

    async def ask(self, method: str, path: str, headers: dict[str, str]) -> int:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http:
            return (await http.request(method, path, headers=headers)).status_code

    async def bearer(self) -> str:
        return f"Bearer {self.deployment.access_token(await self.deployment.issue())}"

    async def pin_access_token(self) -> str:
        services = self.deployment.services
        await services.pins.add_user(DEFAULT_PROJECT, "bob", Secret("2580"), by=BY)
        signed_in = await services.pin_sign_in.login(
            DEFAULT_PROJECT, "bob", Secret("2580"), client=Client(address="127.0.0.1")
        )
        return signed_in.access_token.text.reveal()


@pytest.fixture
async def door(deployment: TestDeployment) -> Door:
    return Door(deployment)


@pytest.fixture
async def deployment() -> TestDeployment:
    return await TestDeployment.born()


def token_of_an_unknown_key() -> str:
    return Mint(TokenKind.ACCESS, 0, os.urandom(32)).token(
        session=SessionId(os.urandom(16)),
        nonce=os.urandom(16),
        generation=0,
        exp=2**32 - 1,
    )


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    for each in gc.get_objects():
        if isinstance(each, Refusal):
            each.forget_where()


def remembering() -> list[str]:
    """Return the codes of the refusals that know where they were raised, or what they were raised after."""
    kept = [each for each in gc.get_objects() if isinstance(each, Refusal)]
    return [each.code for each in kept if each.__traceback__ is not None or each.__context__ is not None]


async def test_a_token_of_an_unknown_key(door: Door) -> None:
    unknown = {"authorization": f"Bearer {token_of_an_unknown_key()}"}

    assert await door.ask("GET", "/v1/session", unknown) == 401
    assert await door.ask("GET", "/v1/verify", unknown | {"accept": "text/html"}) == 302
    assert remembering() == []


async def test_a_jwt_that_is_tried_in_several_forms(door: Door) -> None:
    cookie = {"cookie": f"accessToken={await door.pin_access_token()}"}

    assert await door.ask("GET", "/v1/session", cookie) == 200
    assert remembering() == []


async def test_a_cookie_that_does_not_pass_beside_a_bearer_that_does(door: Door) -> None:
    headers = {"authorization": await door.bearer(), "cookie": "sid=junk"}

    assert await door.ask("GET", "/v1/session", headers) == 200
    assert remembering() == []


async def test_a_sign_out_of_nobody(door: Door) -> None:
    assert await door.ask("POST", "/api/auth/logout", {"authorization": "Bearer junk"}) == 200
    assert remembering() == []


async def test_a_user_who_asks_where_a_server_key_would_do(door: Door) -> None:
    assert await door.ask("GET", VAULT, {"authorization": await door.bearer()}) == 200
    assert remembering() == []


async def test_a_refusal_that_a_dialect_replaced(door: Door) -> None:
    junk = {"x-stack-access-token": "junk"}

    assert await door.ask("GET", "/api/v1/users/me", STACK | junk) == 401
    assert await door.ask("POST", "/auth/refresh", {"cookie": "refreshToken=junk"}) == 401
    assert remembering() == []


async def test_what_no_key_can_be(door: Door) -> None:
    headers = STACK | {"x-stack-access-type": "server", "x-stack-secret-server-key": SERVER_KEY}

    await door.ask("GET", "/api/v1/users", headers | {"authorization": "Bearer "})
    await door.ask(
        "GET", "/api/v1/users", STACK | {"x-stack-access-type": "admin", "authorization": "Bearer "}
    )
    assert remembering() == []


async def test_an_expired_access_token_at_a_pin_users_sign_out(door: Door) -> None:
    services = door.deployment.services
    await services.pins.add_user(DEFAULT_PROJECT, "bob", Secret("2580"), by=BY)
    signed_in = await services.pin_sign_in.login(
        DEFAULT_PROJECT, "bob", Secret("2580"), client=Client(address="127.0.0.1")
    )
    access, refresh = (t.text.reveal() for t in (signed_in.access_token, signed_in.refresh_token))
    door.deployment.clock.advance(hours=1)

    cookies = {"cookie": f"accessToken={access}; refreshToken={refresh}"}
    assert await door.ask("POST", "/auth/logout", cookies) == 200
    assert remembering() == []


async def test_a_pin_users_sign_out_with_another_cookie_that_does_not_pass(door: Door) -> None:
    cookies = {"cookie": f"accessToken={await door.pin_access_token()}; refreshToken=junk"}

    assert await door.ask("POST", "/auth/logout", cookies) == 200
    assert remembering() == []
