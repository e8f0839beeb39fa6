"""Sample records for the contract suites: complete, valid, and different wherever a mix-up could hide."""

from __future__ import annotations

import itertools
from typing import TypedDict, Unpack

import msgspec

from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import (
    DEFAULT_PROJECT,
    Partition,
    ProjectId,
    SessionId,
    SubjectId,
    mint_id,
    partition_of,
)
from sessiond.domain.instants import Instant
from sessiond.domain.projects import Deployment, Epoch, LastEnding, Project, Tally
from sessiond.domain.records import Key, Record
from sessiond.domain.sessions import (
    AccessFormat,
    Actor,
    Browser,
    Client,
    Epochs,
    PriorActor,
    Session,
    SessionKind,
)
from sessiond.domain.subjects import Subject
from sessiond.services.ports import Change, Revocation

NOW: Instant = 1_760_000_000_000
HOUR = 3_600_000
PARTITION = Partition(0xABC)
ELSEWHERE = Partition(0x123)
ALICE = SubjectId("alice")
OTHER_PROJECT = ProjectId("7f3c8a52-9d41-4b6e-8f0a-2c5d1e9b7a60")

_serial = itertools.count(1)


class SessionMembers(TypedDict, total=False):
    """What a test may want to choose about a session."""

    id: SessionId
    project: ProjectId
    created_at: Instant
    last_seen_at: Instant
    expires_at: Instant
    idle_timeout_ms: int | None
    actor: Actor | None
    generation: int
    seen_generation: int
    revoked_at: Instant | None
    revoked_reason: str | None
    version: int


def session_id(at: Instant = NOW, partition: Partition = PARTITION) -> SessionId:
    """Return a new session id, born *at* that instant in *partition*."""
    return mint_id(now=at, partition=partition, entropy=next(_serial).to_bytes(8))


def session(subject: SubjectId = ALICE, **members: Unpack[SessionMembers]) -> Session:
    """Return a plain live session of *subject*; `created_at` is carried by its id."""
    created_at = members.get("created_at", NOW)
    plain = Session(
        id=session_id(created_at),
        project=DEFAULT_PROJECT,
        subject=subject,
        session_kind=SessionKind.TOKENS,
        created_at=created_at,
        authenticated_at=NOW - 1,
        last_seen_at=created_at,
        expires_at=NOW + 24 * HOUR,
        nonce=bytes(range(16)),
        kid=4_000_000_001,
        rotated_at=NOW + 2,
        epochs=Epochs(-(2**63), 2**63 - 1, 0),
    )
    return msgspec.structs.replace(plain, **members)


def full_session() -> Session:
    """Return a session with a value, unlike every default, in each of its members."""
    return Session(
        version=1,
        id=session_id(),
        project=DEFAULT_PROJECT,
        subject=SubjectId("ünïcode 'quoted\" \\ 日本"),
        session_kind=SessionKind.BROWSER,
        access_format=AccessFormat.JWT,
        created_at=NOW,
        authenticated_at=NOW + 1,
        last_seen_at=NOW + 2,
        expires_at=NOW + 3,
        idle_timeout_ms=900_000,
        client=Client(address="2001:db8::1", user_agent="Mozilla/5.0 (…)", name="Alice's phone"),
        acr="urn:example:gold",
        amr=("pwd", "otp"),
        actor=Actor(
            name="Bob",
            reason="cannot sign in",
            ticket="T-7",
            subject=SubjectId("bob"),
            partition=ELSEWHERE,
            session=session_id(partition=ELSEWHERE),
            epoch=-5,
            actor=PriorActor(name="carol", actor=PriorActor(name="dave")),
        ),
        metadata={"plan": "pro", "n": 7, "deep": {"list": [1, 2.5, None, True]}},
        linked_from=SubjectId("device_1"),
        browser=Browser(remember=False, accounts=(session_id(), session_id()), successor=session_id()),
        nonce=b"\x00\xff" * 8,
        kid=2**32 - 1,
        prev_kid=77,
        generation=9,
        rotated_at=NOW + 4,
        seen_generation=8,
        rotates=False,
        epochs=Epochs(1, -2, 3),
        revoked_at=NOW + 5,
        revoked_reason="operator",
    )


def actor(session: SessionId, *, epoch: Epoch = 11) -> Actor:
    """Return Bob, a subject of partition `ELSEWHERE`, acting by his *session*."""
    return Actor(
        name="Bob",
        reason="cannot sign in",
        subject=SubjectId("bob"),
        partition=ELSEWHERE,
        session=session,
        epoch=epoch,
    )


def subject(
    name: SubjectId = ALICE,
    *,
    project: ProjectId = DEFAULT_PROJECT,
    partition: Partition = PARTITION,
    created_at: Instant = NOW,
) -> Subject:
    """Return a subject of *partition*."""
    return Subject(
        project=project,
        id=name,
        partition=partition,
        epoch=11,
        created_at=created_at,
        name="Al",
        last_ending=LastEnding(epoch=10, at=NOW - 1, reason="revoked", by="server key"),
    )


def renewed(former: Subject, epoch: Epoch) -> Subject:
    """Return the subject under a new epoch, which ends all its sessions."""
    return former.with_epoch(epoch, now=NOW + HOUR, reason="operator", by="cli")


def project(identifier: ProjectId = DEFAULT_PROJECT) -> Project:
    """Return a project's control record."""
    ended = LastEnding(epoch=21, at=NOW - 2, reason="operator", by="cli")
    return Project(id=identifier, name="default", epoch=22, created_at=NOW, last_ending=ended)


def deployment() -> Deployment:
    """Return the deployment's record, its ring larger than a page of most engines."""
    return Deployment(
        install_id="install",
        epoch=33,
        ring=bytes(range(256)) * 40,
        ring_version=1,
        master_digest=b"\x01" * 32,
        master_generation=1,
        created_at=NOW,
        wrapped_key=b"\x00\xff" * 32,
    )


def tally(name: bytes = b"tally", **members: Instant) -> Tally:
    """Return a tally, which a purge may remove from its latest member on."""
    return Tally(project=DEFAULT_PROJECT, partition=PARTITION, name=name, members=members)


def event(
    of: EventType = EventType.SESSION_ISSUED,
    *,
    at: Instant = NOW,
    project: ProjectId = DEFAULT_PROJECT,
    partition: Partition = PARTITION,
) -> Event:
    """Return an event with every member set."""
    return Event(
        type=of,
        at=at,
        partition=partition,
        project=project,
        session=session_id(),
        subject=ALICE,
        by="cli",
        data={"count": 3, "why": "because", "nothing": None},
    )


def put(*records: Record, events: tuple[Event, ...] = ()) -> Change:
    """Return the change that puts *records*, each for its first time or, above version 1, over the one before."""
    return Change(
        partition=records[0].key.partition,
        expects={record.key: record.version - 1 for record in records},
        puts=records,
        events=events,
    )


def delete(key: Key, version: int) -> Change:
    """Return the change that deletes the record at *key* if it is at *version*."""
    return Change(partition=key.partition, expects={key: version}, deletes=[key])


def revocation(of: Session, *, at: Instant = NOW + HOUR, reason: str = "operator") -> Revocation:
    """Return the revocation of a session."""
    told = Event(
        type=EventType.SESSION_REVOKED,
        at=at,
        partition=partition_of(of.id),
        project=of.project,
        session=of.id,
        subject=of.subject,
    )
    return Revocation(project=of.project, session=of.id, reason=reason, at=at, event=told)
