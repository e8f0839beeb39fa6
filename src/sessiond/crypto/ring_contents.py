"""What the key ring holds, and how it grows by projects and keys."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal, Protocol, TypedDict, TypeVar

import msgspec

from sessiond.crypto.es256 import SCALAR_ENTROPY, draw_scalar
from sessiond.crypto.purposes import KEY_SIZE, Purpose, derive
from sessiond.crypto.sealing import SEAL_ENTROPY, seal
from sessiond.domain.ids import ProjectId
from sessiond.domain.instants import Instant
from sessiond.domain.keys import (
    Audience,
    DataKey,
    HeldKey,
    KeyKind,
    KeyState,
    Line,
    RootKey,
    SigningKey,
    lines_of,
)

_KID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_KID_LENGTH = 12

_Name = TypeVar("_Name", int, str)


class Entropy(Protocol):
    """Randomness from the operating system."""

    def bytes(self, count: int) -> bytes:
        """Return *count* bytes that nobody can guess."""
        ...


class RingContents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every key of a deployment. *salt* (partitions) and *lookup_root* (keyed hashes) are never rotated."""

    format: Literal[1] = 1
    salt: bytes
    lookup_root: bytes
    roots: tuple[RootKey, ...] = ()
    signing_keys: tuple[SigningKey, ...] = ()
    data_keys: tuple[DataKey, ...] = ()

    @property
    def keys(self) -> tuple[HeldKey, ...]:
        """Every key in every state: roots, signing keys, data keys, each in the order of their birth."""
        return (*self.roots, *self.signing_keys, *self.data_keys)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"RingContents({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("roots", self.roots), ("signing_keys", self.signing_keys), ("data_keys", self.data_keys)]


def draw_contents(entropy: Entropy) -> RingContents:
    """Return the contents of a new ring, without any project."""
    return RingContents(salt=entropy.bytes(KEY_SIZE), lookup_root=entropy.bytes(KEY_SIZE))


def add_project(contents: RingContents, project: ProjectId, entropy: Entropy, now: Instant) -> RingContents:
    """Return *contents* with a project's first keys: of each line an active and a pending one."""
    for kind in KeyKind:
        for line in lines_of(project, kind):
            for state in (KeyState.ACTIVE, KeyState.PENDING):
                contents = add_key(contents, line, state=state, entropy=entropy, now=now)
    return contents


def add_key(
    contents: RingContents, line: Line, *, state: KeyState, entropy: Entropy, now: Instant
) -> RingContents:
    """Return *contents* with one more key of *line*."""
    match line.kind:
        case KeyKind.ROOT:
            return _add_root(contents, line.project, state, entropy, now)
        case KeyKind.SIGNING:
            if line.audience is None:
                raise ValueError("a signing key has an audience")
            return _add_signing_key(
                contents, line.project, line.audience, state=state, entropy=entropy, now=now
            )
        case KeyKind.VAULT:
            return _add_data_key(contents, line.project, state, entropy, now)


def wrapping_aad(project: ProjectId, data_key: str) -> bytes:
    """Return the associated data that a data key is sealed with."""
    return f"sessiond|v1|data_key|{project}|{data_key}".encode()


def kek(root: RootKey) -> bytes:
    """Return the key that a project's data keys are sealed under, while *root* is the active one."""
    return derive(root.secret, Purpose.VAULT_KEK, root.project)


def _add_root(
    contents: RingContents, project: ProjectId, state: KeyState, entropy: Entropy, now: Instant
) -> RingContents:
    taken = {0} | {root.kid for root in contents.roots}
    root = RootKey(
        kid=_unused(lambda: int.from_bytes(entropy.bytes(4)), taken),
        secret=entropy.bytes(KEY_SIZE),
        **_born(project, state, now),
    )
    return msgspec.structs.replace(contents, roots=(*contents.roots, root))


def _add_signing_key(
    contents: RingContents,
    project: ProjectId,
    audience: Audience,
    *,
    state: KeyState,
    entropy: Entropy,
    now: Instant,
) -> RingContents:
    taken = {key.name for key in contents.keys}
    key = SigningKey(
        kid=_unused(lambda: _name(entropy), taken),
        audience=audience,
        secret=draw_scalar(entropy.bytes(SCALAR_ENTROPY)),
        **_born(project, state, now),
    )
    return msgspec.structs.replace(contents, signing_keys=(*contents.signing_keys, key))


def _add_data_key(
    contents: RingContents, project: ProjectId, state: KeyState, entropy: Entropy, now: Instant
) -> RingContents:
    root = next(key for key in contents.roots if key.project == project and key.mints)
    name = _unused(lambda: _name(entropy), {key.name for key in contents.keys})
    wrapped = seal(
        kek(root),
        entropy.bytes(KEY_SIZE),
        aad=wrapping_aad(project, name),
        entropy=entropy.bytes(SEAL_ENTROPY),
    )
    key = DataKey(id=name, kid=root.kid, secret=wrapped, **_born(project, state, now))
    return msgspec.structs.replace(contents, data_keys=(*contents.data_keys, key))


class _Birth(TypedDict):
    project: ProjectId
    state: KeyState
    created_at: Instant
    activated_at: Instant | None


def _born(project: ProjectId, state: KeyState, now: Instant) -> _Birth:
    activated_at = now if state is KeyState.ACTIVE else None
    return {"project": project, "state": state, "created_at": now, "activated_at": activated_at}


def _name(entropy: Entropy) -> str:
    number = int.from_bytes(entropy.bytes(16))
    digits = []
    for _ in range(_KID_LENGTH):
        number, digit = divmod(number, len(_KID_ALPHABET))
        digits.append(_KID_ALPHABET[digit])
    return "".join(digits)


def _unused(draw: Callable[[], _Name], taken: Collection[_Name]) -> _Name:
    while (name := draw()) in taken:
        pass
    return name
