from __future__ import annotations

import pytest

from sessiond.domain.errors import InvalidRequest
from sessiond.domain.profiles import LARGEST_PROFILE, check_name, check_profile, patched


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


def test_a_profile_is_kept_to_its_last_byte() -> None:
    largest = {"a": "x" * (LARGEST_PROFILE - len('{"a":""}'))}

    assert check_profile(largest) is largest
    with pytest.raises(InvalidRequest):
        check_profile({"a": largest["a"] + "x"})
    assert check_name("x") == "x"


def test_the_refusals_say_what_a_name_and_a_profile_may_be() -> None:
    with pytest.raises(InvalidRequest) as name:
        check_name("")
    with pytest.raises(InvalidRequest) as profile:
        check_profile({"a": "x" * LARGEST_PROFILE})

    assert (name.value.code, name.value.detail) == (
        "invalid_subject_name",
        "The name is not 1 to 256 characters, none of them a control character.",
    )
    assert (profile.value.code, profile.value.detail) == (
        "invalid_profile",
        "The profile has more than 8192 bytes of JSON, or is nested more than 32 deep.",
    )
