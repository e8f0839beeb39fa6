"""Keys of the ring: their states, what each state may do, and what it may become.

pending → active → retired → destroyed; from any of them but the last, compromised. An active key mints and
verifies, a retired one verifies only. A pending one verifies, too, but mints nothing: every node and whoever
caches a key set knows it before its first use. The others are refused at once.

Of each line (a project's roots, its signing keys for one audience, its vault keys) one key is active and one
pending; a rotation hands over from the one to the other.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any, NamedTuple, Self

import msgspec

from sessiond.domain.errors import StateConflict
from sessiond.domain.ids import ProjectId
from sessiond.domain.instants import Instant, later

KNOWN_BEFORE_USE = timedelta(minutes=1)
"""How long a key is pending at least, so that every node has it: they read the ring again each second."""

KEY_SETS_CACHED = timedelta(minutes=5)
"""How long others may keep the native key set."""

LONGEST_KEY_SETS_CACHED = timedelta(hours=1)
"""How long others may keep a key set of Stack Auth's API, whose contract says so."""

PUBLISHED_BEFORE_USE = LONGEST_KEY_SETS_CACHED + timedelta(minutes=5)
"""How long a signing key is pending at least, so that no cached key set is without it when it signs."""

LONGEST_JWT = timedelta(hours=24)
"""How long a JWT of an access token lives at most: so long a retired signing key is kept."""

SETTLED_AFTER = timedelta(hours=1)
"""How long after its retirement no node can still mint under a key, with much to spare."""

FORGOTTEN_AFTER = timedelta(days=90)
"""How long a destroyed key is listed."""


class KeyState(enum.StrEnum):
    """Where a key stands in its life."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRED = "retired"
    DESTROYED = "destroyed"
    COMPROMISED = "compromised"


class Audience(enum.StrEnum):
    """Whose JWTs a signing key signs; each has its own keys, so that nobody trusts more than they must."""

    NATIVE = "native"
    STACK = "stack"
    STACK_RESTRICTED = "stack.restricted"
    STACK_ANONYMOUS = "stack.anonymous"


class KeyKind(enum.StrEnum):
    """What a key is for."""

    ROOT = "root"
    SIGNING = "signing"
    VAULT = "vault"


class Line(NamedTuple):
    """The keys that follow each other; *audience* None but for signing keys."""

    kind: KeyKind
    project: ProjectId
    audience: Audience | None = None


_SUCCESSORS: dict[KeyState, frozenset[KeyState]] = {
    KeyState.PENDING: frozenset({KeyState.ACTIVE, KeyState.DESTROYED, KeyState.COMPROMISED}),
    KeyState.ACTIVE: frozenset({KeyState.RETIRED, KeyState.COMPROMISED}),
    KeyState.RETIRED: frozenset({KeyState.DESTROYED, KeyState.COMPROMISED}),
    KeyState.COMPROMISED: frozenset({KeyState.DESTROYED}),
    KeyState.DESTROYED: frozenset(),
}

_HIDDEN = "secret"


class HeldKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every key of the ring has. *secret* is empty once it is destroyed, and never shown.

    *activates_at* is when a pending key takes over, once a rotation was asked for.
    """

    project: ProjectId
    state: KeyState
    created_at: Instant
    activates_at: Instant | None = None
    activated_at: Instant | None = None
    retired_at: Instant | None = None
    compromised_at: Instant | None = None
    destroyed_at: Instant | None = None
    secret: bytes

    @property
    def line(self) -> Line:
        """The keys that it follows and is followed by."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Its id as text, unique in the deployment."""
        raise NotImplementedError

    @property
    def ready_at(self) -> Instant:
        """The instant from which it may take over: by then all who have to know it do."""
        return later(self.created_at, KNOWN_BEFORE_USE)

    @property
    def mints(self) -> bool:
        """Whether new tokens, signatures and boxes may be made with it."""
        return self.state is KeyState.ACTIVE

    @property
    def verifies(self) -> bool:
        """Whether what was made with it still passes."""
        return self.state in {KeyState.PENDING, KeyState.ACTIVE, KeyState.RETIRED}

    def scheduled(self) -> Self:
        """Return the key that takes over as soon as it may; `StateConflict` unless it is pending."""
        if self.state is not KeyState.PENDING:
            raise StateConflict("key_state", f"A key that is {self.state} cannot take over.")
        return msgspec.structs.replace(self, activates_at=self.activates_at or self.ready_at)

    def activated(self, now: Instant) -> Self:
        """Return the key active since *now*; `StateConflict` unless it is pending."""
        return msgspec.structs.replace(self._become(KeyState.ACTIVE), activates_at=None, activated_at=now)

    def retired(self, now: Instant) -> Self:
        """Return the key retired at *now*; `StateConflict` unless it is active."""
        return msgspec.structs.replace(self._become(KeyState.RETIRED), retired_at=now)

    def destroyed(self, now: Instant) -> Self:
        """Return the key without its secret; `StateConflict` while it is active."""
        return msgspec.structs.replace(self._become(KeyState.DESTROYED), destroyed_at=now, secret=b"")

    def compromised(self, now: Instant) -> Self:
        """Return the key refused from *now* on; `StateConflict` when it is already, or destroyed."""
        changed = self._become(KeyState.COMPROMISED)
        return msgspec.structs.replace(changed, activates_at=None, compromised_at=now)

    def _become(self, state: KeyState) -> Self:
        if state not in _SUCCESSORS[self.state]:
            raise StateConflict("key_state", f"A key that is {self.state} cannot become {state}.")
        return msgspec.structs.replace(self, state=state)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name != _HIDDEN]


class RootKey(HeldKey, frozen=True, kw_only=True):
    """32 bytes from which a project's MAC keys are derived. *kid* is unique in the deployment, from 1."""

    kid: int

    @property
    def line(self) -> Line:
        return Line(KeyKind.ROOT, self.project)

    @property
    def name(self) -> str:
        return str(self.kid)


class SigningKey(HeldKey, frozen=True, kw_only=True):
    """An ES256 key; *secret* is its private scalar, 32 bytes. *kid* is 12 characters of `[a-z0-9]`."""

    kid: str
    audience: Audience

    @property
    def line(self) -> Line:
        return Line(KeyKind.SIGNING, self.project, self.audience)

    @property
    def name(self) -> str:
        return self.kid

    @property
    def ready_at(self) -> Instant:
        return later(self.created_at, PUBLISHED_BEFORE_USE)


class DataKey(HeldKey, frozen=True, kw_only=True):
    """A key of the vault; *secret* is the key itself, sealed under the root *kid*."""

    id: str
    kid: int

    @property
    def line(self) -> Line:
        return Line(KeyKind.VAULT, self.project)

    @property
    def name(self) -> str:
        return self.id


def lines_of(project: ProjectId, kind: KeyKind) -> tuple[Line, ...]:
    """Return the lines of a project's keys of *kind*."""
    if kind is KeyKind.SIGNING:
        return tuple(Line(kind, project, audience) for audience in Audience)
    return (Line(kind, project),)
