"""How keys take over from each other: what is made under them stays good, and who must know them does beforehand."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.crypto.purposes import Purpose
from sessiond.crypto.ring import KeyRing
from sessiond.domain.errors import StateConflict, Unavailable
from sessiond.domain.ids import ProjectId, SubjectId
from sessiond.domain.instants import later
from sessiond.domain.keys import (
    FORGOTTEN_AFTER,
    KNOWN_BEFORE_USE,
    PUBLISHED_BEFORE_USE,
    Audience,
    DataKey,
    HeldKey,
    KeyKind,
    KeyState,
)
from tests.crypto.material import (
    NOW,
    OTHER_PROJECT,
    PROJECT,
    CountedEntropy,
    two_projects,
    two_projects_contents,
    with_new_root,
)

LATER = later(NOW, PUBLISHED_BEFORE_USE)
"""When everybody knows every key that is pending since the ring's birth."""


def rotated(ring: KeyRing, kind: KeyKind, now: int = LATER) -> KeyRing:
    return ring.rotated(PROJECT, kind, CountedEntropy(f"rotation {now}"), now)


def states(ring: KeyRing, kind: KeyKind) -> list[KeyState]:
    return sorted(key.state for key in ring.held() if key.project == PROJECT and key.line.kind is kind)


# Taking over


def test_a_rotated_root_mints_nothing_and_its_keys_stay_the_same() -> None:
    ring = two_projects()
    old = ring.active_root(PROJECT)
    before = {purpose: ring.key(old.kid, purpose) for purpose in Purpose}

    after = rotated(ring, KeyKind.ROOT)

    new = after.active_root(PROJECT)
    retired = after.root(old.kid)
    assert retired == old.retired(LATER)
    assert {purpose: after.key(old.kid, purpose) for purpose in Purpose} == before
    assert all(after.key(new.kid, purpose) != before[purpose] for purpose in Purpose)


@pytest.mark.parametrize("kind", KeyKind)
def test_a_key_is_known_before_it_is_used(kind: KeyKind) -> None:
    ring = two_projects()
    for turn in range(4):
        before = {key.name: key for key in ring.held()}

        ring = rotated(ring, kind, LATER + turn * 4_000_000)

        for key in ring.held():
            if key.mints:
                assert before[key.name].verifies
                assert key.activated_at is None or key.activated_at in {NOW, LATER + turn * 4_000_000}
    lines = 4 if kind is KeyKind.SIGNING else 1
    assert states(ring, kind).count(KeyState.ACTIVE) == lines
    assert states(ring, kind).count(KeyState.PENDING) == lines
    assert states(ring, kind).count(KeyState.RETIRED) == 4 * lines


def test_a_pending_root_verifies_so_that_no_node_refuses_what_a_faster_one_minted() -> None:
    ring = two_projects()

    after = rotated(ring, KeyKind.ROOT)

    new = after.active_root(PROJECT)
    assert ring.root(new.kid) is not None
    assert ring.key(new.kid, Purpose.ACCESS) == after.key(new.kid, Purpose.ACCESS)


@pytest.mark.parametrize(
    ("kind", "wait"),
    [
        (KeyKind.ROOT, KNOWN_BEFORE_USE),
        (KeyKind.VAULT, KNOWN_BEFORE_USE),
        (KeyKind.SIGNING, PUBLISHED_BEFORE_USE),
    ],
)
def test_a_successor_that_is_too_young_waits(kind: KeyKind, wait: object) -> None:
    ring = two_projects()
    due = later(NOW, wait)  # type: ignore[arg-type]

    waiting = rotated(ring, kind, NOW + 1)

    assert states(waiting, kind) == states(ring, kind)
    assert waiting.next_activation == due
    assert rotated(waiting, kind, NOW + 2) is waiting
    assert waiting.activated(CountedEntropy("early"), due - 1) is waiting
    after = waiting.activated(CountedEntropy("due"), due)
    assert KeyState.RETIRED in states(after, kind)
    assert after.next_activation is None


def test_retired_roots_are_listed_newest_first() -> None:
    ring = two_projects()
    kids = [ring.active_root(PROJECT).kid]
    for turn in range(1, 4):
        ring = with_new_root(ring, PROJECT, CountedEntropy(str(turn)), NOW + turn * 60_000)
        kids.insert(0, ring.active_root(PROJECT).kid)

    listed = [root for root in ring.roots_of(PROJECT) if root.state is not KeyState.PENDING]
    assert [root.kid for root in listed] == kids


def test_a_rotated_root_moves_no_partition_lookup_vault_key_or_other_project() -> None:
    ring = two_projects()

    after = rotated(ring, KeyKind.ROOT)

    assert after.partition(PROJECT, SubjectId("alice")) == ring.partition(PROJECT, SubjectId("alice"))
    for purpose in Purpose:
        if purpose.startswith("lookup."):
            assert after.lookup(purpose, PROJECT, "x") == ring.lookup(purpose, PROJECT, "x")
    identifier, key = ring.data_key(PROJECT)
    assert after.data_key(PROJECT) == (identifier, key)
    assert after.data_key_by_id(identifier) == key
    assert after.active_root(OTHER_PROJECT) == ring.active_root(OTHER_PROJECT)


def test_no_vault_key_hangs_on_a_root_that_is_retired() -> None:
    ring = rotated(rotated(two_projects(), KeyKind.ROOT), KeyKind.ROOT, LATER + 60_000)
    identifier, key = ring.data_key(PROJECT)
    former = [root.name for root in ring.roots_of(PROJECT) if root.state is KeyState.RETIRED]

    after = ring.without(former, LATER)

    assert after.data_key(PROJECT) == (identifier, key)


def test_a_rotated_signing_key_hands_over_to_the_one_already_published() -> None:
    ring = two_projects()
    old = ring.signing_key(PROJECT, Audience.STACK)
    published = {jwk["kid"] for jwk in ring.jwks(PROJECT, [Audience.STACK])}

    after = rotated(ring, KeyKind.SIGNING)

    new = after.signing_key(PROJECT, Audience.STACK)
    assert {old.kid, new.kid} == published
    assert new.activated_at == LATER
    assert after.signing_key_by_kid(old.kid) == old.retired(LATER)
    assert len(after.jwks(PROJECT, [Audience.STACK])) == 3


def test_a_rotated_vault_key_still_opens_what_it_sealed() -> None:
    ring = two_projects()
    identifier, key = ring.data_key(PROJECT)

    after = rotated(ring, KeyKind.VAULT)

    assert after.data_key(PROJECT)[0] != identifier
    assert after.data_key_by_id(identifier) == key


def test_a_ring_of_before_there_were_successors_gets_one_and_waits_for_it() -> None:
    contents = two_projects_contents()
    roots = tuple(root for root in contents.roots if root.mints)
    keys = tuple(key for key in contents.data_keys if key.mints)
    old = KeyRing(msgspec.structs.replace(contents, roots=roots, data_keys=keys))

    for kind in (KeyKind.ROOT, KeyKind.VAULT):
        waiting = rotated(old, kind)
        after = waiting.activated(CountedEntropy("due"), later(LATER, KNOWN_BEFORE_USE))

        assert states(waiting, kind) == [KeyState.ACTIVE, KeyState.PENDING]
        assert states(after, kind) == [KeyState.ACTIVE, KeyState.PENDING, KeyState.RETIRED]


# Keys that may no longer be used


@pytest.mark.parametrize("steps", [1, 2], ids=["compromised", "destroyed"])
def test_a_compromised_or_destroyed_key_is_refused_at_once(steps: int) -> None:
    contents = two_projects_contents()
    roots, signing_keys = contents.roots, contents.signing_keys
    for step in (HeldKey.compromised, HeldKey.destroyed)[:steps]:
        roots = tuple(step(root, LATER) for root in roots)
        signing_keys = tuple(step(key, LATER) for key in signing_keys)

    ring = KeyRing(msgspec.structs.replace(contents, roots=roots, signing_keys=signing_keys))

    assert [ring.root(root.kid) for root in roots] == [None] * 4
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


def test_the_successor_of_a_compromised_root_takes_its_place_and_opens_the_vault() -> None:
    ring = two_projects()
    root, (identifier, key) = ring.active_root(PROJECT), ring.data_key(PROJECT)

    after = ring.compromised(root.name, CountedEntropy("breach"), NOW + 1)

    assert after.root(root.kid) is None
    assert after.active_root(PROJECT).kid != root.kid
    assert after.data_key(PROJECT) == (identifier, key)
    with pytest.raises(StateConflict):
        after.compromised(root.name, CountedEntropy("again"), NOW + 2)


def test_a_compromised_signing_key_is_not_published() -> None:
    ring = two_projects()
    key = ring.signing_key(PROJECT, Audience.NATIVE)

    after = ring.compromised(key.kid, CountedEntropy("breach"), NOW + 1)

    kids = {jwk["kid"] for jwk in after.jwks(PROJECT, [Audience.NATIVE])}
    assert key.kid not in kids
    assert after.signing_key(PROJECT, Audience.NATIVE).kid in kids
    assert len(kids) == 2


def test_a_pending_key_that_is_compromised_is_replaced() -> None:
    ring = two_projects()
    pending = next(key for key in ring.held() if key.project == PROJECT and key.state is KeyState.PENDING)

    after = ring.compromised(pending.name, CountedEntropy("breach"), NOW + 1)

    assert states(after, pending.line.kind) == [KeyState.ACTIVE, KeyState.COMPROMISED, KeyState.PENDING]


def test_a_compromised_vault_key_opens_its_entries_until_they_are_sealed_anew() -> None:
    ring = two_projects()
    identifier, key = ring.data_key(PROJECT)

    after = ring.compromised(identifier, CountedEntropy("breach"), NOW + 1)

    assert after.data_key(PROJECT)[0] != identifier
    assert after.data_key_by_id(identifier) == key


def test_a_renewed_ring_refuses_everything_but_opens_the_vault() -> None:
    ring = two_projects()
    roots = [key for key in ring.held() if key.line.kind is KeyKind.ROOT]
    identifier, key = ring.data_key(PROJECT)

    after = ring.renewed(CountedEntropy("breach"), NOW + 1)

    assert [after.root(int(root.name)) for root in roots] == [None] * 4
    assert not {jwk["kid"] for jwk in ring.jwks(None, list(Audience))} & {
        jwk["kid"] for jwk in after.jwks(None, list(Audience))
    }
    assert after.data_key_by_id(identifier) == key
    assert after.data_key(PROJECT)[0] not in {each.name for each in ring.held()}
    for kind in KeyKind:
        lines = 4 if kind is KeyKind.SIGNING else 1
        assert states(after, kind).count(KeyState.ACTIVE) == lines
        assert states(after, kind).count(KeyState.PENDING) == lines


def test_a_destroyed_key_has_no_secret_and_is_forgotten_in_the_end() -> None:
    ring = rotated(two_projects(), KeyKind.ROOT)
    retired = next(key for key in ring.held() if key.state is KeyState.RETIRED)

    after = ring.without([retired.name], LATER)

    (destroyed,) = [key for key in after.held() if key.name == retired.name]
    assert (destroyed.secret, destroyed.destroyed_at) == (b"", LATER)
    assert after.without([], LATER) is after
    long_after = after.without([], later(LATER, FORGOTTEN_AFTER))
    assert retired.name not in {key.name for key in long_after.held()}


def test_a_rotation_wraps_the_data_keys_of_its_project_anew_and_no_other_s() -> None:
    ring = two_projects()
    before = {key.name: key for key in ring.held() if key.line.kind is KeyKind.VAULT}
    sealers = {project: ring.data_key(project) for project in (PROJECT, OTHER_PROJECT)}

    after = rotated(ring, KeyKind.ROOT)

    changed = {
        key.project for key in after.held() if key.name in before and key.secret != before[key.name].secret
    }
    assert changed == {PROJECT}
    assert {project: after.data_key(project) for project in sealers} == sealers


def test_a_project_whose_roots_only_verify_mints_nothing() -> None:
    contents = two_projects_contents()
    ring = KeyRing(
        msgspec.structs.replace(
            contents, roots=tuple(root.retired(NOW) if root.mints else root for root in contents.roots)
        )
    )

    assert len(ring.roots_of(PROJECT)) == 2
    with pytest.raises(Unavailable) as refused:
        ring.active_root(PROJECT)
    assert refused.value.code == "key_unavailable"


def test_of_several_rotations_that_wait_the_first_is_due_next() -> None:
    ring = rotated(rotated(two_projects(), KeyKind.SIGNING, NOW + 1), KeyKind.ROOT, NOW + 1)

    due = sorted({key.activates_at for key in ring.held() if key.activates_at is not None})

    assert due == [later(NOW, KNOWN_BEFORE_USE), later(NOW, PUBLISHED_BEFORE_USE)]
    assert ring.next_activation == due[0]


def test_a_vault_key_that_its_root_does_not_open_is_unavailable() -> None:
    contents = two_projects_contents()
    broken = tuple(msgspec.structs.replace(key, secret=key.secret[:-1] + b"?") for key in contents.data_keys)

    with pytest.raises(Unavailable) as refused:
        KeyRing(msgspec.structs.replace(contents, data_keys=broken)).data_key(PROJECT)

    assert refused.value.code == "key_unavailable"


@pytest.mark.parametrize("kind", KeyKind)
def test_a_pending_key_of_any_kind_sealed_nothing_and_is_refused_once_it_is_compromised(
    kind: KeyKind,
) -> None:
    ring = two_projects()
    pending = next(key for key in ring.held() if key.line.kind is kind and key.state is KeyState.PENDING)

    after = ring.compromised(pending.name, CountedEntropy("breach"), NOW + 1)

    assert {key.state for key in after.held() if key.name == pending.name} == {KeyState.COMPROMISED}
    line = [key.state for key in after.held() if key.line == pending.line]
    assert sorted(line) == [KeyState.ACTIVE, KeyState.COMPROMISED, KeyState.PENDING]


def test_a_renewed_ring_still_lists_every_key_that_was_there_and_what_became_of_it() -> None:
    ring = two_projects()

    after = {key.name: key for key in ring.renewed(CountedEntropy("breach"), NOW + 1).held()}

    assert {after[key.name].state for key in ring.held() if key.line.kind is not KeyKind.VAULT} == {
        KeyState.COMPROMISED
    }
    stale = [key for key in ring.held() if key.line.kind is KeyKind.VAULT and not key.mints]
    assert {(after[key.name].state, after[key.name].secret) for key in stale} == {(KeyState.DESTROYED, b"")}


def test_a_ring_with_a_history_is_renewed_and_every_vault_key_that_opened_still_does() -> None:
    ring = rotated(rotated(two_projects(), KeyKind.VAULT), KeyKind.ROOT)
    root, sealers = ring.active_root(PROJECT), [key for key in ring.held() if key.line.kind is KeyKind.VAULT]
    ring = ring.compromised(root.name, CountedEntropy("breach"), LATER)
    former = [key.name for key in ring.roots_of(PROJECT) if key.state is KeyState.RETIRED]
    ring = ring.without(former, LATER)

    after = ring.renewed(CountedEntropy("again"), LATER + 1)

    opened = [key for key in sealers if key.state is not KeyState.PENDING]
    assert len(opened) == 3
    assert [after.data_key_by_id(key.name) for key in opened] == [
        ring.data_key_by_id(key.name) for key in opened
    ]
    gone = {key.name: key for key in after.held()}
    assert gone[root.name].compromised_at == LATER
    assert [gone[name].state for name in former] == [KeyState.DESTROYED]


@pytest.mark.parametrize("project", [PROJECT, OTHER_PROJECT])
def test_data_keys_hang_on_the_active_root_of_their_own_project_after_a_rotation(project: ProjectId) -> None:
    after = two_projects().rotated(project, KeyKind.ROOT, CountedEntropy("rotation"), LATER)

    hang_on = {key.kid for key in after.held() if isinstance(key, DataKey) and key.project == project}
    assert hang_on == {after.active_root(project).kid}
