"""Policies: how long sessions live and how many a subject may have, with presets named after their source.

NIST SP 800-63B-4 section 5.2: aal1 at most 30 days; aal2 at most 24 hours and 1 hour idle; aal3 at most 12 hours
and 15 minutes idle. Anything above a preset's limits is `custom` and needs a justification.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, NamedTuple

import msgspec

from sessiond.domain.described import Described
from sessiond.domain.errors import Misconfigured
from sessiond.domain.keys import LONGEST_JWT
from sessiond.domain.texts import text_fault


class OnLimit(enum.StrEnum):
    """What happens when a subject at its session limit signs in once more."""

    EVICT_OLDEST = "evict_oldest"
    EVICT_IDLE = "evict_idle"
    DENY = "deny"


class Preset(enum.StrEnum):
    """A named set of upper limits."""

    AAL1 = "aal1"
    AAL2 = "aal2"
    AAL3 = "aal3"
    CUSTOM = "custom"


class Ceiling(msgspec.Struct, frozen=True):
    """The upper limits of a preset; *idle_timeout* None means that it demands none."""

    absolute_timeout: timedelta
    idle_timeout: timedelta | None


CEILINGS: dict[Preset, Ceiling] = {
    Preset.AAL1: Ceiling(timedelta(days=30), None),
    Preset.AAL2: Ceiling(timedelta(hours=24), timedelta(hours=1)),
    Preset.AAL3: Ceiling(timedelta(hours=12), timedelta(minutes=15)),
}

LONGEST_TIMEOUT = timedelta(days=3660)
"""Far within what a token's 32 bits of seconds can say (until 2106)."""

LONGEST_GRACE = timedelta(seconds=300)
LONGEST_JUSTIFICATION = 1000
OVERLAP = timedelta(seconds=10)


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits that a project's sessions are born with.

    *grace* is how long the previous refresh token is tolerated after a rotation, 0 to 300 seconds; 0 closes the
    overlap too. *max_sessions* None means no limit.
    """

    preset: Annotated[
        Preset,
        Described(
            text="NIST's limits to keep: aal1 (30 d), aal2 (24 h, 1 h idle), aal3 (12 h, 15 min idle); "
            "custom goes beyond them and needs a justification."
        ),
    ] = Preset.AAL1
    absolute_timeout: Annotated[
        timedelta,
        Described(
            text="How long a session lives, from its creation; refreshing never passes it. Default: the preset's.",
            most=LONGEST_TIMEOUT,
        ),
    ] = timedelta(days=30)
    idle_timeout: Annotated[
        timedelta | None,
        Described(
            text="How long a session lives unused; it may end up to 60 s early, never late. Default: the preset's."
        ),
    ] = None
    access_token_lifetime: Annotated[
        timedelta,
        Described(
            text="How long an access token is accepted before it must be refreshed; a JWT at most 24h."
        ),
    ] = timedelta(minutes=10)
    grace: Annotated[
        timedelta,
        Described(
            text="How long the previous refresh token is tolerated after a rotation, 0s to 300s; 0s closes it."
        ),
    ] = timedelta(seconds=30)
    max_sessions: Annotated[
        int | None, Described(text="How many live sessions a subject may have; none means no limit.")
    ] = None
    on_limit: Annotated[
        OnLimit,
        Described(
            text="What happens to one sign-in too many: the oldest or the idlest session ends, or it is refused."
        ),
    ] = OnLimit.EVICT_OLDEST
    justification: Annotated[
        str | None, Described(text="Why this policy goes beyond NIST's limits; needed by preset custom.")
    ] = None

    @property
    def overlap(self) -> timedelta:
        """How long two holders of one token may both be answered: 10 seconds, never more than the grace."""
        return min(OVERLAP, self.grace)

    @property
    def jwt_lifetime(self) -> timedelta:
        """How long an access token lives that is a JWT: never longer than a retired signing key is kept."""
        return min(LONGEST_JWT, self.access_token_lifetime)


def preset_policy(preset: Preset) -> Policy:
    """Return the policy at the upper limits of *preset*; `custom` has none, and begins with aal1's."""
    ceiling = CEILINGS.get(preset, CEILINGS[Preset.AAL1])
    return Policy(preset=preset, absolute_timeout=ceiling.absolute_timeout, idle_timeout=ceiling.idle_timeout)


def under(policy: Policy, preset: Preset) -> Policy:
    """Return *policy* at the upper limits of *preset*; what the preset says nothing about stays."""
    bound = preset_policy(preset)
    return msgspec.structs.replace(
        policy, preset=preset, absolute_timeout=bound.absolute_timeout, idle_timeout=bound.idle_timeout
    )


class PolicyFault(NamedTuple):
    """A member of a policy and what is wrong with it."""

    member: str
    detail: str


def policy_faults(policy: Policy) -> Sequence[PolicyFault]:
    """Return everything that is wrong with *policy*."""
    faults = [
        PolicyFault(name, "must be at least 1s")
        for name in ("absolute_timeout", "idle_timeout", "access_token_lifetime")
        if (duration := getattr(policy, name)) is not None and duration < timedelta(seconds=1)
    ]
    if policy.absolute_timeout > LONGEST_TIMEOUT:
        faults.append(PolicyFault("absolute_timeout", f"must be at most {LONGEST_TIMEOUT.days}d"))
    if policy.access_token_lifetime > policy.absolute_timeout:
        faults.append(PolicyFault("access_token_lifetime", "must not be above policy.absolute_timeout"))
    if not timedelta(0) <= policy.grace <= LONGEST_GRACE:
        faults.append(PolicyFault("grace", "must lie between 0s and 300s"))
    if policy.max_sessions is not None and policy.max_sessions < 1:
        faults.append(PolicyFault("max_sessions", "must be at least 1"))
    return faults + _unjustified(policy)


def check(policy: Policy) -> Policy:
    """Return *policy*, or raise `Misconfigured` with the first member at fault."""
    for fault in policy_faults(policy):
        raise Misconfigured(f"policy.{fault.member} {fault.detail}")
    return policy


def _unjustified(policy: Policy) -> list[PolicyFault]:
    """Return where *policy* goes beyond what its preset allows without saying why."""
    text = policy.justification
    if text is not None and (len(text) > LONGEST_JUSTIFICATION or text_fault(text) is not None):
        return [PolicyFault("justification", f"is at most {LONGEST_JUSTIFICATION} printable characters")]
    if policy.preset is Preset.CUSTOM:
        told = bool((text or "").strip())
        why = "is needed by preset custom: say why NIST's limits do not apply"
        return [] if told else [PolicyFault("justification", why)]
    ceiling, beyond = CEILINGS[policy.preset], []
    if policy.absolute_timeout > ceiling.absolute_timeout:
        beyond.append("absolute_timeout")
    if ceiling.idle_timeout is not None and (
        policy.idle_timeout is None or policy.idle_timeout > ceiling.idle_timeout
    ):
        beyond.append("idle_timeout")
    return [
        PolicyFault(
            name,
            f"is above what preset {policy.preset} allows; shorten it, or choose preset custom with a justification",
        )
        for name in beyond
    ]
