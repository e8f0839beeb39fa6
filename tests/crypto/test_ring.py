from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.crypto.purposes import Purpose
from sessiond.crypto.ring import KeyRing, fingerprint
from sessiond.crypto.sealing import seal
from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SubjectId
from sessiond.domain.keys import Audience, KeyState
from tests.crypto.material import (
    KEY,
    NOW,
    OTHER_KEY,
    OTHER_PROJECT,
    PROJECT,
    CountedEntropy,
    two_projects,
)

INSTALLATION = "0f0e"
LATER = NOW + 1000


def sealed(ring: KeyRing) -> bytes:
    return ring.seal(KEY, INSTALLATION, CountedEntropy("box"))


# At rest


def test_what_is_sealed_opens_with_the_same_keys_in_it() -> None:
    ring = two_projects()

    opened = KeyRing.unseal(sealed(ring), KEY, INSTALLATION)

    for project in (PROJECT, OTHER_PROJECT):
        assert opened.active_root(project) == ring.active_root(project)
        assert opened.jwks(project, list(Audience)) == ring.jwks(project, list(Audience))
        assert opened.data_key(project) == ring.data_key(project)
        assert opened.partition(project, SubjectId("alice")) == ring.partition(project, SubjectId("alice"))
        assert opened.lookup(Purpose.LOOKUP_DEVICE, project, "x") == ring.lookup(
            Purpose.LOOKUP_DEVICE, project, "x"
        )


def test_another_wrapping_key_is_refused_and_named_by_its_fingerprint() -> None:
    with pytest.raises(Misconfigured, match="does not open the key ring") as refusal:
        KeyRing.unseal(sealed(two_projects()), OTHER_KEY, INSTALLATION)

    assert fingerprint(OTHER_KEY) in str(refusal.value)
    assert OTHER_KEY.hex() not in str(refusal.value)


def test_the_ring_of_another_installation_is_refused() -> None:
    with pytest.raises(Misconfigured, match="0f0f"):
        KeyRing.unseal(sealed(two_projects()), KEY, "0f0f")


def test_a_changed_byte_anywhere_is_refused() -> None:
    box = sealed(two_projects())

    for position in range(0, len(box), 7):
        changed = box[:position] + bytes([box[position] ^ 1]) + box[position + 1 :]
        with pytest.raises(Misconfigured):
            KeyRing.unseal(changed, KEY, INSTALLATION)
    for length in (0, 1, 12, 28, len(box) - 1):
        with pytest.raises(Misconfigured):
            KeyRing.unseal(box[:length], KEY, INSTALLATION)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_wrapping_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(Misconfigured, match="32 bytes"):
        two_projects().seal(bytes(size), INSTALLATION, CountedEntropy())
    with pytest.raises(Misconfigured, match="32 bytes"):
        KeyRing.unseal(b"", bytes(size), INSTALLATION)


def test_a_ring_of_a_newer_version_is_refused() -> None:
    newer = msgspec.msgpack.encode({"format": 2, "salt": KEY, "lookup_root": KEY})
    box = seal(KEY, newer, aad=f"sessiond|v1|ring|{INSTALLATION}".encode(), entropy=bytes(12))

    with pytest.raises(Misconfigured, match="newer sessiond"):
        KeyRing.unseal(box, KEY, INSTALLATION)


def test_no_secret_is_readable_in_the_box_or_printed() -> None:
    ring = two_projects()
    root = ring.active_root(PROJECT)
    signing = ring.signing_key(PROJECT, Audience.NATIVE)
    shown = (
        repr(ring) + repr(root) + repr(root.__rich_repr__()) + repr(signing) + repr(signing.__rich_repr__())
    )

    for secret in (root.secret, signing.secret):
        assert secret not in sealed(ring)
        assert repr(secret) not in shown
        assert secret.hex() not in shown
    assert str(root.kid) in shown


# What a project has


@pytest.mark.parametrize("project", [PROJECT, OTHER_PROJECT])
def test_a_project_is_born_with_every_key_it_needs(project: ProjectId) -> None:
    ring = two_projects()

    root = ring.active_root(project)
    assert root.kid >= 1
    assert (root.project, root.state, root.activated_at) == (project, KeyState.ACTIVE, NOW)
    assert [each.state for each in ring.roots_of(project)] == [KeyState.ACTIVE, KeyState.PENDING]
    assert len(ring.data_key(project)[1]) == 32
    for audience in Audience:
        signing = ring.signing_key(project, audience)
        published = [jwk["kid"] for jwk in ring.jwks(project, [audience])]
        assert signing.kid in published
        assert len(published) == 2


def test_every_kid_is_unique_and_has_its_form() -> None:
    ring = two_projects()
    kids = [jwk["kid"] for project in (PROJECT, OTHER_PROJECT) for jwk in ring.jwks(project, list(Audience))]

    assert len(set(kids)) == len(kids) == 16
    assert all(re.fullmatch(r"[a-z0-9]{12}", kid) for kid in kids)
    assert ring.active_root(PROJECT).kid != ring.active_root(OTHER_PROJECT).kid


def test_a_kid_that_is_taken_is_drawn_again() -> None:
    class Repeating(CountedEntropy):
        def bytes(self, count: int) -> bytes:
            return next(kids) if count == 4 else super().bytes(count)

    drawn = (b"\0\0\0\7", b"\0\0\0\x09", b"\0\0\0\0", b"\0\0\0\7", b"\0\0\0\x08", b"\0\0\0\x0a")
    kids = iter(drawn)
    entropy = Repeating()
    ring = KeyRing.initial(entropy, NOW).with_project(OTHER_PROJECT, entropy, NOW)

    assert ring.active_root(PROJECT).kid == 7
    assert ring.active_root(OTHER_PROJECT).kid == 8


def test_adding_a_project_twice_changes_nothing() -> None:
    ring = two_projects()

    assert ring.with_project(OTHER_PROJECT, CountedEntropy("again"), LATER) is ring


def test_a_project_without_keys_is_unavailable() -> None:
    ring = KeyRing.initial(CountedEntropy(), NOW)

    assert ring.roots_of(OTHER_PROJECT) == ()
    assert ring.jwks(OTHER_PROJECT, list(Audience)) == []
    for ask in (
        lambda: ring.active_root(OTHER_PROJECT),
        lambda: ring.signing_key(OTHER_PROJECT, Audience.NATIVE),
        lambda: ring.data_key(OTHER_PROJECT),
        lambda: ring.data_key_by_id("abcdefghijkl"),
        lambda: ring.key(1, Purpose.ACCESS),
    ):
        with pytest.raises(Unavailable) as refused:
            ask()
        assert refused.value.code == "key_unavailable"


# Keyed hashes


@given(st.text(min_size=1))
def test_partitions_are_within_bounds_and_lasting(subject: str) -> None:
    first, second = two_projects(), two_projects()

    partition = first.partition(PROJECT, SubjectId(subject))

    assert 0 <= partition < 4096
    assert partition == second.partition(PROJECT, SubjectId(subject))


def test_partitions_depend_on_the_salt_and_the_project_and_are_spread() -> None:
    ring, other = two_projects(), KeyRing.initial(CountedEntropy("other"), NOW)
    subjects = [SubjectId(f"user-{number}") for number in range(2000)]

    mine = [ring.partition(PROJECT, subject) for subject in subjects]

    assert len(set(mine)) > 1400
    assert (
        sum(a == b for a, b in zip(mine, [other.partition(PROJECT, s) for s in subjects], strict=True)) < 10
    )
    assert (
        sum(a == b for a, b in zip(mine, [ring.partition(OTHER_PROJECT, s) for s in subjects], strict=True))
        < 10
    )


def test_a_lookup_differs_by_purpose_project_and_text() -> None:
    ring = two_projects()
    purposes = [purpose for purpose in Purpose if purpose.startswith("lookup.")]

    hashes = {
        ring.lookup(purpose, project, text)
        for purpose in purposes
        for project in (PROJECT, OTHER_PROJECT)
        for text in ("", "a", "A", "a ", "é", "\ud800")
    }

    assert len(hashes) == len(purposes) * 2 * 6
    assert {len(digest) for digest in hashes} == {16}


def test_a_lookup_is_for_lookups_only() -> None:
    with pytest.raises(ValueError, match="lookup"):
        two_projects().lookup(Purpose.ACCESS, DEFAULT_PROJECT, "x")


def test_every_purpose_and_suffix_has_a_key_of_its_own() -> None:
    ring = two_projects()
    kids = [ring.active_root(project).kid for project in (PROJECT, OTHER_PROJECT)]

    keys = {
        ring.key(kid, purpose, suffix) for kid in kids for purpose in Purpose for suffix in ("", "1", "2")
    }

    assert len(keys) == 2 * len(Purpose) * 3
