"""What the services need from outside: a store, a clock, entropy. Each sentence on the store is a contract test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from sessiond.crypto.secrets import Secret
from sessiond.domain.events import Event
from sessiond.domain.freshness import Staleness
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session, Standing
from sessiond.services.measures import StoreMeasures


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One atomic intent within one partition.

    *expects* names the version each record must have now (0: it must be absent). Every key that is put or deleted
    must be expected; a key that is only expected is a guard.
    """

    partition: Partition
    expects: Mapping[Key, int]
    puts: Sequence[Record] = ()
    deletes: Sequence[Key] = ()
    events: Sequence[Event] = ()

    @classmethod
    def replacing(cls, old: Record, new: Record, *events: Event) -> Change:
        """Return the change that puts *new* in the place of *old*, unless somebody wrote first, and tells *events*."""
        key = old.key
        return cls(partition=key.partition, expects={key: old.version}, puts=(new,), events=events)

    @classmethod
    def telling(cls, event: Event) -> Change:
        """Return the change that writes *event* and nothing else, whatever is there."""
        return cls(partition=event.partition, expects={}, events=[event])


class Revocation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One session to be ended, with the event to be written if this is what ends it."""

    project: ProjectId
    session: SessionId
    reason: str
    at: Instant
    event: Event


class Touch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session was seen at *seen_at* with an access token of *generation*."""

    project: ProjectId
    session: SessionId
    seen_at: Instant
    generation: int


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which records a scan is about; None means any.

    *owner* compares with the record's `owner`. *expired_at* with *expired* selects by whether the record's
    `expires_at_or_none` has been reached at that instant. *partition* is where all of them lie, where the caller knows
    it: an engine that keeps partitions apart looks nowhere else.
    """

    kind: Kind
    project: ProjectId | None = None
    owner: str | None = None
    expired_at: Instant | None = None
    expired: bool = False
    partition: Partition | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a page of a scan ended: the `sorted_at` of its last record, and the id in that record's key."""

    sorted_at: Instant
    id: bytes

    @classmethod
    def of(cls, record: Record) -> Place:
        """Return the place of a page that ended with *record*."""
        return cls(record.sorted_at, record.key.id)


class Store(Protocol):
    """Records with compare-and-swap within a partition. One implementation per engine.

    Every method raises `Unavailable` (`store_unavailable`) when the engine cannot answer, and then nothing that was
    acknowledged is lost. A write is durable before its method returns. No method reads a clock.
    """

    @property
    def reads_wait(self) -> bool:
        """Whether a read waits for another process, so that what is read together spares a wait."""
        ...

    async def get(self, key: Key) -> Record | None:
        """Return the record at *key* as of now, or None when absent."""
        ...

    async def get_many(self, keys: Sequence[Key]) -> Sequence[Record | None]:
        """Return the records at *keys* in their order, read at one instant, None where absent."""
        ...

    async def find_session(self, project: ProjectId, session: SessionId) -> Standing | None:
        """Return the session with its subject, project, deployment and whoever acts in it, or None.

        It sees every write that was acknowledged, by any process, before the call. All is read at one instant, but for
        the acting subject and that subject's session, which may be of a later one.
        """
        ...

    def peek_session(self, project: ProjectId, session: SessionId) -> Standing | None:
        """Return what `find_session` would, from memory and without waiting, or None when only a read can tell.

        It is as strict as `find_session`: never an answer that an acknowledged write has overtaken. Only where the
        store has a `staleness` it may have been overtaken, and then for no longer than that allows; so it is for
        admitting a verify and for nothing else.
        """
        ...

    async def list_by_subject(
        self,
        project: ProjectId,
        subject: SubjectId,
        *,
        live_at: Instant | None = None,
        limit: int | None = None,
        before: SessionId | None = None,
        partition: Partition | None = None,
    ) -> Sequence[Session]:
        """Return a subject's sessions, newest id first.

        With *live_at* only those that are not revoked and whose absolute and idle limits lie after it (epochs are
        not looked at). At most *limit*, and only ids below *before*. *partition* is the subject's, where the caller
        knows it, as in a `Selection`.
        """
        ...

    async def scan(
        self, selection: Selection, *, limit: int, offset: int = 0, after: Place | None = None
    ) -> Sequence[Record]:
        """Return at most *limit* records, newest `sorted_at` first (then highest id), after skipping *offset*.

        With *after* only those that come later in this order than that place, whether or not its record is still
        there: pages that begin where the last one ended miss nothing and repeat nothing, whatever is written
        meanwhile. It asks for a selection of one project, in which no two records of a kind have the same id.
        """
        ...

    async def count(self, selection: Selection) -> int:
        """Return how many records the selection holds."""
        ...

    async def apply(self, change: Change) -> None:
        """Write the whole change, or raise `Conflict` and write nothing if any expectation does not hold.

        A put replaces the record whole, except that a session's `last_seen_at` and `seen_generation` never fall. That a
        session of another project has the id of one that is put may be a `Conflict`, and changes nothing in that one.
        Raises `ValueError` when a key that is put or deleted is not expected, or lies in another partition.
        """
        ...

    async def revoke(self, revocations: Sequence[Revocation]) -> Sequence[Session | None]:
        """End each session, unconditionally: the first revocation wins and keeps its time and reason.

        Return, in order, the session as it is now, or None where absent. The version rises by one when this call
        ended the session; only then is its event written.
        """
        ...

    async def touch(self, touches: Sequence[Touch]) -> None:
        """Raise `last_seen_at` and `seen_generation` to the given values where they are lower.

        `seen_generation` never passes the session's generation. The version does not change; an absent session is
        not created and a revoked one not changed.
        """
        ...

    async def events(
        self,
        *,
        after: int,
        limit: int,
        project: ProjectId | None = None,
        partition: Partition | None = None,
    ) -> Sequence[tuple[int, Event]]:
        """Return events with their sequence, lowest first, whose sequence is above *after*.

        Sequences rise strictly, in the order of commits, within a partition. Across the partitions of an engine with
        several writers the order is approximate: who must miss nothing follows each partition by itself.
        """
        ...

    async def follow(
        self, mark: bytes, *, limit: int, everywhere: bool = True
    ) -> tuple[Sequence[tuple[int, Event]], bytes]:
        """Return the next events and the mark from which to go on; the first mark of all is empty.

        From mark to mark none is missed and none told twice, whoever writes meanwhile; those of a partition come in the
        order of their sequence. Fewer than *limit*: there were no more. Every engine understands each other's marks.
        Unless *everywhere*, what a process wrote may be left for later until that process calls `newest_event`.
        """
        ...

    async def rewrite_events(self, rewritten: Sequence[tuple[int, Event]]) -> None:
        """Replace what is told at each sequence, in the partition of the event that is given; all else stays.

        One that is not there (any more) is skipped. The sequence, the partition and the order do not change.
        """
        ...

    async def newest_event(self) -> int:
        """Return the highest sequence ever written, 0 for none; it never falls, also after a purge."""
        ...

    async def purge(self, *, ended_before: Instant, due_before: Instant, limit: int) -> int:
        """Remove at most *limit* records that may go, and return how many went.

        Sessions that ended (revoked, or past their absolute limit) before *ended_before*; other records whose
        `purge_at` lies before *due_before*. Expired is not purged: what is younger stays.
        """
        ...

    async def purge_events(self, *, before: Instant, limit: int) -> int:
        """Remove at most *limit* of the oldest events that happened before *before*, and return how many went."""
        ...

    def check(self) -> None:
        """Look, without waiting, whether the store is still the one that was opened; asked each second by the edge.

        Raises `Unavailable` if it is not, and from then on every method does, until it is opened anew.
        """
        ...

    def durability(self) -> str | None:
        """Return in words what an acknowledged write rests on now, None where only its disk's loss can take it back."""
        ...

    def staleness(self) -> Staleness | None:
        """Return how old what `peek_session` answers may be, None where it is as strict as a read."""
        ...

    def measures(self) -> StoreMeasures:
        """Return what was counted since it was opened, without waiting; also while the engine cannot answer."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and let go of everything. Every method raises `Unavailable` afterwards."""
        ...


class Clock(Protocol):
    """Time. Monotone between readings."""

    def now(self) -> Instant:
        """Return the present instant; never less than the one returned before."""
        ...

    def stepped_since(self, instant: Instant) -> bool:
        """Tell whether a step of over five seconds lies between *instant* and now, and less than an hour ago.

        So it does while time leads the wall clock, which was set back. Then how long ago *instant* was cannot be told,
        and nothing may end because of it.
        """
        ...


class Entropy(Protocol):
    """Randomness from the operating system."""

    def bytes(self, count: int) -> bytes:
        """Return *count* bytes that nobody can guess."""
        ...


class Observer(Protocol):
    """Counts what is no event: successful refreshes and verifies, twins, throttled attempts."""

    def count(self, what: str) -> None:
        """Count one *what* (`verify`, `verify_peeked`, `refresh`, `refresh_twin`, …)."""
        ...


class KeyWrapper(Protocol):
    """A key service: it keeps a key to itself, and wraps other keys under it.

    It is asked at a start, when the key ring moves to another wrapping key, and by each node once after that; never
    for a request. Both verbs wait for its answer. They raise `Unavailable` (`key_service_unavailable`) when it does not
    answer, `Misconfigured` when it refuses, and say nothing of the key in either.
    """

    def wrap(self, key: bytes, *, install_id: str) -> bytes:
        """Return the 32 bytes of *key* wrapped for the installation *install_id*; they are not found in it."""
        ...

    def unwrap(self, wrapped: bytes, *, install_id: str) -> bytes:
        """Return the key that was wrapped; `Misconfigured` where it was changed, or for another installation."""
        ...


class MasterTokenKeeper(Protocol):
    """Keeps the master token where the operator of this machine can read it, and nobody else."""

    def replacing(self, token: Secret) -> AbstractContextManager[None]:
        """Replace the kept master token by *token*, durably, once the body of the `with` has succeeded.

        Raises `Unavailable` before the body where the token cannot be written; one at a time.
        """
        ...
