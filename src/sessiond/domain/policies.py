"""Policies: how long sessions live and how many a subject may have, with presets named after their source.

NIST SP 800-63B-4 section 5.2: aal1 at most 30 days; aal2 at most 24 hours and 1 hour idle; aal3 at most 12 hours
and 15 minutes idle. Anything above a preset's limits is `custom` and needs a justification.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Annotated

import msgspec

from sessiond.domain.described import Described
from sessiond.domain.errors import Misconfigured


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
        timedelta, Described(text="How long an access token is accepted before it must be refreshed.")
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


def preset_policy(preset: Preset) -> Policy:
    """Return the policy at the upper limits of *preset* (`custom` has none: use `Policy` and `check`)."""
    ceiling = CEILINGS[preset]
    return Policy(preset=preset, absolute_timeout=ceiling.absolute_timeout, idle_timeout=ceiling.idle_timeout)


def check(policy: Policy) -> Policy:
    """Return *policy*, or raise `Misconfigured` with the member at fault."""
    positive = {
        "absolute_timeout": policy.absolute_timeout,
        "access_token_lifetime": policy.access_token_lifetime,
    }
    if policy.idle_timeout is not None:
        positive["idle_timeout"] = policy.idle_timeout
    for name, duration in positive.items():
        if duration < timedelta(seconds=1):
            raise Misconfigured(f"policy.{name} must be at least 1s")
    if policy.absolute_timeout > LONGEST_TIMEOUT:
        raise Misconfigured(f"policy.absolute_timeout must be at most {LONGEST_TIMEOUT.days}d")
    if not timedelta(0) <= policy.grace <= LONGEST_GRACE:
        raise Misconfigured("policy.grace must lie between 0s and 300s")
    if policy.max_sessions is not None and policy.max_sessions < 1:
        raise Misconfigured("policy.max_sessions must be at least 1")
    if policy.preset is Preset.CUSTOM:
        if not (policy.justification or "").strip():
            raise Misconfigured(
                "policy.preset custom needs policy.justification: say why NIST's limits do not apply"
            )
        return policy
    return _within(policy, CEILINGS[policy.preset])


def _within(policy: Policy, ceiling: Ceiling) -> Policy:
    too_long = policy.absolute_timeout > ceiling.absolute_timeout
    too_idle = ceiling.idle_timeout is not None and (
        policy.idle_timeout is None or policy.idle_timeout > ceiling.idle_timeout
    )
    if too_long or too_idle:
        name = "absolute_timeout" if too_long else "idle_timeout"
        raise Misconfigured(
            f"policy.{name} is above what preset {policy.preset} allows; "
            "shorten it, or choose preset custom with policy.justification"
        )
    return policy
