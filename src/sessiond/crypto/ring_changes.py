"""How the keys of a ring take over from each other and end. Each change returns new contents, or the same ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import msgspec

from sessiond.crypto.ring_contents import Entropy, RingContents, add_key, kek, wrapping_aad
from sessiond.crypto.sealing import SEAL_ENTROPY, seal, unseal
from sessiond.domain.ids import ProjectId
from sessiond.domain.instants import Instant, later
from sessiond.domain.keys import (
    FORGOTTEN_AFTER,
    DataKey,
    HeldKey,
    KeyKind,
    KeyState,
    Line,
    RootKey,
    lines_of,
)

_Held = TypeVar("_Held", bound=HeldKey)


class _Step:
    """A change of single keys; it is applied to each of them."""

    def __init__(self, change: Callable[[HeldKey], HeldKey | None]) -> None:
        self._change = change

    def of(self, keys: Iterable[_Held]) -> tuple[_Held, ...]:
        """Return what became of *keys*, which keep their types; those that became None are left out."""
        changed = ((key, self._change(key)) for key in keys)
        return tuple(new for old, new in changed if new is not None and isinstance(new, type(old)))


def rotate(
    contents: RingContents, project: ProjectId, kind: KeyKind, entropy: Entropy, now: Instant
) -> RingContents:
    """Return *contents* with the pending keys of *kind* active, or waiting to be: each as soon as it may."""
    for line in lines_of(project, kind):
        contents = _with_successor(contents, line, entropy, now)
        contents = _each(contents, lambda key, line=line: key.scheduled() if _waits(key, line) else key)  # type: ignore[misc]
    return activate_due(contents, entropy, now)


def activate_due(contents: RingContents, entropy: Entropy, now: Instant) -> RingContents:
    """Return *contents* with every key active whose time has come; the very same where there is none."""
    for key in contents.keys:
        if key.activates_at is not None and key.activates_at <= now:
            contents = hand_over(contents, key.line, entropy, now)
    return contents


def hand_over(contents: RingContents, line: Line, entropy: Entropy, now: Instant) -> RingContents:
    """Return *contents* with the active key of *line* retired, the pending one active, and a new one pending."""
    contents = _with_successor(contents, line, entropy, now)

    def turned(key: HeldKey) -> HeldKey:
        if key.line != line:
            return key
        if key.mints:
            return key.retired(now)
        return key.activated(now) if key.state is KeyState.PENDING else key

    contents = _each(contents, turned)
    if line.kind is KeyKind.ROOT:
        contents = _rewrapped(contents, line.project, entropy)
    return add_key(contents, line, state=KeyState.PENDING, entropy=entropy, now=now)


def compromise(contents: RingContents, name: str, entropy: Entropy, now: Instant) -> RingContents:
    """Return *contents* with the key *name* refused from *now* on, and its successor in its place.

    A vault key that sealed something is retired instead: it must open that once more, to be sealed anew.
    """
    key = next(each for each in contents.keys if each.name == name)
    if key.mints:
        contents = hand_over(contents, key.line, entropy, now)
    if isinstance(key, DataKey) and key.state in {KeyState.ACTIVE, KeyState.RETIRED}:
        return contents
    contents = _each(contents, lambda each: each.compromised(now) if each.name == name else each)
    return _with_successor(contents, key.line, entropy, now)


def renew(contents: RingContents, entropy: Entropy, now: Instant) -> RingContents:
    """Return *contents* with every key that verifies refused and others in their place; vault keys are retired."""
    lines = dict.fromkeys(key.line for key in contents.keys)
    refused = {key.name for key in contents.keys if key.verifies and not isinstance(key, DataKey)}
    stale = {key.name for key in contents.data_keys if key.state is KeyState.PENDING}
    for line in lines:
        contents = add_key(contents, line, state=KeyState.PENDING, entropy=entropy, now=now)

    def turned(key: HeldKey) -> HeldKey:
        if key.name in stale:
            return key.destroyed(now)
        if isinstance(key, DataKey) and key.mints:
            return key.retired(now)
        if key.name in refused:
            return key.compromised(now)
        return key.activated(now) if key.state is KeyState.PENDING else key

    contents = _each(contents, turned)
    for line in lines:
        if line.kind is KeyKind.ROOT:
            contents = _rewrapped(contents, line.project, entropy)
    for line in lines:
        contents = add_key(contents, line, state=KeyState.PENDING, entropy=entropy, now=now)
    return contents


def destroy(contents: RingContents, names: Collection[str], now: Instant) -> RingContents:
    """Return *contents* with the keys *names* without their secrets, and without those destroyed long ago."""

    def ended(key: HeldKey) -> HeldKey | None:
        if key.destroyed_at is not None and later(key.destroyed_at, FORGOTTEN_AFTER) <= now:
            return None
        return key.destroyed(now) if key.name in names else key

    return _each(contents, ended)


def _each(contents: RingContents, change: Callable[[HeldKey], HeldKey | None]) -> RingContents:
    step = _Step(change)
    return msgspec.structs.replace(
        contents,
        roots=step.of(contents.roots),
        signing_keys=step.of(contents.signing_keys),
        data_keys=step.of(contents.data_keys),
    )


def _waits(key: HeldKey, line: Line) -> bool:
    return key.line == line and key.state is KeyState.PENDING


def _with_successor(contents: RingContents, line: Line, entropy: Entropy, now: Instant) -> RingContents:
    if any(_waits(key, line) for key in contents.keys):
        return contents
    return add_key(contents, line, state=KeyState.PENDING, entropy=entropy, now=now)


def _rewrapped(contents: RingContents, project: ProjectId, entropy: Entropy) -> RingContents:
    """Return *contents* with the project's data keys sealed under its active root."""
    roots = {root.kid: root for root in contents.roots}
    active = next(root for root in contents.roots if root.project == project and root.mints)

    def wrapped(key: DataKey) -> DataKey:
        if key.project != project or not key.secret or key.kid == active.kid:
            return key
        return _under(active, key, _unwrapped(key, roots[key.kid]), entropy)

    return msgspec.structs.replace(contents, data_keys=tuple(wrapped(key) for key in contents.data_keys))


def _unwrapped(key: DataKey, root: RootKey) -> bytes:
    return unseal(kek(root), key.secret, aad=wrapping_aad(key.project, key.id))


def _under(root: RootKey, key: DataKey, secret: bytes, entropy: Entropy) -> DataKey:
    box = seal(kek(root), secret, aad=wrapping_aad(key.project, key.id), entropy=entropy.bytes(SEAL_ENTROPY))
    return msgspec.structs.replace(key, kid=root.kid, secret=box)
