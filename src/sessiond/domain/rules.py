"""Rules: the numbers that the dialects are run by, one struct per dialect; `docs/dialects/` tells what they do.

The defaults are what the original APIs have. A range that a value must lie in stands in its `Described`; whoever
builds a struct from outside (the configuration) checks it there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec

from sessiond.domain.described import Described
from sessiond.domain.policies import Policy

_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_YEAR = timedelta(days=366)


class OperatorRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Operator sessions: what the master token is exchanged for."""

    session_ttl: Annotated[
        timedelta,
        Described(
            text="How long an operator session lives; whole hours, because its API answers in hours.",
            least=_HOUR,
            most=timedelta(days=30),
            step=_HOUR,
        ),
    ] = timedelta(hours=24)


class DeviceRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Device sessions: what a device identifier gets."""

    session_ttl: Annotated[
        timedelta,
        Described(
            text="How long a device session lives, from its creation; it never slides.",
            least=_SECOND,
            most=_YEAR,
        ),
    ] = timedelta(days=30)
    max_sessions_per_ip: Annotated[
        int,
        Described(
            text="How many live device sessions one address may have opened; IPv6 counts by /64.", least=1
        ),
    ] = 100
    new_per_hour: Annotated[
        int,
        Described(text="How many new devices one address may bring in an hour; IPv6 counts by /64.", least=1),
    ] = 30


class PinRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PIN sign-in: lifetimes, and what failed attempts cost."""

    access_token_lifetime: Annotated[
        timedelta,
        Described(text="How long the accessToken cookie and its JWT live.", least=_SECOND, most=_HOUR),
    ] = timedelta(seconds=60)
    session_ttl: Annotated[
        timedelta,
        Described(
            text="How long the refreshToken cookie and the session live.",
            least=timedelta(minutes=1),
            most=_YEAR,
        ),
    ] = timedelta(days=30)
    free_attempts: Annotated[
        int,
        Described(text="Failures of one account from one address before waits begin.", least=1, most=20),
    ] = 5
    longest_wait: Annotated[
        timedelta,
        Described(text="The longest wait that failures grow to.", least=timedelta(minutes=1), most=_DAY),
    ] = timedelta(hours=1)
    address_free_attempts: Annotated[
        int,
        Described(
            text="Failures from one address, over all accounts, before waits begin.", least=5, most=10_000
        ),
    ] = 50
    account_attempts_per_hour: Annotated[
        int,
        Described(
            text="Failures of one account in an hour, over all addresses but known clients'.",
            least=5,
            most=10_000,
        ),
    ] = 100
    account_closes_after: Annotated[
        int,
        Described(
            text="Consecutive failures that close an account until a known client succeeds or an operator unlocks it.",
            least=5,
            most=10_000,
        ),
    ] = 100
    known_client_for: Annotated[
        timedelta,
        Described(
            text="How long an address or browser with a success is a known client, which strangers cannot lock out.",
            least=_HOUR,
            most=_YEAR,
        ),
    ] = timedelta(days=30)
    hashing_threads: Annotated[
        int,
        Described(
            text="How many PINs are hashed at once, and never more than the server may use cores; each takes 19 MiB.",
            least=1,
            most=64,
        ),
    ] = 2


class VaultRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The vault: other services' tokens, kept for a subject."""

    max_per_user: Annotated[
        int,
        Described(
            text="How many entries a user may have; one more, and the oldest goes.", least=1, most=10_000
        ),
    ] = 100
    retention: Annotated[
        timedelta,
        Described(text="How long an expired entry stays listed before it is purged.", least=timedelta(0)),
    ] = timedelta(days=30)


class StackRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stack Auth's API. *max_lifetime* is the original's: its npm client always asks for 365 days."""

    max_lifetime: Annotated[
        timedelta,
        Described(
            text="The longest lifetime a session may be asked for; the npm client always asks for 365 days.",
            least=timedelta(minutes=1),
            most=timedelta(days=367),
        ),
    ] = timedelta(days=367)
    default_lifetime: Annotated[
        timedelta,
        Described(text="How long a session lives when none was asked for.", least=timedelta(minutes=1)),
    ] = timedelta(days=30)
    impersonation_lifetime: Annotated[
        timedelta,
        Described(
            text="How long an impersonation lives when none was asked for.", least=timedelta(minutes=1)
        ),
    ] = timedelta(hours=1)


class ImpersonationRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Impersonation by the native API."""

    absolute_timeout: Annotated[
        timedelta,
        Described(
            text="How long an impersonation lives at most; it ends with its actor's session, and is not extended.",
            least=_SECOND,
            most=_DAY,
        ),
    ] = timedelta(hours=1)


class LimitRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rate limits, each for one project and counted by all nodes together; None means no limit."""

    by_address: Annotated[
        int | None,
        Described(
            text="How many refreshes and revocations an address may ask for in a minute without a server key; IPv6 "
            "counts by /64, loopback not at all.",
            least=1,
        ),
    ] = 600
    by_session: Annotated[
        int | None,
        Described(
            text="How many changes below /v1/me a session may make in a minute, and account switches a subject.",
            least=1,
        ),
    ] = 120
    sign_ups_by_address: Annotated[
        int | None,
        Described(
            text="How many anonymous users an address may sign up in an hour without a server key (Stack Auth's "
            "API); IPv6 counts by /64, loopback not at all.",
            least=1,
        ),
    ] = 100
    by_server_key: Annotated[
        int | None,
        Described(text="How many requests a server key may make in a minute, introspection aside.", least=1),
    ] = None


class PurgeRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Purging: how long what has ended stays readable."""

    ended_sessions: Annotated[
        timedelta,
        Described(text="How long a session stays listed after it ended.", least=_HOUR),
    ] = timedelta(days=7)
    events: Annotated[
        timedelta,
        Described(text="How long events (the audit trail) are kept.", least=_DAY),
    ] = timedelta(days=90)
    anonymous_subjects: Annotated[
        timedelta,
        Described(
            text="How long devices and other anonymous subjects stay after the last of their sessions ended.",
            least=_HOUR,
        ),
    ] = timedelta(days=30)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """All of a deployment's rules. *policy* is what projects without one of their own are born with."""

    policy: Policy = Policy()
    operator: OperatorRules = OperatorRules()
    device: DeviceRules = DeviceRules()
    pin: PinRules = PinRules()
    vault: VaultRules = VaultRules()
    stack: StackRules = StackRules()
    impersonation: ImpersonationRules = ImpersonationRules()
    limits: LimitRules = LimitRules()
    purge: PurgeRules = PurgeRules()
