"""The door of a deployment in memory, at which people with names and PINs knock."""

from __future__ import annotations

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Refusal, Unauthenticated
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.records import Kind
from sessiond.domain.rules import PinRules, Rules
from sessiond.domain.sessions import Client
from sessiond.services.pin_sign_in import SignedIn
from sessiond.services.ports import Selection, Store
from tests.deployment import BY, TestDeployment

HOME, AWAY = "192.0.2.10", "203.0.113.77"
PIN = "0123"
WRONG = "9999"
FEW = PinRules(account_closes_after=8, account_attempts_per_hour=6, address_free_attempts=7)
"""Smaller numbers than the contract's, whose own are tested in the domain."""


class Door:
    """Knocks with names and PINs, from addresses; a refusal is told by its code."""

    def __init__(self, deployment: TestDeployment) -> None:
        self.deployment = deployment
        self.clock = deployment.clock
        self.pins = deployment.services.pins
        self.sign_in = deployment.services.pin_sign_in
        self.store: Store = deployment.services.store

    @classmethod
    async def with_alice(cls, rules: PinRules | None = None, *, store: Store | None = None) -> Door:
        """Return the door of a deployment where alice has the PIN 0123."""
        door = cls(await TestDeployment.born(Rules(pin=rules or PinRules()), store=store))
        await door.pins.add_user(DEFAULT_PROJECT, "Alice", Secret(PIN), by=BY)
        return door

    async def login(
        self, name: str = "alice", pin: str = PIN, *, address: str = HOME, known: str | None = None
    ) -> SignedIn:
        """Sign in."""
        client = Client(address=address, user_agent="till/1.0")
        return await self.sign_in.login(DEFAULT_PROJECT, name, Secret(pin), client=client, known_client=known)

    async def knock(
        self, name: str = "alice", pin: str = PIN, *, address: str = HOME, known: str | None = None
    ) -> str:
        """Try to sign in, and return `in` or the refusal's code."""
        try:
            await self.login(name, pin, address=address, known=known)
        except Refusal as refusal:
            return refusal.code
        return "in"

    async def fail(
        self, times: int, name: str = "alice", *, address: str = HOME, known: str | None = None
    ) -> None:
        """Fail so many times, each of them looked at."""
        outcomes = [await self.knock(name, WRONG, address=address, known=known) for _ in range(times)]
        assert outcomes == ["invalid_credentials"] * times

    async def besiege(self, times: int, name: str = "alice") -> None:
        """Fail so many times, each from another address."""
        for number in range(times):
            await self.fail(1, name, address=f"198.51.{number // 250}.{number % 250}")

    async def events(self, what: EventType) -> list[Event]:
        """Return the events of one type."""
        return [event for _, event in await self.store.events(after=0, limit=10_000) if event.type is what]

    async def counters(self) -> int:
        """Return how many counters are stored."""
        return await self.store.count(Selection(kind=Kind.ATTEMPTS))


async def verdict(door: Door, text: str) -> str:
    """Verify a token, and return `live` or the refusal's code."""
    try:
        await door.deployment.services.sessions.verify(text)
    except Unauthenticated as refusal:
        return refusal.code
    return "live"


def access(signed_in: SignedIn) -> str:
    """Return the access token."""
    return signed_in.access_token.text.reveal()


def refresh(signed_in: SignedIn) -> str:
    """Return the refresh token."""
    return signed_in.refresh_token.text.reveal()
