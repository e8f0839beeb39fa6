from __future__ import annotations

import pytest

from sessiond.domain.errors import InvalidRequest
from sessiond.domain.profiles import check_name, check_profile, patched


@pytest.mark.parametrize(
    ("profile", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_profile_is_patched_as_rfc_7396_shows(
    profile: dict[str, object], patch: dict[str, object], result: dict[str, object]
) -> None:
    before = repr(profile)

    assert patched(profile, patch) == result
    assert repr(profile) == before


def nested(depth: int) -> dict[str, object]:
    profile: dict[str, object] = {}
    for _ in range(depth - 1):
        profile = {"a": [profile]} if _ % 2 else {"a": profile}
    return profile


@pytest.mark.parametrize("profile", [{"a": "x" * 8192}, nested(40), {"a": nested(32)}])
def test_a_profile_that_is_too_large_or_too_deep_is_refused(profile: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match="invalid_profile"):
        check_profile(profile)
    with pytest.raises(InvalidRequest, match="invalid_profile"):
        patched({}, profile)


def test_patches_cannot_grow_a_profile_beyond_what_it_may_be() -> None:
    with pytest.raises(InvalidRequest, match="invalid_profile"):
        patched({"a": "x" * 5000}, {"b": "x" * 5000})


@pytest.mark.parametrize("name", ["Käthe", "नि\u200dशा", "x" * 256])
def test_a_name_may_be_of_any_script(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a\nb", "a\x85", "x" * 257])
def test_a_name_with_control_characters_or_of_a_wrong_length_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid_subject_name"):
        check_name(name)
