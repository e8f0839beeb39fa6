"""What every stored record shares: a kind, a key, a version. A record is the unit of compare-and-swap."""

from __future__ import annotations

import enum
from typing import ClassVar, TypeVar

import msgspec

from sessiond.domain.ids import Partition, ProjectId
from sessiond.domain.instants import Instant


class Kind(enum.StrEnum):
    """The kinds of records, as engines name them."""

    DEPLOYMENT = "deployment"
    PROJECT = "project"
    SUBJECT = "subject"
    SESSION = "session"
    SERVER_KEY = "server_key"
    PIN = "pin"
    ATTEMPTS = "attempts"
    VAULT_ENTRY = "vault_entry"
    TALLY = "tally"
    REPLAY = "replay"
    ALLOTMENT = "allotment"
    AUDIT_LINK = "audit_link"
    AUDIT_HEAD = "audit_head"
    AUDIT_LEASE = "audit_lease"


class Key(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """Where a record lies: its kind, its partition, its project and its id (a session's 16 bytes, else UTF-8)."""

    kind: Kind
    partition: Partition
    project: ProjectId
    id: bytes


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stored record. *version* is 1 when it is first put and one more at each put after.

    The four class-level answers tell an engine what to index, so that no engine needs to know a kind.
    """

    kind: ClassVar[Kind]
    version: int = 1

    @property
    def key(self) -> Key:
        """Where this record lies."""
        raise NotImplementedError

    @property
    def owner(self) -> str | None:
        """The subject id that `scan(owner=…)` finds this record by, if any."""
        return None

    @property
    def sorted_at(self) -> Instant:
        """The instant that scans order by, newest first."""
        return 0

    @property
    def expires_at_or_none(self) -> Instant | None:
        """The instant from which the record counts as expired for scans, if any."""
        return None

    @property
    def purge_at(self) -> Instant | None:
        """The instant from which a purge may remove the record, if ever."""
        return None


AnyRecord = TypeVar("AnyRecord", bound=Record)
