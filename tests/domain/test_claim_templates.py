"""Claims templates: what may be declared, and what becomes of it for a session."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.domain.claim_templates import (
    LONGEST_CONSTANT,
    LONGEST_VALUE,
    MOST_CLAIMS,
    RESERVED,
    Claim,
    TemplateFault,
    may_be_added,
    template_faults,
)
from sessiond.domain.claims import Added, added_claims
from sessiond.domain.ids import DEFAULT_PROJECT, Partition
from sessiond.domain.sessions import Client
from sessiond.domain.subjects import Subject
from tests.domain.samples import NOW, a_session

ALICE = Subject(
    project=DEFAULT_PROJECT,
    id=a_session().subject,
    partition=Partition(1),
    epoch=1,
    created_at=NOW,
    name="Alice",
    profile={"email": "alice@example.org", "team": {"id": 7, "roles": ["a", "b"]}},
)


def template(**claims: object) -> dict[str, Claim]:
    """Return a template as it is written in JSON."""
    return msgspec.convert(
        {name.replace("__", "/"): claim for name, claim in claims.items()}, dict[str, Claim]
    )


def faults(**claims: object) -> list[tuple[str, str]]:
    return [(fault.claim, fault.member) for fault in template_faults(template(**claims))]


@pytest.mark.parametrize(
    "claim",
    [
        {"value": "acme"},
        {"value": ["a", {"b": 1}]},
        {"value": False},
        {"from": "session.metadata.plan"},
        {"from": "session.metadata.a.b-c.d_9"},
        {"from": "subject.profile.email"},
        {"from": "subject.name"},
        {"from": "session.acr"},
    ],
)
def test_constants_and_paths_are_taken(claim: dict[str, object]) -> None:
    assert faults(tenant=claim, https__example_org_tenant=claim) == []


def test_assurance_comes_from_the_session_and_nowhere_else() -> None:
    own: dict[str, Any] = {
        "acr": {"from": "session.acr"},
        "amr": {"from": "session.amr"},
        "auth_time": {"from": "session.authenticated_at"},
    }
    assert faults(**own) == []
    for name in own:
        assert faults(**{name: {"value": "urn:mfa"}}) == [(name, "/value")]
        assert faults(**{name: {"from": "session.metadata.acr"}}) == [(name, "/from")]


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_template_sets_what_means_something_to_us_or_a_verifier(name: str) -> None:
    assert faults(**{name: {"value": "x"}}) == [(name, "")]
    assert not may_be_added(name)


@pytest.mark.parametrize("name", ["", "1a", "a b", "ä", "a" * 101, "a\n", "_a", "a\x00"])
def test_a_name_is_ascii_and_begins_with_a_letter(name: str) -> None:
    assert faults(**{name: {"value": "x"}}) == [(name, "")]


@pytest.mark.parametrize(
    ("claim", "member"),
    [
        ({}, ""),
        ({"value": None}, ""),
        ({"value": "x", "from": "subject.name"}, ""),
        ({"value": "x" * (LONGEST_CONSTANT - 1)}, "/value"),
        ({"from": "subject.id"}, "/from"),
        ({"from": "session.nonce"}, "/from"),
        ({"from": "session.metadata"}, "/from"),
        ({"from": "session.metadata."}, "/from"),
        ({"from": "session.metadata.a..b"}, "/from"),
        ({"from": "session.metadata" + ".a" * 9}, "/from"),
        ({"from": "subject.profile.a b"}, "/from"),
        ({"from": "session.metadata.a\n"}, "/from"),
    ],
)
def test_what_leads_nowhere_is_named(claim: dict[str, object], member: str) -> None:
    assert faults(tenant=claim) == [("tenant", member)]


def test_every_fault_is_named_at_once() -> None:
    assert faults(sub={"value": 1}, a={}, b={"from": "x"}) == [("sub", ""), ("a", ""), ("b", "/from")]
    many = {f"claim{number}": {"value": number} for number in range(MOST_CLAIMS + 1)}
    assert faults(**many) == [("", "")]


def test_values_are_taken_from_where_the_paths_lead() -> None:
    session = a_session(
        acr="urn:mfa",
        amr=("pwd", "otp"),
        authenticated_at=NOW + 1999,
        client=Client(name="phone"),
        metadata={"plan": "pro", "deep": {"x": {"y": 0}}},
    )

    added = added_claims(
        template(
            tenant={"value": "acme"},
            plan={"from": "session.metadata.plan"},
            y={"from": "session.metadata.deep.x.y"},
            acr={"from": "session.acr"},
            amr={"from": "session.amr"},
            auth_time={"from": "session.authenticated_at"},
            kind={"from": "session.kind"},
            client={"from": "session.client.name"},
            name={"from": "subject.name"},
            subject_kind={"from": "subject.kind"},
            email={"from": "subject.profile.email"},
            roles={"from": "subject.profile.team.roles"},
        ),
        session,
        ALICE,
    )

    assert added == Added(
        {
            "tenant": "acme",
            "plan": "pro",
            "y": 0,
            "acr": "urn:mfa",
            "amr": ["pwd", "otp"],
            "auth_time": (NOW + 1999) // 1000,
            "kind": "tokens",
            "client": "phone",
            "name": "Alice",
            "subject_kind": "user",
            "email": "alice@example.org",
            "roles": ["a", "b"],
        }
    )


def test_what_is_not_there_is_left_out() -> None:
    nothing = template(
        a={"from": "session.metadata.a.b"},
        b={"from": "subject.profile.email.domain"},
        acr={"from": "session.acr"},
        amr={"from": "session.amr"},
        name={"from": "subject.name"},
    )

    assert added_claims(nothing, a_session(metadata={"a": 1}), None) == Added({})


def test_what_is_too_long_is_left_out_and_counted() -> None:
    session = a_session(metadata={"long": "x" * (LONGEST_VALUE - 1), "fits": "x" * (LONGEST_VALUE - 2)})
    both = template(a={"from": "session.metadata.long"}, b={"from": "session.metadata.fits"})

    added = added_claims(both, session, None)

    assert (list(added.claims), added.left_out) == (["b"], 1)


@given(st.text(max_size=20))
def test_a_name_that_may_be_added_is_never_one_that_is_reserved(name: str) -> None:
    assert not (may_be_added(name) and name in RESERVED)


def test_a_template_has_thirty_claims_and_a_constant_512_bytes() -> None:
    most = {f"c{number}": {"value": "x"} for number in range(MOST_CLAIMS)}
    longest = "x" * (LONGEST_CONSTANT - 2)

    assert faults(**most) == []
    assert template_faults(template(**most, one={"value": "x"})) == [
        TemplateFault("", "", "has more than 30 claims")
    ]
    assert faults(tenant={"value": longest}) == []
    assert template_faults(template(tenant={"value": longest + "x"})) == [
        TemplateFault("tenant", "/value", "has more than 512 bytes")
    ]
    assert faults(tenant={"value": -1}) == [("tenant", "/value")]


def test_a_reserved_name_and_one_that_is_none_are_told_apart() -> None:
    assert template_faults(template(sub={"value": "x"}, _a={"value": "x"})) == [
        TemplateFault("sub", "", "is a claim with a meaning of its own, which no template sets"),
        TemplateFault(
            "_a", "", "is no name of a claim: a letter, then at most 99 letters, digits and _ . : / -"
        ),
    ]
