from __future__ import annotations

import msgspec
import pytest

from sessiond.crypto.purposes import Purpose
from sessiond.crypto.ring import KeyRing
from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import SubjectId
from sessiond.domain.keys import Audience, HeldKey, KeyState
from tests.crypto.material import (
    NOW,
    OTHER_PROJECT,
    PROJECT,
    CountedEntropy,
    two_projects,
    two_projects_contents,
)

LATER = NOW + 1000


def test_a_rotated_root_mints_nothing_and_its_keys_stay_the_same() -> None:
    ring = two_projects()
    old = ring.active_root(PROJECT)
    before = {purpose: ring.key(old.kid, purpose) for purpose in Purpose}

    rotated = ring.with_new_root(PROJECT, CountedEntropy("rotation"), LATER)

    new = rotated.active_root(PROJECT)
    retired = rotated.root(old.kid)
    assert retired is not None
    assert (retired.state, retired.retired_at, retired.mints, retired.verifies) == (
        KeyState.RETIRED,
        LATER,
        False,
        True,
    )
    assert list(rotated.roots_of(PROJECT)) == [new, retired]
    assert {purpose: rotated.key(old.kid, purpose) for purpose in Purpose} == before
    assert all(rotated.key(new.kid, purpose) != before[purpose] for purpose in Purpose)
    assert ring.root(new.kid) is None


def test_retired_roots_are_listed_newest_first() -> None:
    ring = two_projects()
    kids = [ring.active_root(PROJECT).kid]
    for turn in range(1, 4):
        ring = ring.with_new_root(PROJECT, CountedEntropy(str(turn)), NOW + turn)
        kids.insert(0, ring.active_root(PROJECT).kid)

    assert [root.kid for root in ring.roots_of(PROJECT)] == kids


def test_rotation_moves_no_partition_lookup_vault_key_or_other_project() -> None:
    ring = two_projects()

    rotated = ring.with_new_root(PROJECT, CountedEntropy("rotation"), LATER)

    assert rotated.partition(PROJECT, SubjectId("alice")) == ring.partition(PROJECT, SubjectId("alice"))
    for purpose in Purpose:
        if purpose.startswith("lookup."):
            assert rotated.lookup(purpose, PROJECT, "x") == ring.lookup(purpose, PROJECT, "x")
    identifier, key = ring.data_key(PROJECT)
    assert rotated.data_key(PROJECT) == (identifier, key)
    assert rotated.data_key_by_id(identifier) == key
    assert rotated.active_root(OTHER_PROJECT) == ring.active_root(OTHER_PROJECT)


def test_a_rotated_signing_key_hands_over_to_the_one_already_published() -> None:
    ring = two_projects()
    old = ring.signing_key(PROJECT, Audience.STACK)
    published = {jwk["kid"] for jwk in ring.jwks(PROJECT, [Audience.STACK])}

    rotated = ring.with_new_signing_key(PROJECT, Audience.STACK, CountedEntropy("rotation"), LATER)

    new = rotated.signing_key(PROJECT, Audience.STACK)
    assert {old.kid, new.kid} == published
    assert new.activated_at == LATER
    assert rotated.signing_key_by_kid(old.kid) == old.retired(LATER)
    assert len(rotated.jwks(PROJECT, [Audience.STACK])) == 3
    assert rotated.signing_key(PROJECT, Audience.NATIVE) == ring.signing_key(PROJECT, Audience.NATIVE)


def test_a_pending_signing_key_is_published_and_verifies_nothing() -> None:
    ring = two_projects()
    active = ring.signing_key(PROJECT, Audience.NATIVE).kid
    pending = [jwk["kid"] for jwk in ring.jwks(PROJECT, [Audience.NATIVE]) if jwk["kid"] != active]

    assert [ring.signing_key_by_kid(kid) for kid in pending] == [None]


# Keys that may no longer be used


@pytest.mark.parametrize("steps", [1, 2], ids=["compromised", "destroyed"])
def test_a_compromised_or_destroyed_key_is_refused_at_once(steps: int) -> None:
    contents = two_projects_contents()
    roots, signing_keys = contents.roots, contents.signing_keys
    for step in (HeldKey.compromised, HeldKey.destroyed)[:steps]:
        roots = tuple(step(root) for root in roots)
        signing_keys = tuple(step(key) for key in signing_keys)

    ring = KeyRing(msgspec.structs.replace(contents, roots=roots, signing_keys=signing_keys))

    assert [ring.root(root.kid) for root in roots] == [None, None]
    assert [ring.signing_key_by_kid(key.kid) for key in signing_keys] == [None] * 16
    assert ring.jwks(PROJECT, list(Audience)) == []
    assert ring.roots_of(PROJECT) == ()
    for ask in (
        lambda: ring.active_root(PROJECT),
        lambda: ring.key(roots[0].kid, Purpose.ACCESS),
        lambda: ring.signing_key(PROJECT, Audience.NATIVE),
        lambda: ring.data_key(PROJECT),
    ):
        with pytest.raises(Unavailable):
            ask()
