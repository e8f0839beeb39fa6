"""A whole deployment in memory: the services over the memory engine, with a set clock and counted entropy."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

from sessiond.crypto.secrets import Secret
from sessiond.crypto.tokens import TokenKind
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import Instant, later, millis
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Session, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.bundle import Services
from sessiond.services.keys import Keys
from sessiond.services.orders import Order
from sessiond.services.ports import Store
from sessiond.services.recovery import Birth, make_deployment
from sessiond.storage.engine import Role
from sessiond.storage.engines.memory import open_store

ALICE = SubjectId("alice")
BY = Initiator("test")
"""Whom events name for what a test does."""

SERVER_KEY = "test-server-key-0123456789abcdefghijklmnop"
MASTER_TOKEN = "test-master-token-0123456789abcdefghijkl"
WRAPPING_KEY = bytes(range(32))
NOON = 1_800_000_000_000
BASE_URL = "http://127.0.0.1:8000"


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self, now: Instant = NOON) -> None:
        self._now = now
        self._before_step: Instant = 0

    def now(self) -> Instant:
        """Return the present instant."""
        return self._now

    def advance(self, **duration: float) -> None:
        """Move on by `timedelta(**duration)`."""
        self._now += millis(timedelta(**duration))

    def step(self, **duration: float) -> None:
        """Be set, forward or back, by `timedelta(**duration)`; a step is noticed when it is over five seconds."""
        step = millis(timedelta(**duration))
        if abs(step) > 5000:
            self._before_step = self._now
        self._now += step

    def stepped_since(self, instant: Instant) -> bool:
        """Tell whether the clock was set after *instant*; the hour after which it is forgotten is the real one's."""
        return instant <= self._before_step


class CountedEntropy:
    """Entropy that is the same in every run, and never the same twice in one."""

    def __init__(self, seed: str = "sessiond") -> None:
        self._seed = seed
        self._drawn = 0

    def bytes(self, count: int) -> bytes:
        """Return *count* bytes."""
        blocks = b""
        while len(blocks) < count:
            self._drawn += 1
            blocks += sha256(f"{self._seed}|{self._drawn}".encode()).digest()
        return blocks[:count]


class CountingObserver(Counter[str]):
    """Counts what services observe."""

    def count(self, what: str) -> None:
        """Count one *what*."""
        self[what] += 1


class KeptInMemory:
    """Keeps the master token that a rotation made."""

    def __init__(self) -> None:
        self.token: Secret | None = None

    @contextlib.contextmanager
    def replacing(self, token: Secret) -> Iterator[None]:
        """Replace the kept token once the body has succeeded."""
        yield
        self.token = token


class TestDeployment:
    """Services to test, and the knobs that a test turns."""

    __test__ = False

    def __init__(self, services: Services, clock: SetClock, observer: CountingObserver) -> None:
        self.services = services
        self.clock = clock
        self.observer = observer

    @classmethod
    async def born(
        cls,
        rules: Rules | None = None,
        *,
        store: Store | None = None,
        clock: SetClock | None = None,
        seed: str = "sessiond",
    ) -> TestDeployment:
        """Make a deployment over *store* (a fresh memory engine if none is given), or join the one that is there.

        Nodes of one deployment need seeds of their own.
        """
        clock, entropy, observer = clock or SetClock(), CountedEntropy(seed), CountingObserver()
        store = store or await open_store("memory://", role=Role.SERVER)
        birth = Birth(
            wrapping_key=WRAPPING_KEY,
            server_key=Secret(SERVER_KEY),
            seeded=True,
            master_token=Secret(MASTER_TOKEN),
        )
        deployment = await make_deployment(store, clock, entropy, birth)
        keys = Keys(store, clock, wrapping_key=WRAPPING_KEY, deployment=deployment)
        services = Services(
            store=store,
            keys=keys,
            clock=clock,
            entropy=entropy,
            observer=observer,
            keeper=KeptInMemory(),
            rules=rules or Rules(),
            base_url=BASE_URL,
        )
        return cls(services, clock, observer)

    async def issue(self, subject: SubjectId = ALICE, *, rotates: bool = True) -> Session:
        """Issue an ordinary session."""
        issued = await self.services.issuing.issue(
            Order(
                project=DEFAULT_PROJECT,
                subject=subject,
                session_kind=SessionKind.TOKENS,
                by=BY,
                create=SubjectKind.USER,
                rotates=rotates,
            )
        )
        return issued.session

    def access_token(self, session: Session) -> str:
        """Return the access token of the session's current generation."""
        lifetime = self.services.rules.policy.access_token_lifetime
        expires_at = min(later(self.clock.now(), lifetime), session.expires_at)
        return self.services.tokens.opaque(TokenKind.ACCESS, session, expires_at=expires_at)

    def refresh_token(self, session: Session) -> str:
        """Return the refresh token of the session's current generation."""
        return self.services.tokens.opaque(TokenKind.REFRESH, session, expires_at=session.expires_at)
