"""Remembering creates by `Idempotency-Key`, in the create's own change, so that a retry can never create twice."""

from __future__ import annotations

import msgspec

from sessiond.crypto.purposes import Purpose
from sessiond.domain.ids import Partition, ProjectId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key
from sessiond.domain.replays import Replay, check_idempotency_key, replay_key
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Store


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A create that may be a retry: where it is remembered, and what is asked.

    *claim* is where the key itself is tied to the request, for callers whose creates lie in many partitions.
    """

    key: Key
    request: bytes
    claim: Key | None


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a ticket: the first create, if there was one, and what a new one has to expect."""

    first: Replay | None
    expects: int
    claim_expects: int | None


class Replays:
    """Finds and records creates that came with a key."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    def ticket(
        self,
        project: ProjectId,
        partition: Partition,
        *,
        idempotency_key: str,
        scope: str | None,
        request: tuple[object, ...],
    ) -> Ticket:
        """Return the ticket of a create in *partition*.

        *scope* None: the caller speaks for the whole project, and its keys are told apart across all partitions.
        *request* is everything that makes two creates the same.
        """
        named = ("replay", scope, check_idempotency_key(idempotency_key))
        name = self._hash(project, named)
        claim = None
        if scope is None:
            home = self._keys.partition(project, SubjectId(f"replay|{name.hex()}"))
            claim = replay_key(project, home, b"claim|" + name)
        return Ticket(
            key=replay_key(project, partition, name),
            request=self._hash(project, ("request", *request)),
            claim=claim,
        )

    def about(self, project: ProjectId, subject: SubjectId) -> str:
        """Return by what is found which creates for *subject* are remembered."""
        return self._hash(project, ("about", subject)).hex()

    def _hash(self, project: ProjectId, parts: tuple[object, ...]) -> bytes:
        return self._keys.lookup(Purpose.LOOKUP_COUNTER, msgspec.json.encode(parts).decode(), project)

    async def recall(self, ticket: Ticket, now: Instant) -> Memory:
        """Return what is remembered, or raise `IdempotencyKeyReused` if it is of another request."""
        keys = [ticket.key] if ticket.claim is None else [ticket.key, ticket.claim]
        found = [
            record if isinstance(record, Replay) else None for record in await self._store.get_many(keys)
        ]
        for record in found:
            if record is not None and record.remembered(now):
                record.repeats(ticket.request)
        first = found[0]
        claim_expects = None
        if ticket.claim is not None:
            claim = found[1]
            if claim is None or not claim.remembered(now):
                claim_expects = claim.version if claim is not None else 0
        return Memory(
            first=first if first is not None and first.remembered(now) else None,
            expects=first.version if first is not None else 0,
            claim_expects=claim_expects,
        )

    async def claim(self, ticket: Ticket, memory: Memory, now: Instant) -> None:
        """Tie the key to the request, unless it is; raises `Conflict` when another request does so at once."""
        if ticket.claim is None or memory.claim_expects is None:
            return
        await self._store.apply(
            Change(
                partition=ticket.claim.partition,
                expects={ticket.claim: memory.claim_expects},
                puts=[_record(ticket.claim, ticket.request, memory.claim_expects, now)],
            )
        )

    def remembering(
        self,
        change: Change,
        ticket: Ticket,
        memory: Memory,
        *,
        subject: SubjectId,
        created: str,
        now: Instant,
    ) -> Change:
        """Return *change*, which creates for *subject*, with the memory that it did."""
        about = self.about(ticket.key.project, subject)
        first = _record(ticket.key, ticket.request, memory.expects, now, created=created, about=about)
        return msgspec.structs.replace(
            change, expects={**change.expects, ticket.key: memory.expects}, puts=[*change.puts, first]
        )


def _record(
    key: Key,
    request: bytes,
    expected: int,
    now: Instant,
    *,
    created: str | None = None,
    about: str | None = None,
) -> Replay:
    return Replay(
        project=key.project,
        partition=key.partition,
        name=key.id,
        request=request,
        created=created,
        about=about,
        created_at=now,
        version=expected + 1,
    )
