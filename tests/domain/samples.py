"""Records to decide about."""

from __future__ import annotations

from typing import Any

import msgspec

from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SubjectId, mint_id
from sessiond.domain.instants import Instant
from sessiond.domain.projects import Deployment, Project
from sessiond.domain.sessions import Epochs, Session, SessionKind, Standing
from sessiond.domain.subjects import Subject

NOW: Instant = 1_800_000_000_000
PARTITION = Partition(77)
ALICE = SubjectId("alice")
DEPLOYMENT_EPOCH, PROJECT_EPOCH, SUBJECT_EPOCH = 11, -22, 33


def a_session(**changes: Any) -> Session:  # noqa: ANN401  any member may be chosen
    """Return a session that lives, with *changes*."""
    session = Session(
        id=mint_id(now=NOW - 1000, partition=PARTITION, entropy=bytes(8)),
        project=DEFAULT_PROJECT,
        subject=ALICE,
        session_kind=SessionKind.TOKENS,
        created_at=NOW - 1000,
        authenticated_at=NOW - 1000,
        last_seen_at=NOW - 1000,
        expires_at=NOW + 3_600_000,
        nonce=b"n" * 16,
        kid=7,
        rotated_at=NOW - 1000,
        epochs=Epochs(DEPLOYMENT_EPOCH, PROJECT_EPOCH, SUBJECT_EPOCH),
    )
    return msgspec.structs.replace(session, **changes)


def a_subject(**changes: Any) -> Subject:  # noqa: ANN401
    """Return an enabled subject, with *changes*."""
    subject = Subject(
        project=DEFAULT_PROJECT, id=ALICE, partition=PARTITION, epoch=SUBJECT_EPOCH, created_at=NOW - 5000
    )
    return msgspec.structs.replace(subject, **changes)


def a_standing(session: Session | None = None, subject: Subject | None = None) -> Standing:
    """Return a session that lives with all that its life depends on."""
    project = Project(id=DEFAULT_PROJECT, name="default", epoch=PROJECT_EPOCH, created_at=0)
    deployment = Deployment(
        install_id="install",
        epoch=DEPLOYMENT_EPOCH,
        ring=b"",
        ring_version=1,
        master_digest=b"",
        master_generation=1,
        created_at=0,
    )
    return Standing(session or a_session(), subject or a_subject(), project, deployment)
