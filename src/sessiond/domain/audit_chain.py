"""The chain of a project's events: links that each name the one before, the head that is signed, and who may append.

A link names its events by keyed hashes, two each: *kept* is over what never changes, *whole* over all of it. Erasing
rewrites what is personal, so *whole* may differ where the event carries a proof that it was rewritten (decision 0070).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import starmap
from typing import ClassVar, NamedTuple

import msgspec

from sessiond.domain.events import Event
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, ProjectId
from sessiond.domain.instants import Instant
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.records import Key, Kind, Record

PROOF = "rewritten"
"""The member of an event's data that proves that erasing rewrote it: a keyed hash of what it says now."""

LEASE_MS = 15_000
RENEWED_EVERY_MS = 5_000
MOST_ENTRIES = 1000
"""How many events one link names at most."""

BEGINNING = bytes(32)
"""What the first link names as the one before it."""

_ENTRY = struct.Struct(">HQQ16s16s")
_LONGEST_LEASE_MS = 4 * LEASE_MS
_LONGEST_NUMBER = 15
_encode = msgspec.json.Encoder(order="deterministic").encode

Told = tuple[int, Event]
"""An event, with its sequence before it."""

Tag = Callable[[bytes], bytes]
"""A keyed hash of 16 bytes, under the project's audit key."""


class Entry(NamedTuple):
    """What a link says of one event."""

    partition: Partition
    sequence: int
    at: Instant
    kept: bytes
    whole: bytes


def entry_of(sequence: int, event: Event, tag: Tag) -> Entry:
    """Return what a link says of *event*."""
    kept = _kept(sequence, event)
    whole = tag(b"whole" + kept + _rest(event))
    return Entry(event.partition, sequence, event.at, tag(b"kept" + kept), whole)


def with_proof(sequence: int, event: Event, text_of: Callable[[bytes], str]) -> Event:
    """Return *event*, which erasing rewrote, with the proof of that; a former one is replaced."""
    bare = _without_proof(event)
    proof = text_of(b"rewritten" + _kept(sequence, bare) + _rest(bare))
    return msgspec.structs.replace(bare, data={**bare.data, PROOF: proof})


def is_proved(sequence: int, event: Event, text_of: Callable[[bytes], str]) -> bool:
    """Tell whether *event* carries the proof that erasing made it what it is."""
    return with_proof(sequence, event, text_of) == event


def _without_proof(event: Event) -> Event:
    data = {member: value for member, value in event.data.items() if member != PROOF}
    return msgspec.structs.replace(event, data=data)


def _kept(sequence: int, event: Event) -> bytes:
    session = None if event.session is None else event.session.hex()
    return _encode([event.partition, sequence, event.at, event.type, event.project, session])


def _rest(event: Event) -> bytes:
    return _encode([event.subject, event.by, event.data])


class Link(Record, frozen=True, kw_only=True, gc=False):
    """Events of one project, in the order in which they were sealed, each partition's by their sequence.

    *turn* is the round of sealing that made it: what another sealer must look at when it takes over.
    """

    kind: ClassVar[Kind] = Kind.AUDIT_LINK
    project: ProjectId
    partition: Partition
    number: int
    previous: bytes
    sealed_at: Instant
    turn: int
    packed: bytes

    @property
    def key(self) -> Key:
        return link_key(self.project, self.partition, self.number)

    @property
    def sorted_at(self) -> Instant:
        return self.sealed_at

    def entries(self) -> Sequence[Entry]:
        """Return what it says of its events. Raises `ValueError` where that is no list of entries."""
        if len(self.packed) % _ENTRY.size:
            raise ValueError("the link is cut")
        return [
            Entry(Partition(partition), sequence, at, kept, whole)
            for partition, sequence, at, kept, whole in _ENTRY.iter_unpack(self.packed)
        ]

    def newest_at(self) -> Instant:
        """Return when the latest of its events happened."""
        return max(entry.at for entry in self.entries())

    def digest(self) -> bytes:
        """Return the hash (SHA-256) by which the next link and the head name it."""
        fixed = f"sessiond|v1|audit|{self.project}|{self.number}|{self.sealed_at}|".encode()
        return hashlib.sha256(fixed + self.previous + self.packed).digest()


def packed(entries: Iterable[Entry]) -> bytes:
    """Return entries as a link holds them."""
    return b"".join(starmap(_ENTRY.pack, entries))


def link_key(project: ProjectId, partition: Partition, number: int) -> Key:
    """Return the key of a project's link by its number, from 1."""
    return Key(Kind.AUDIT_LINK, partition, project, b"%016d" % number)


class Head(Record, frozen=True, kw_only=True, gc=False):
    """The end of a project's chain, signed; and its beginning, once retention has removed what was before.

    *first* is the number of the first link that is kept, *before* the hash of the one before it, *first_until* when the
    latest event of that link happened. *fence* is of the lease under which it was written last.
    """

    kind: ClassVar[Kind] = Kind.AUDIT_HEAD
    project: ProjectId
    partition: Partition
    number: int
    digest: bytes
    sealed_at: Instant
    first: int
    before: bytes
    first_until: Instant
    fence: int
    signature: bytes = b""

    @property
    def key(self) -> Key:
        return head_key(self.project, self.partition)

    def signed(self, tag: Tag) -> Head:
        """Return the head with its signature."""
        return msgspec.structs.replace(self, signature=tag(self._said()))

    def is_signed(self, tag: Tag) -> bool:
        """Tell whether the signature is of what the head says."""
        return hmac.compare_digest(self.signature, tag(self._said()))

    def text(self) -> str:
        """Return the head as the log has it and as an operator keeps it: the link's number and its hash."""
        return f"{self.number}:{self.digest.hex()}"

    def _said(self) -> bytes:
        numbers = f"{self.number}|{self.sealed_at}|{self.first}|{self.first_until}|"
        return b"head" + numbers.encode() + self.digest + self.before


def head_key(project: ProjectId, partition: Partition) -> Key:
    """Return the key of a project's head."""
    return Key(Kind.AUDIT_HEAD, partition, project, b"")


def parse_head(text: str) -> tuple[int, bytes] | None:
    """Return the number and the hash of a head that an operator kept, or None for another text."""
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdecimal()) or len(number) > _LONGEST_NUMBER:
        return None
    try:
        parsed = bytes.fromhex(digest)
    except ValueError:
        return None
    return (int(number), parsed) if len(parsed) == len(BEGINNING) and " " not in digest else None


class Lease(Record, frozen=True, kw_only=True, gc=False):
    """Who seals for the deployment, until when, and how far all projects are sealed.

    *mark* is the store's own (`Store.follow`), as of the round *turn*. Everything that was committed before
    *sealed_until* is sealed. Events that happened before *purged_before* may be gone.
    """

    kind: ClassVar[Kind] = Kind.AUDIT_LEASE
    holder: str
    until: Instant
    fence: int
    turn: int = 0
    mark: bytes = b""
    sealed_until: Instant = 0
    purged_before: Instant = 0
    signature: bytes = b""

    @property
    def key(self) -> Key:
        return lease_key()

    def is_free(self, now: Instant) -> bool:
        """Tell whether somebody else may take it: it is over, or ends so late that only a wrong clock explains it."""
        return not now < self.until <= now + _LONGEST_LEASE_MS

    def taken(self, holder: str, now: Instant) -> Lease:
        """Return the lease that *holder* takes now; the fence tells whoever had it before apart."""
        return msgspec.structs.replace(
            self, holder=holder, until=now + LEASE_MS, fence=self.fence + 1, version=self.version + 1
        )

    def renewed(self, now: Instant) -> Lease:
        """Return the lease that its holder keeps."""
        return msgspec.structs.replace(self, until=now + LEASE_MS, version=self.version + 1)

    def released(self) -> Lease:
        """Return the lease that anybody may take at once."""
        return msgspec.structs.replace(self, until=0, version=self.version + 1)

    def signed(self, tag: Tag) -> Lease:
        """Return the lease with its signature, which covers what a check relies on."""
        return msgspec.structs.replace(self, signature=tag(self._said()))

    def is_signed(self, tag: Tag) -> bool:
        """Tell whether the signature is of what the lease says."""
        return hmac.compare_digest(self.signature, tag(self._said()))

    def _said(self) -> bytes:
        return f"lease|{self.sealed_until}|{self.purged_before}".encode()


def lease_key() -> Key:
    """Return the key of the deployment's one lease."""
    return Key(Kind.AUDIT_LEASE, CONTROL_PARTITION, DEFAULT_PROJECT, b"")


def appended(
    head: Head | None,
    entries: Sequence[Entry],
    *,
    project: ProjectId,
    partition: Partition,
    now: Instant,
    turn: int,
    fence: int,
) -> tuple[Link, Head]:
    """Return the link that names *entries* after *head* (None: the first), and the head that follows, unsigned."""
    link = Link(
        project=project,
        partition=partition,
        number=1 if head is None else head.number + 1,
        previous=BEGINNING if head is None else head.digest,
        sealed_at=now if head is None else max(now, head.sealed_at),
        turn=turn,
        packed=packed(entries),
    )
    return link, Head(
        version=1 if head is None else head.version + 1,
        project=project,
        partition=partition,
        number=link.number,
        digest=link.digest(),
        sealed_at=link.sealed_at,
        first=link.number if head is None else head.first,
        before=BEGINNING if head is None else head.before,
        first_until=link.newest_at() if head is None else head.first_until,
        fence=fence,
    )


def without_first(head: Head, first: Link, second: Link) -> Head:
    """Return the head of the chain that begins with *second*, once *first* is removed."""
    return msgspec.structs.replace(
        head, first=second.number, before=first.digest(), first_until=second.newest_at()
    )
