"""Names and PINs: what may be one, and what failed attempts cost.

Failures count three ways, each a durable record: one account from one address; one address over all accounts; one
account over all addresses. Known clients are exempt from the last, so that strangers cannot lock the owner out; one
that is known by its cookie counts under that cookie instead. An attempt counts as a failure from before its
PIN is looked at; a success takes it back.
"""

from __future__ import annotations

import enum
import unicodedata
from datetime import timedelta
from typing import Any, ClassVar

import msgspec

from sessiond.domain.errors import InvalidRequest, Throttled
from sessiond.domain.ids import Partition, ProjectId, SubjectId, acceptable_subject_id
from sessiond.domain.instants import Instant, later, millis
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.rules import PinRules
from sessiond.domain.subjects import Subject

SHORTEST_PIN = 4
LONGEST_PIN = 64

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_FIRST_WAIT = timedelta(seconds=30)
_MOST_DOUBLINGS = 20

# -- names and PINs ---------------------------------------------------------------------------------------------


def fold_name(name: str) -> SubjectId:
    """Return *name* as it is compared: Unicode's compatibility caseless form (section 3.13, D146), so NFKC."""
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", name).casefold())
    return SubjectId(unicodedata.normalize("NFKC", once.casefold()))


def check_name(name: str) -> SubjectId:
    """Return the folded form of a name that a user may have, or raise `InvalidRequest` (`invalid_name`).

    1 to 256 bytes of printable characters, no space at its ends: two names that look alike should be one.
    """
    folded = fold_name(name)
    if not (name.isprintable() and acceptable_subject_id(name) and acceptable_subject_id(folded)):
        raise InvalidRequest("invalid_name", "The name must have 1 to 256 bytes of printable characters.")
    if folded != folded.strip():
        raise InvalidRequest("invalid_name", "The name must not begin or end with a space.")
    return folded


def check_pin(pin: str) -> str:
    """Return *pin* as it is hashed (NFC, RFC 8265 section 4.2), or raise `InvalidRequest` (`invalid_pin`)."""
    composed = unicodedata.normalize("NFC", pin)
    if not SHORTEST_PIN <= len(composed) <= LONGEST_PIN:
        raise InvalidRequest("invalid_pin", f"The PIN must have {SHORTEST_PIN} to {LONGEST_PIN} characters.")
    if not composed.isprintable():
        raise InvalidRequest("invalid_pin", "The PIN must consist of printable characters.")
    return composed


class Pin(Record, frozen=True, kw_only=True, gc=False):
    """A user's PIN, as a hash under the pepper of the root key *kid*.

    *subject_born_at* ties it to its subject: a later subject of the same id does not inherit it.
    """

    kind: ClassVar[Kind] = Kind.PIN
    project: ProjectId
    subject: SubjectId
    partition: Partition
    subject_born_at: Instant
    hash: str
    kid: int
    set_at: Instant

    def __repr__(self) -> str:
        return f"Pin(subject={self.subject!r}, …)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("subject", self.subject)]

    @property
    def key(self) -> Key:
        return pin_key(self.project, self.subject, self.partition)

    @property
    def owner(self) -> str | None:
        return self.subject

    @property
    def sorted_at(self) -> Instant:
        return self.subject_born_at

    def belongs_to(self, subject: Subject | None) -> bool:
        """Tell whether this is the PIN of *subject*, the one that lives now."""
        return subject is not None and subject.created_at == self.subject_born_at


def pin_key(project: ProjectId, subject: SubjectId, partition: Partition) -> Key:
    """Return the key of a user's PIN; it lies beside its subject."""
    return Key(Kind.PIN, partition, project, subject.encode())


# -- attempts ---------------------------------------------------------------------------------------------------


class Counted(enum.Enum):
    """What a counter counts the failures of."""

    ACCOUNT_AT_ADDRESS = enum.auto()
    ADDRESS = enum.auto()
    ACCOUNT = enum.auto()
    KNOWN_COOKIE = enum.auto()


class Attempts(Record, frozen=True, kw_only=True, gc=False):
    """A counter of failed attempts; its id is a keyed hash of what it counts.

    *failures* are those of the window that began at *since*, *consecutive* those since the last success, *failed_at*
    is the last one's instant. *succeeded_at* is the last success of this account from this address. *account* is
    the owner of a counter that belongs to one.
    """

    kind: ClassVar[Kind] = Kind.ATTEMPTS
    project: ProjectId
    partition: Partition
    id: bytes
    account: SubjectId | None = None
    failures: int = 0
    since: Instant = 0
    failed_at: Instant = 0
    consecutive: int = 0
    succeeded_at: Instant | None = None
    forgotten_at: Instant | None = None

    @property
    def key(self) -> Key:
        return Key(Kind.ATTEMPTS, self.partition, self.project, self.id)

    @property
    def owner(self) -> str | None:
        return self.account

    @property
    def sorted_at(self) -> Instant:
        return max(self.failed_at, self.succeeded_at or 0)

    @property
    def purge_at(self) -> Instant | None:
        return self.forgotten_at


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """What failures cost: *free* ones in a *window*, then growing waits up to *longest_wait*.

    Without *grows* the wait lasts to the window's end instead. *closes_after* consecutive failures close it for good.
    *keeps* is how long the counter is kept after its last change; None: for good.
    """

    window: timedelta
    free: int
    longest_wait: timedelta
    grows: bool = True
    closes_after: int | None = None
    keeps: timedelta | None = None


def limit_of(counted: Counted, rules: PinRules) -> Limit:
    """Return the limit that *rules* set for a counter."""
    longest = rules.longest_wait
    match counted:
        case Counted.ACCOUNT_AT_ADDRESS:
            return Limit(window=_DAY, free=rules.free_attempts, longest_wait=longest, keeps=_DAY)
        case Counted.ADDRESS:
            return Limit(window=_DAY, free=rules.address_free_attempts, longest_wait=longest, keeps=_DAY)
        case Counted.KNOWN_COOKIE:
            return Limit(window=_DAY, free=rules.free_attempts, longest_wait=longest, keeps=_DAY)
        case Counted.ACCOUNT:
            return Limit(
                window=_HOUR,
                free=rules.account_attempts_per_hour,
                longest_wait=longest,
                grows=False,
                closes_after=rules.account_closes_after,
            )


def growing_wait(failures: int, limit: Limit) -> timedelta:
    """Return how long to wait after *failures*: none while they are free, then 30 s, doubled by each further one."""
    beyond = failures - limit.free
    if beyond < 0:
        return timedelta(0)
    return min(limit.longest_wait, _FIRST_WAIT * (1 << min(beyond, _MOST_DOUBLINGS)))


def closed(attempts: Attempts, limit: Limit) -> bool:
    """Tell whether the account is closed to clients that are not known."""
    return limit.closes_after is not None and attempts.consecutive >= limit.closes_after


def wait_of(attempts: Attempts, limit: Limit, now: Instant) -> int:
    """Return how many milliseconds from *now* the next attempt counts; 0: at once.

    A closed account answers with the longest wait, though no wait opens it. A clock that went back makes no wait
    longer than the longest.
    """
    if closed(attempts, limit):
        return millis(limit.longest_wait)
    if _window_over(attempts, limit, now) or attempts.failures < limit.free:
        return 0
    if not limit.grows:
        return min(later(attempts.since, limit.window) - now, millis(limit.window))
    wait = growing_wait(attempts.failures, limit)
    return max(0, min(later(attempts.failed_at, wait) - now, millis(wait)))


def reserved(attempts: Attempts, limit: Limit, now: Instant) -> Attempts:
    """Return the counter with one failure more, in a new window where the former is over."""
    fresh = _window_over(attempts, limit, now)
    forgotten_at = attempts.forgotten_at or 0
    return msgspec.structs.replace(
        attempts,
        failures=1 if fresh else attempts.failures + 1,
        since=now if fresh else attempts.since,
        failed_at=now,
        consecutive=attempts.consecutive + 1,
        forgotten_at=None if limit.keeps is None else max(forgotten_at, later(now, limit.keeps)),
        version=attempts.version + 1,
    )


def released(attempts: Attempts) -> Attempts:
    """Return the counter without the failure that a success had reserved; failures are no longer consecutive."""
    return msgspec.structs.replace(reopened(attempts), failures=max(0, attempts.failures - 1))


def reopened(attempts: Attempts) -> Attempts:
    """Return an account's counter after a success that was not counted there: it is not closed any more."""
    return msgspec.structs.replace(attempts, consecutive=0, version=attempts.version + 1)


def cleared(attempts: Attempts) -> Attempts:
    """Return the counter without failures; a client that is known stays known."""
    return msgspec.structs.replace(reopened(attempts), failures=0)


def succeeded(attempts: Attempts, rules: PinRules, now: Instant) -> Attempts:
    """Return the counter of an account at an address after a success: no failures, and the client is known."""
    kept_until = later(now, max(rules.known_client_for, _DAY))
    return msgspec.structs.replace(cleared(attempts), succeeded_at=now, forgotten_at=kept_until)


def known_since(succeeded_at: Instant | None, pin_set_at: Instant, *, now: Instant, rules: PinRules) -> bool:
    """Tell whether a success then, with the PIN of today, still makes a client known."""
    if succeeded_at is None or succeeded_at < pin_set_at:
        return False
    return now < later(succeeded_at, rules.known_client_for)


def throttled(wait_ms: int) -> Throttled:
    """Return the refusal of an attempt that comes *wait_ms* too early; the same for known and unknown names."""
    seconds = -(-wait_ms // 1000)
    return Throttled(
        "too_many_attempts",
        f"Too many failed attempts; try again in {seconds} s.",
        retry_after_seconds=seconds,
    )


def _window_over(attempts: Attempts, limit: Limit, now: Instant) -> bool:
    return now >= later(attempts.since, limit.window)
