"""Keys of the ring: their states, what each state may do, and what it may become.

pending → active → retired → destroyed; from any of them but the last, compromised. An active key mints and
verifies, a retired one verifies only, a pending one is published and does nothing yet, the others are
refused at once.
"""

from __future__ import annotations

import enum
from typing import Any, Self

import msgspec

from sessiond.domain.errors import StateConflict
from sessiond.domain.ids import ProjectId
from sessiond.domain.instants import Instant


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


_SUCCESSORS: dict[KeyState, frozenset[KeyState]] = {
    KeyState.PENDING: frozenset({KeyState.ACTIVE, KeyState.DESTROYED, KeyState.COMPROMISED}),
    KeyState.ACTIVE: frozenset({KeyState.RETIRED, KeyState.COMPROMISED}),
    KeyState.RETIRED: frozenset({KeyState.DESTROYED, KeyState.COMPROMISED}),
    KeyState.COMPROMISED: frozenset({KeyState.DESTROYED}),
    KeyState.DESTROYED: frozenset(),
}

_HIDDEN = "secret"


class HeldKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every key of the ring has. *secret* is empty once it is destroyed, and never shown."""

    project: ProjectId
    state: KeyState
    created_at: Instant
    activated_at: Instant | None = None
    retired_at: Instant | None = None
    secret: bytes

    @property
    def mints(self) -> bool:
        """Whether new tokens, signatures and boxes may be made with it."""
        return self.state is KeyState.ACTIVE

    @property
    def verifies(self) -> bool:
        """Whether what was made with it still passes."""
        return self.state in {KeyState.ACTIVE, KeyState.RETIRED}

    @property
    def published(self) -> bool:
        """Whether others are told its public half: before its first use, and as long as it verifies."""
        return self.verifies or self.state is KeyState.PENDING

    def activated(self, now: Instant) -> Self:
        """Return the key active since *now*; `StateConflict` unless it is pending."""
        return msgspec.structs.replace(self._become(KeyState.ACTIVE), activated_at=now)

    def retired(self, now: Instant) -> Self:
        """Return the key retired at *now*; `StateConflict` unless it is active."""
        return msgspec.structs.replace(self._become(KeyState.RETIRED), retired_at=now)

    def destroyed(self) -> Self:
        """Return the key without its secret; `StateConflict` while it is active."""
        return msgspec.structs.replace(self._become(KeyState.DESTROYED), secret=b"")

    def compromised(self) -> Self:
        """Return the key refused from now on; `StateConflict` when it is already, or destroyed."""
        return self._become(KeyState.COMPROMISED)

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


class SigningKey(HeldKey, frozen=True, kw_only=True):
    """An ES256 key; *secret* is its private scalar, 32 bytes. *kid* is 12 characters of `[a-z0-9]`."""

    kid: str
    audience: Audience


class DataKey(HeldKey, frozen=True, kw_only=True):
    """A key of the vault; *secret* is the key itself, sealed under the root *kid*."""

    id: str
    kid: int
