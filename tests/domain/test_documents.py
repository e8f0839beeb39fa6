"""Documents of applications: what can be kept, merged and put into a token; and the texts that others will read."""

from __future__ import annotations

import pytest

from sessiond.domain.claim_templates import LONGEST_VALUE, Claim
from sessiond.domain.claims import Added, added_claims
from sessiond.domain.documents import (
    DEEPEST_METADATA,
    LARGEST_METADATA,
    deeper_than,
    fits_jwts,
    merged,
    metadata_fault,
)
from sessiond.domain.sessions import Client, SessionKind
from sessiond.domain.texts import LONGEST_USER_AGENT, shown_user_agent, text_fault
from tests.domain.samples import NOW, a_session, a_subject


def nested(depth: int) -> dict[str, object]:
    """Return so many objects in each other, something in the innermost."""
    value: dict[str, object] = {"a": 1}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_metadata_is_kept_to_the_last_byte_and_level_that_is_allowed() -> None:
    frame = len('{"a":""}')

    assert metadata_fault({"a": "x" * (LARGEST_METADATA - frame)}) is None
    assert metadata_fault({"a": "x" * (LARGEST_METADATA - frame + 1)}) == "has more than 4096 bytes"
    assert metadata_fault(nested(DEEPEST_METADATA)) is None
    assert metadata_fault(nested(DEEPEST_METADATA + 1)) == "is nested more than 16 deep"


@pytest.mark.parametrize(
    ("value", "depth"),
    [([1], 1), ({"a": 1}, 1), ([], 1), ({}, 1), ([[]], 2), ([[1], {"a": [2]}], 3), ({"a": [{"b": [1]}]}, 4)],
)
def test_objects_and_arrays_count_alike_and_empty_ones_too(value: object, depth: int) -> None:
    assert not deeper_than(value, depth)
    assert deeper_than({"around": value}, depth)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": 1}, {"b": None}, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": [1]}, {"a": {"b": 2, "c": None}}, {"a": {"b": 2}}),
        ({"a": {"b": 1}}, {"a": [1, None]}, {"a": [1, None]}),
        ("text", {"a": 1}, {"a": 1}),
    ],
)
def test_a_patch_is_merged_as_rfc_7396_says(
    target: object, patch: dict[str, object], result: dict[str, object]
) -> None:
    before = repr(target)

    assert merged(target, patch) == result
    assert repr(target) == before


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (0, True),
        (10**15 - 1, True),
        (10**15, False),
        (-1, False),
        (0.0, False),
        (True, True),
        ("1.5", True),
        (None, True),
        ({"a": [{"b": 1}, 2]}, True),
        ({"a": [{"b": -1}]}, False),
        ([[[1.5]]], False),
        ({"a": 1, "b": -1, "c": "x"}, False),
    ],
)
def test_a_number_in_a_token_is_whole_and_of_fifteen_digits(value: object, fits: bool) -> None:
    assert fits_jwts(value) is fits


# Claims

SESSION = a_session(
    acr="gold",
    amr=("pwd", "otp"),
    authenticated_at=NOW + 999,
    session_kind=SessionKind.BROWSER,
    client=Client(name="phone"),
    metadata={"plan": "pro", "deep": {"er": [1]}, "price": 1.5},
)
SUBJECT = a_subject(name="Alice", profile={"mail": "a@b", "plan": "of the subject"})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("session.acr", "gold"),
        ("session.amr", ["pwd", "otp"]),
        ("session.authenticated_at", NOW // 1000),
        ("session.kind", "browser"),
        ("session.client.name", "phone"),
        ("session.metadata.plan", "pro"),
        ("session.metadata.deep.er", [1]),
        ("subject.name", "Alice"),
        ("subject.kind", "user"),
        ("subject.profile.mail", "a@b"),
        ("subject.profile.plan", "of the subject"),
    ],
)
def test_a_claim_has_what_its_path_leads_to(path: str, value: object) -> None:
    assert added_claims({"c": Claim(path=path)}, SESSION, SUBJECT) == Added({"c": value}, 0)


@pytest.mark.parametrize(
    "path",
    [
        "session.acr",
        "session.amr",
        "session.client.name",
        "session.metadata.plan.of",
        "session.metadata.none",
    ],
)
def test_what_is_not_there_is_no_claim(path: str) -> None:
    nothing = a_session(metadata={"plan": "pro"})

    assert added_claims({"c": Claim(path=path)}, nothing, SUBJECT) == Added({}, 0)


@pytest.mark.parametrize("path", ["subject.name", "subject.kind", "subject.profile.mail"])
def test_a_subject_that_is_not_there_says_nothing(path: str) -> None:
    assert added_claims({"c": Claim(path=path)}, SESSION, None) == Added({}, 0)


def test_what_no_token_can_say_is_left_out_and_counted_and_the_rest_stays_in_its_order() -> None:
    longest = "x" * (LONGEST_VALUE - 2)
    template = {
        "none": Claim(path="session.metadata.none"),
        "last": Claim(value=longest),
        "long": Claim(value=longest + "x"),
        "price": Claim(path="session.metadata.price"),
        "first": Claim(value="a"),
    }

    added = added_claims(template, SESSION, SUBJECT)

    assert list(added.claims.items()) == [("last", longest), ("first", "a")]
    assert added.left_out == 2


# Texts


@pytest.mark.parametrize("text", ["a\n", "\0", "\x1fa", "\x7f", "\x80", "\x9f"])
def test_a_text_with_control_characters_cannot_be_shown(text: str) -> None:
    assert text_fault(text) == "has control characters"


@pytest.mark.parametrize("text", [None, "", " ", "~", "\xa0", "Zoë 🦜"])
def test_any_other_text_can(text: str | None) -> None:
    assert text_fault(text) is None


def test_a_user_agent_is_cut_and_what_does_not_print_is_replaced() -> None:
    assert shown_user_agent("x" * LONGEST_USER_AGENT) == "x" * 512
    assert shown_user_agent("x" * LONGEST_USER_AGENT + "\n") == "x" * 512
    assert shown_user_agent("curl\x00/8\u202e") == "curl\N{REPLACEMENT CHARACTER}/8\N{REPLACEMENT CHARACTER}"
