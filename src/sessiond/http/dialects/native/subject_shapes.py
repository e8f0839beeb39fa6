"""The JSON of subjects."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sessiond.domain.ids import LONGEST_SUBJECT_ID
from sessiond.domain.instants import rfc3339
from sessiond.domain.profiles import LARGEST_PROFILE, LONGEST_NAME
from sessiond.domain.subjects import Subject
from sessiond.http.dialects.native.listed import INVALID_CURSOR
from sessiond.services.ports import Place

_INSTANT = 6  # bytes, as in the ids of sessions

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
    q: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256)] | None,
        Meta(description="In any case, part of the id, the name, the hint or a text in the profile."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    after: Annotated[str | None, Meta(description="`next` of the page before.")] = None


class SubjectPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of subjects, newest first. `next` asks for the following page; null on the last."""

    items: Sequence[SubjectView]
    next: str | None


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


def place_text(place: Place | None) -> str | None:
    """Return *place* as a cursor."""
    if place is None:
        return None
    return urlsafe_b64encode(place.sorted_at.to_bytes(_INSTANT) + place.id).decode().rstrip("=")


def parse_place(text: str | None) -> Place | None:
    """Return the place that a cursor names, or raise `INVALID_CURSOR`."""
    if text is None:
        return None
    try:
        found = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise INVALID_CURSOR from None
    place = Place(int.from_bytes(found[:_INSTANT]), found[_INSTANT:])
    if place_text(place) != text or not 0 < len(place.id) <= LONGEST_SUBJECT_ID:
        raise INVALID_CURSOR
    return place
