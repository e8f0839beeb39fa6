"""How a partition lies in Redis: its keys, the fields and values in them, and the members of its index.

All keys of a partition share one hash tag, so that one script may change them. Under `{NAMESPACE:PARTITION}:`

| key | type | what it holds |
|---|---|---|
| `s:` project, id | string | a session |
| `r` | hash | every other record by its field; at `#` the last sequence of the partition's events, at `!` the fence |
| `i` | sorted set | the index: all scores 0, members in the order of their bytes (below) |
| `g` | sorted set | sessions by the instant of their end: the sooner of revocation and absolute limit |
| `d` | sorted set | other records by the instant from which a purge may remove them |
| `e` | sorted set | events by their sequence |

A *field* names a record: its kind, a zero byte, the 16 bytes of its project, its id. In the index a record has the
member `x` prefix, sorted_at, id, expires_at, and with an owner also `o` prefix, length and bytes of the owner,
sorted_at, id, expires_at; *prefix* is the field up to the id. Numbers are 8 bytes, big-endian, so that bytes sort as
they do.
The same layout stands in the header of `scripts/write.lua`, which keeps the index.
"""

from __future__ import annotations

import binascii
import functools
import os
import struct
from typing import NamedTuple

import msgspec

from sessiond.domain.events import Event
from sessiond.domain.ids import PARTITIONS, Partition, ProjectId, SessionId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session
from sessiond.storage.engines.redis.commands import bulk
from sessiond.storage.kinds import record_types

NEVER = (1 << 56) - 1
"""Stands for no instant; its first byte is zero like every instant's, so that no id sorts between."""

FENCE = b"!"
"""Where the hash of records says that the partition is not to be written any more."""

SLOTS = 16384
KEYS_OF_A_WRITE = 5
_NO_OWNER = 0xFFFF
_SESSION_HEAD = struct.Struct(">QQQQQQQ")
_RECORD_HEAD = struct.Struct(">QQQ8s")
_SHORT = struct.Struct(">H")
_STAMP = slice(24, 32)
_encode = msgspec.json.Encoder().encode  # as an application's metadata may hold any number that JSON can
_decode_session = msgspec.json.Decoder(Session).decode
_decode_event = msgspec.json.Decoder(Event).decode


class Keys(NamedTuple):
    """The keys of one partition, the beginning of its sessions' keys, and the slot they all lie in."""

    records: bytes
    entries: bytes
    going: bytes
    due: bytes
    events: bytes
    sessions: bytes
    slot: int
    packed: bytes
    """Those `of_a_write` as they go over the wire."""

    @property
    def of_a_write(self) -> tuple[bytes, ...]:
        """The keys that a write declares before those of its sessions, `KEYS_OF_A_WRITE` in number."""
        return (self.records, self.entries, self.going, self.due, self.events)


class Layout:
    """The keys of all partitions of one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace.encode()
        self.channel = self._namespace + b":feed"
        """On which the nodes tell each other what changed."""
        self.partitions = [self._keys(Partition(n)) for n in range(PARTITIONS)]

    def __getitem__(self, partition: Partition) -> Keys:
        """Return the keys of *partition*."""
        return self.partitions[partition]

    def session(self, partition: Partition, project: ProjectId, session: SessionId) -> bytes:
        """Return the key of a session."""
        return self.partitions[partition].sessions + project_bytes(project) + session

    def of_control(self, name: bytes) -> bytes:
        """Return a key of the whole namespace; it lies where the control records do."""
        return self._tag(Partition(0)) + b"control:" + name

    def _tag(self, partition: Partition) -> bytes:
        return b"{%s:%03x}:" % (self._namespace, partition)

    def _keys(self, partition: Partition) -> Keys:
        tag = self._tag(partition)
        slot = binascii.crc_hqx(tag[1:-2], 0) % SLOTS
        records, entries, going, due, events = (tag + name for name in (b"r", b"i", b"g", b"d", b"e"))
        packed = b"".join(map(bulk, (records, entries, going, due, events)))
        return Keys(records, entries, going, due, events, tag + b"s:", slot, packed)


@functools.lru_cache(maxsize=4096)
def project_bytes(project: ProjectId) -> bytes:
    """Return the 16 bytes of a project's id."""
    return bytes.fromhex(project.replace("-", ""))


@functools.lru_cache(maxsize=4096)
def prefix(kind: Kind, project: ProjectId) -> bytes:
    """Return what the fields of this kind and project begin with."""
    return kind.encode() + b"\0" + project_bytes(project)


def field(key: Key) -> bytes:
    """Return the field that names the record at *key*."""
    return prefix(key.kind, key.project) + key.id


def instant(at: Instant | None) -> bytes:
    """Return the 8 bytes of an instant, or of none."""
    return (NEVER if at is None else at).to_bytes(8)


def session_value(session: Session) -> bytes:
    """Return a session's value: what scripts read or change, the owner, how it ended, then all of it."""
    head = _SESSION_HEAD.pack(
        session.version,
        session.created_at,
        session.expires_at,
        session.last_seen_at,
        session.seen_generation,
        session.generation,
        0 if session.revoked_at is None else session.revoked_at + 1,
    )
    owner = session.subject.encode()
    reason = (session.revoked_reason or "").encode()
    return b"".join(
        (head, _SHORT.pack(len(owner)), owner, _SHORT.pack(len(reason)), reason, _encode(session))
    )


def session_from(value: bytes) -> Session:
    """Return the session that a value holds: its head is newer than its body."""
    version, _, _, last_seen_at, seen_generation, _, revoked = _SESSION_HEAD.unpack_from(value)
    end = _after_short(value, _SESSION_HEAD.size)
    body = _after_short(value, end)
    session = _decode_session(memoryview(value)[body:])
    if (
        version == session.version
        and last_seen_at == session.last_seen_at
        and seen_generation == session.seen_generation
    ):
        return session
    ended = revoked > 0
    return msgspec.structs.replace(
        session,
        version=version,
        last_seen_at=last_seen_at,
        seen_generation=seen_generation,
        revoked_at=revoked - 1 if ended else None,
        revoked_reason=value[end + 2 : body].decode() if ended else None,
    )


def record_value(record: Record) -> bytes:
    """Return the value of a record of any other kind. Its stamp is new at each write: equal stamps, equal values."""
    head = _RECORD_HEAD.pack(
        record.version,
        record.sorted_at,
        NEVER if record.expires_at_or_none is None else record.expires_at_or_none,
        os.urandom(8),
    )
    if record.owner is None:
        return head + _SHORT.pack(_NO_OWNER) + _encode(record)
    owner = record.owner.encode()
    return head + _SHORT.pack(len(owner)) + owner + _encode(record)


def stamp_of(value: bytes) -> bytes:
    """Return the stamp of a record's value."""
    return value[_STAMP]


@functools.cache
def _decoder(kind: Kind) -> msgspec.json.Decoder[Record]:
    return msgspec.json.Decoder(record_types()[kind])


def record_from(kind: Kind, value: bytes) -> Record:
    """Return the record of *kind* that *value* holds."""
    if kind is Kind.SESSION:
        return session_from(value)
    return _decoder(kind).decode(memoryview(value)[_after_short(value, _RECORD_HEAD.size) :])


def _after_short(value: bytes, at: int) -> int:
    """Return where the text ends whose length stands at *at*."""
    (length,) = _SHORT.unpack_from(value, at)
    return at + 2 + (0 if length == _NO_OWNER else length)


def event_value(event: Event) -> bytes:
    """Return what is stored of an event behind its sequence and instant."""
    return instant(event.at) + _encode(event)


def event_from(member: bytes) -> tuple[int, Event]:
    """Return the sequence and the event of a member of the sorted set of events."""
    return int.from_bytes(member[:8]), _decode_event(memoryview(member)[16:])


def listed(kind: Kind, project: ProjectId, owner: str | None = None) -> bytes:
    """Return what the index members of this kind, project and owner begin with."""
    if owner is None:
        return b"x" + prefix(kind, project)
    return b"o" + prefix(kind, project) + _SHORT.pack(len(owner.encode())) + owner.encode()


class Entry(NamedTuple):
    """A record as its index member tells of it, in the order of scans."""

    sorted_at: Instant
    id: bytes
    expires_at: Instant


def entry_from(member: bytes, beginning: int) -> Entry:
    """Return the entry in an index member, *beginning* bytes of which are known."""
    at = beginning + 8
    return Entry(int.from_bytes(member[beginning:at]), member[at:-8], int.from_bytes(member[-8:]))


def session_place(session: SessionId) -> bytes:
    """Return where a session's entry stands in an index, as far as its id tells: the instant of birth, the id."""
    return b"\0\0" + session[:6] + session
