"""Subjects: whom sessions are about. A versioned record with a random epoch."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from sessiond.domain.errors import Forbidden
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, ProjectId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.profiles import check_name, patched
from sessiond.domain.projects import Epoch, LastEnding, Project
from sessiond.domain.records import Key, Kind, Record

SUBJECT_RESERVED = Forbidden("subject_reserved", "This id is the operator's; choose another.")


class SubjectKind(enum.StrEnum):
    """What a subject is."""

    USER = "user"
    DEVICE = "device"
    OPERATOR = "operator"


def subject_key(project: ProjectId, subject: SubjectId, partition: Partition) -> Key:
    """Return the key of a subject's record; *partition* is the keyed one of (project, subject)."""
    return Key(Subject.kind, partition, project, subject.encode())


class Link(msgspec.Struct, frozen=True, gc=False):
    """The session of a user that continues a device's or an anonymous subject's, by its 16 bytes."""

    user: SubjectId
    session: bytes


class Subject(Record, frozen=True, kw_only=True, gc=False):
    """A user, a device or an operator of one project.

    Its sessions live only while their subject epoch equals *epoch*: a new epoch ends them all in one write.
    *profile* holds what an application told about it (display name, mail address, metadata): personal, not secret.
    *link* is what a device or anonymous subject was linked to last; it counts while that session lives. *last_ending*
    tells of the epoch before this one, if there was one. *abandoned_at* is since when an anonymous one has been seen
    without a live session.
    """

    kind: ClassVar[Kind] = Kind.SUBJECT
    project: ProjectId
    id: SubjectId
    partition: Partition
    subject_kind: SubjectKind = SubjectKind.USER
    epoch: Epoch
    created_at: Instant
    disabled_at: Instant | None = None
    anonymous: bool = False
    name: str | None = None
    hint: str | None = None
    profile: Mapping[str, object] = {}
    link: Link | None = None
    last_ending: LastEnding | None = None
    abandoned_at: Instant | None = None

    @property
    def key(self) -> Key:
        return subject_key(self.project, self.id, self.partition)

    @property
    def owner(self) -> str | None:
        return self.subject_kind

    @property
    def sorted_at(self) -> Instant:
        return self.created_at

    def with_epoch(self, epoch: Epoch, *, now: Instant, reason: str, by: str) -> Subject:
        """Return the subject with all its sessions ended."""
        told = LastEnding(epoch=self.epoch, at=now, reason=reason, by=by)
        return msgspec.structs.replace(self, epoch=epoch, last_ending=told, version=self.version + 1)

    def disabled(self, *, now: Instant, epoch: Epoch, by: str) -> Subject:
        """Return the subject disabled, all its sessions ended; disabling twice keeps the first time."""
        if self.disabled_at is not None:
            return msgspec.structs.replace(self, version=self.version + 1)
        ended = self.with_epoch(epoch, now=now, reason="disabled", by=by)
        return msgspec.structs.replace(ended, disabled_at=now)

    def enabled(self) -> Subject:
        """Return the subject enabled; ended sessions stay ended."""
        return msgspec.structs.replace(self, disabled_at=None, version=self.version + 1)

    def signed_in(self) -> Subject:
        """Return the subject after a sign-in that its other sessions, or its being there, matter to."""
        return msgspec.structs.replace(self, abandoned_at=None, version=self.version + 1)

    def abandoned(self, since: Instant) -> Subject:
        """Return the subject that nobody has used *since* then."""
        return msgspec.structs.replace(self, abandoned_at=since, version=self.version + 1)

    def linked(self, user: SubjectId, session: bytes) -> Subject:
        """Return the device linked to a session of *user*."""
        return msgspec.structs.replace(self, link=Link(user, session), version=self.version + 1)

    def unlinked(self) -> Subject:
        """Return the subject linked to nobody."""
        return msgspec.structs.replace(self, link=None, version=self.version + 1)

    def described(
        self,
        *,
        name: str | UnsetType | None = UNSET,
        profile: Mapping[str, object] | UnsetType = UNSET,
    ) -> Subject:
        """Return the subject under another *name*, with the merge patch *profile* applied to its own.

        What is `UNSET` stays. Raises `InvalidRequest` (`invalid_subject_name`, `invalid_profile`).
        """
        return msgspec.structs.replace(
            self,
            name=self.name if name is UNSET else name if name is None else check_name(name),
            profile=self.profile if profile is UNSET else patched(self.profile, profile),
            version=self.version + 1,
        )


OPERATOR = SubjectId("operator")
"""The one operator of a deployment, a subject of the default project."""


def is_operator(project: ProjectId, subject: SubjectId) -> bool:
    """Tell whether this is the operator, whatever its record says: the id is nobody else's in the default project."""
    return project == DEFAULT_PROJECT and subject == OPERATOR


def epoch_of(project: Project, subject: SubjectId) -> Epoch:
    """Return the project's epoch that the subject's sessions are born with, and live as long as."""
    operators = project.operators_epoch
    return project.epoch if operators is None or not is_operator(project.id, subject) else operators


def check_not_operator(project: ProjectId, subject: SubjectId) -> None:
    """Raise `Forbidden` (`subject_reserved`) for the operator's id: only the master token opens its sessions."""
    if is_operator(project, subject):
        raise SUBJECT_RESERVED
