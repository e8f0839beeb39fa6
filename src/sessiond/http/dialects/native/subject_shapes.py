"""The JSON of subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sessiond.domain.instants import rfc3339
from sessiond.domain.profiles import LARGEST_PROFILE, LONGEST_NAME
from sessiond.domain.subjects import Subject

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]


class CreateSubject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new user."""

    id: Annotated[
        str | None, Meta(description="Your id of the user, 1 to 256 bytes. Without it a UUID is minted.")
    ] = None
    name: Annotated[Name | None, Meta(description="A name to show.")] = None
    anonymous: Annotated[bool, Meta(description="Whether nobody has said yet who this is.")] = False
    profile: Annotated[
        Mapping[str, object], Meta(description=f"Anything, at most {LARGEST_PROFILE} bytes of JSON.")
    ] = {}


class PatchSubject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; a member that is absent stays."""

    name: Annotated[Name | UnsetType | None, Meta(description="null removes it.")] = UNSET
    profile: Annotated[
        Mapping[str, object] | UnsetType,
        Meta(description="A merge patch (RFC 7396): null removes a member, objects are merged."),
    ] = UNSET


class SubjectView(msgspec.Struct, frozen=True, kw_only=True):
    """A subject as it is shown. `hint`: the last characters of a device's identifier."""

    id: str
    kind: str
    name: str | None
    anonymous: bool
    hint: str | None
    profile: Mapping[str, object]
    created_at: str
    disabled_at: str | None


class SubjectAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One subject."""

    subject: SubjectView


class SubjectsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which subjects, and which page of them."""

    kind: Annotated[Literal["user", "device"] | None, Meta(description="Only these.")] = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    offset: Annotated[
        int, Meta(ge=0, lt=2**31, description="How many to skip: `next` of the page before.")
    ] = 0


class SubjectPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of subjects, newest first. `next` is the following page's `offset`; null on the last."""

    items: Sequence[SubjectView]
    next: int | None


def view_subject(subject: Subject) -> SubjectView:
    """Return the subject as it is shown."""
    disabled_at = subject.disabled_at
    return SubjectView(
        id=subject.id,
        kind=subject.subject_kind.value,
        name=subject.name,
        anonymous=subject.anonymous,
        hint=subject.hint,
        profile=subject.profile,
        created_at=rfc3339(subject.created_at),
        disabled_at=None if disabled_at is None else rfc3339(disabled_at),
    )
