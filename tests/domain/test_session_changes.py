"""What may be changed of a session, and by how much."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sessiond.domain.errors import Forbidden, StateConflict
from sessiond.domain.policies import Policy
from sessiond.domain.session_changes import InvalidMetadata, extended, patched
from sessiond.domain.sessions import Actor, Session, SessionKind
from tests.domain.samples import NOW, a_session

DAY = Policy(absolute_timeout=timedelta(days=1))
DAY_MS = 24 * 3_600_000


def test_the_policys_limit_counts_from_creation() -> None:
    session = a_session()

    longest = extended(session, timedelta(days=9), policy=DAY, now=NOW)

    assert longest.expires_at == session.created_at + DAY_MS
    assert extended(session, None, policy=DAY, now=NOW) == longest


def test_an_extension_never_shortens_also_under_a_policy_that_became_stricter() -> None:
    session = a_session()
    strict = Policy(absolute_timeout=timedelta(minutes=5))

    assert extended(session, timedelta(seconds=1), policy=DAY, now=NOW) == session
    assert extended(session, None, policy=strict, now=NOW) == session


@pytest.mark.parametrize(
    "session",
    [a_session(session_kind=kind) for kind in SessionKind if kind is not SessionKind.TOKENS],
)
def test_what_carries_its_limit_is_not_extended(session: Session) -> None:
    with pytest.raises(StateConflict) as refusal:
        extended(session, None, policy=DAY, now=NOW)

    assert refusal.value.code == "session_not_extendable"


def test_an_impersonation_is_not_extended() -> None:
    with pytest.raises(Forbidden, match="impersonated"):
        extended(a_session(actor=Actor(name="support", reason="ticket 1")), None, policy=DAY, now=NOW)


def test_a_patch_changes_nothing_that_it_does_not_name() -> None:
    session = a_session(metadata={"a": {"b": 1, "c": 2}})

    assert patched(session) == session
    assert patched(session, metadata={"a": {"b": None}}).metadata == {"a": {"c": 2}}
    assert patched(session, metadata=None).metadata == {}
    assert session.metadata == {"a": {"b": 1, "c": 2}}


def test_metadata_that_patches_make_too_large_or_too_deep_is_refused() -> None:
    deep: dict[str, object] = {}
    for _ in range(16):
        deep = {"x": deep}

    for session, patch in (
        (a_session(metadata={"a": "x" * 3000}), {"b": "x" * 3000}),
        (a_session(), {"deep": deep}),
    ):
        with pytest.raises(InvalidMetadata):
            patched(session, metadata=patch)


def test_an_extension_counts_from_now() -> None:
    session = a_session(expires_at=NOW + 1)

    assert extended(session, timedelta(hours=1), policy=DAY, now=NOW).expires_at == NOW + 3_600_000


def test_a_client_is_called_anew_or_nothing() -> None:
    named = patched(a_session(), name="phone")

    assert named.client.name == "phone"
    assert patched(named, name=None).client.name is None
    assert patched(named, metadata={"a": 1}).client.name == "phone"


def test_the_refusal_points_at_the_metadata_and_says_what_is_wrong() -> None:
    with pytest.raises(InvalidMetadata) as refused:
        patched(a_session(), metadata={"a": "x" * 5000})

    assert refused.value.code == "invalid_metadata"
    assert refused.value.detail == "The metadata, as patched, has more than 4096 bytes."
    assert refused.value.data == {"errors": [{"pointer": "/metadata", "detail": "has more than 4096 bytes"}]}
