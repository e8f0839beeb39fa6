"""What depends on which key: rows name roots and vault keys, JWTs the signing keys of their audience."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from sessiond.domain.instants import Instant, later
from sessiond.domain.keys import LONGEST_JWT, SETTLED_AFTER, Audience, HeldKey, KeyKind, KeyState
from sessiond.domain.sessions import AccessFormat, Session, SessionKind

_STACK = frozenset({Audience.STACK, Audience.STACK_RESTRICTED, Audience.STACK_ANONYMOUS})
_GONE_BY_TIME = frozenset({KeyState.RETIRED, KeyState.COMPROMISED})


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that a change of the ring makes refuse what was made under them.

    *signed_for* are the audiences whose present access tokens no longer pass.
    """

    roots: frozenset[int] = frozenset()
    signed_for: frozenset[Audience] = frozenset()
    vault: frozenset[str] = frozenset()


def lost_between(before: Sequence[HeldKey], after: Sequence[HeldKey]) -> Lost:
    """Return what verified *before* and does not *after*."""
    still = {key.name for key in after if key.verifies}
    lost = [key for key in before if key.verifies and key.name not in still]
    return Lost(
        roots=frozenset(int(key.name) for key in lost if key.line.kind is KeyKind.ROOT),
        signed_for=frozenset(key.line.audience for key in lost if key.line.audience is not None),
        vault=frozenset(key.name for key in lost if key.line.kind is KeyKind.VAULT),
    )


def names_any(session: Session, roots: Collection[int]) -> bool:
    """Tell whether tokens of the session were made under one of *roots*: its present ones, or the previous."""
    return session.kid in roots or session.prev_kid in roots


def signed_for(session: Session) -> frozenset[Audience]:
    """Return the audiences for which the session's access tokens may be signed; none where they are no such JWTs."""
    if session.session_kind is SessionKind.STACK:
        return _STACK
    return frozenset({Audience.NATIVE}) if session.access_format is AccessFormat.JWT else frozenset()


def overdue(key: HeldKey, now: Instant) -> bool:
    """Tell whether by its age alone nothing needs the key any more: a refused one, or a signing key of long ago."""
    if key.state not in _GONE_BY_TIME:
        return False
    if key.compromised_at is not None:
        return now >= later(key.compromised_at, SETTLED_AFTER)
    if key.line.kind is not KeyKind.SIGNING or key.retired_at is None:
        return False
    return now >= later(later(key.retired_at, LONGEST_JWT), SETTLED_AFTER)


def settled(key: HeldKey, now: Instant) -> bool:
    """Tell whether the key is retired for so long that no row can begin to name it."""
    if key.state is not KeyState.RETIRED or key.retired_at is None:
        return False
    return now >= later(key.retired_at, SETTLED_AFTER)
