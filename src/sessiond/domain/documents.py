"""JSON objects that applications keep with our records: merged by patches (RFC 7396), never nested without end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

LARGEST_METADATA = 4096
"""Bytes of JSON that a session's metadata may have."""

DEEPEST_METADATA = 16
"""How many objects and arrays of metadata may lie in each other."""

MOST_DIGITS = 15
"""Digits of a number in a JWT: exact in every JSON reader."""


def metadata_fault(metadata: Mapping[str, object]) -> str | None:
    """Return why *metadata* cannot be kept with a session, or None."""
    if deeper_than(metadata, DEEPEST_METADATA):
        return f"is nested more than {DEEPEST_METADATA} deep"
    if len(msgspec.json.encode(metadata)) > LARGEST_METADATA:
        return f"has more than {LARGEST_METADATA} bytes"
    return None


def merged(target: object, patch: Mapping[str, object]) -> dict[str, object]:
    """Return *target* with a merge patch applied: null removes a member, objects are merged, all else replaces."""
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = merged(result.get(name), value)
        else:
            result[name] = value
    return result


def same_json(one: object, other: object) -> bool:
    """Tell whether both are the same JSON, in any order of members: `==` takes 1, 1.0 and true for one another."""
    first, second = (msgspec.json.encode(each, order="deterministic") for each in (one, other))
    return first == second


def deeper_than(value: object, most: int) -> bool:
    """Tell whether more than *most* objects and arrays lie in each other; takes no recursion to find out."""
    level: Sequence[object] = [value]
    for _ in range(most):
        level = [inner for each in level for inner in _inside(each)]
    return any(isinstance(each, (Mapping, list)) for each in level)


def fits_jwts(value: object) -> bool:
    """Tell whether every number in *value* may stand in a JWT: whole, not negative, of at most `MOST_DIGITS` digits."""
    level: Sequence[object] = [value]
    while level:
        if any(
            type(each) is float or (type(each) is int and not 0 <= each < 10**MOST_DIGITS) for each in level
        ):
            return False
        level = [inner for each in level for inner in _inside(each)]
    return True


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()
