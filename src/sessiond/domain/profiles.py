"""What an application tells about a subject: a name to show, and a profile that is changed by merge patches."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from sessiond.domain.documents import deeper_than, merged
from sessiond.domain.errors import InvalidRequest

LONGEST_NAME = 256
"""Characters that a name may have."""

LARGEST_PROFILE = 8192
"""Bytes of JSON that a profile may have."""

DEEPEST_PROFILE = 32
"""How many objects and arrays of a profile may lie in each other."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_name(name: str) -> str:
    """Return *name* if it can be shown, or raise `InvalidRequest` (`invalid_subject_name`)."""
    fault = name_fault(name)
    if fault is not None:
        raise InvalidRequest("invalid_subject_name", f"The name {fault}.")
    return name


def name_fault(name: str) -> str | None:
    """Return why *name* cannot be shown, or None."""
    if 0 < len(name) <= LONGEST_NAME and not _CONTROL.search(name):
        return None
    return f"is not 1 to {LONGEST_NAME} characters, none of them a control character"


def check_profile(profile: Mapping[str, object]) -> Mapping[str, object]:
    """Return *profile* if it can be kept, or raise `InvalidRequest` (`invalid_profile`)."""
    fault = profile_fault(profile)
    if fault is not None:
        raise InvalidRequest("invalid_profile", f"The profile {fault}.")
    return profile


def profile_fault(profile: Mapping[str, object]) -> str | None:
    """Return why *profile* cannot be kept, or None."""
    if not deeper_than(profile, DEEPEST_PROFILE) and len(msgspec.json.encode(profile)) <= LARGEST_PROFILE:
        return None
    return f"has more than {LARGEST_PROFILE} bytes of JSON, or is nested more than {DEEPEST_PROFILE} deep"


def patched(profile: Mapping[str, object], patch: Mapping[str, object]) -> Mapping[str, object]:
    """Return *profile* with the merge patch applied (RFC 7396), or raise `InvalidRequest` (`invalid_profile`)."""
    return check_profile(merged(profile, check_profile(patch)))
