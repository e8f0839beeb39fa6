from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.domain.errors import InvalidRequest
from sessiond.domain.ids import DEFAULT_PROJECT, PARTITIONS, Partition, SubjectId
from sessiond.domain.records import Key, Kind
from sessiond.domain.vault import (
    LONGEST_TOKEN,
    Boxes,
    VaultEntry,
    cap_key,
    check_expiry,
    check_token,
    check_user,
    entry_key,
    is_valid,
    mint_entry_id,
    parse_entry_id,
    preview,
    require_future,
    seconds_remaining,
    stay_beside_one_more,
)

NOON = 1_800_000_000_000


@given(partition=st.integers(0, PARTITIONS - 1), entropy=st.binary(min_size=16, max_size=16))
def test_an_entrys_id_alone_tells_its_partition(partition: int, entropy: bytes) -> None:
    minted = mint_entry_id(Partition(partition), entropy)

    assert parse_entry_id(minted) == minted
    assert entry_key(DEFAULT_PROJECT, minted).partition == partition
    assert entropy.hex() in minted


@pytest.mark.parametrize(
    "text",
    ["", "store_001", "store_" + "0" * 34, "store_" + "0" * 36, "store_" + "A" * 35, "STORE_" + "0" * 35],
)
def test_a_text_of_another_shape_is_no_entrys_id(text: str) -> None:
    assert parse_entry_id(text) is None
    assert parse_entry_id("store_" + "0" * 35 + "\n") is None


def test_an_id_takes_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        mint_entry_id(Partition(0), bytes(15))


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("eyJhbGciOiJIUzI1NiJ9.Q3Yk", "eyJhbGci...Q3Yk"),
        ("a" * 20 + "wxyz", "aaaaaaaa...wxyz"),
        ("a" * 19 + "wxyz", "...yz"),
        ("12345678", "...78"),
        ("1234567", "...7"),
        ("1234", "...4"),
        ("123", "..."),
        ("1", "..."),
    ],
)
def test_a_preview_shows_the_ends_of_a_long_token_and_almost_nothing_of_a_short_one(
    token: str, shown: str
) -> None:
    assert preview(token) == shown


@given(st.text(min_size=1, max_size=40))
def test_a_preview_never_shows_more_than_half(token: str) -> None:
    shown = preview(token)

    assert len(shown) - 3 <= len(token) // 2
    assert len(token) >= 24 or len(shown) <= 5


def test_a_token_is_valid_before_its_end_and_not_at_it() -> None:
    assert is_valid(NOON, NOON - 1)
    assert not is_valid(NOON, NOON)


@pytest.mark.parametrize(
    ("left_ms", "seconds"), [(3_540_000, 3540), (1, 1), (1000, 1), (1001, 2), (0, 0), (-1, 0)]
)
def test_remaining_seconds_are_rounded_up_and_never_negative(left_ms: int, seconds: int) -> None:
    assert seconds_remaining(NOON + left_ms, NOON) == seconds


def test_at_the_cap_one_less_stays() -> None:
    assert stay_beside_one_more(100) == 99
    assert stay_beside_one_more(1) == 0


@pytest.mark.parametrize("token", ["x", "Bearer abc def", "ü" * (LONGEST_TOKEN // 2), "x" * LONGEST_TOKEN])
def test_text_up_to_sixteen_kibibytes_is_a_token(token: str) -> None:
    assert check_token(token) == token


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a\nb",
        "a\x00",
        "\x7f",
        "a\x9b",
        "x" * (LONGEST_TOKEN + 1),
        "ü" * (LONGEST_TOKEN // 2) + "x",
        "\ud800",
    ],
)
def test_empty_long_or_unprintable_text_is_no_token(token: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_token(token)
    assert refused.value.code == "invalid_token_text"


@pytest.mark.parametrize("user", ["", "x" * 257, "a\nb", "\ud800"])
def test_a_user_id_has_1_to_256_bytes(user: str) -> None:
    assert check_user("x" * 256) == "x" * 256
    with pytest.raises(InvalidRequest) as refused:
        check_user(user)
    assert refused.value.code == "invalid_user_id"


def test_an_expiry_needs_an_offset() -> None:
    assert check_expiry("2027-01-15T09:00:00+01:00") == check_expiry("2027-01-15T08:00:00Z") == NOON
    with pytest.raises(InvalidRequest) as refused:
        check_expiry("2026-03-26T11:00:00")
    assert refused.value.code == "invalid_expires_at"


def test_an_expiry_must_lie_in_the_future() -> None:
    require_future(NOON + 1, NOON)
    with pytest.raises(InvalidRequest) as refused:
        require_future(NOON, NOON)
    assert refused.value.code == "expires_at_past"


def test_an_entry_is_found_by_its_user_and_ordered_by_when_it_was_saved() -> None:
    entry = VaultEntry(
        id=mint_entry_id(Partition(77), bytes(16)),
        project=DEFAULT_PROJECT,
        user=SubjectId("alice"),
        boxes=Boxes(key_id="k", token=b"t", preview=b"p"),
        expires_at=NOON + 3,
        kept_until=NOON + 4,
        saved_at=NOON + 2,
        created_at=NOON + 1,
    )

    assert entry.key == entry_key(DEFAULT_PROJECT, entry.id)
    assert entry.key == Key(Kind.VAULT_ENTRY, Partition(77), DEFAULT_PROJECT, entry.id.encode())
    assert (entry.owner, entry.sorted_at) == ("alice", NOON + 2)
    assert (entry.expires_at_or_none, entry.purge_at) == (NOON + 3, NOON + 4)


def test_the_guard_of_a_users_entries_lies_with_them() -> None:
    key = cap_key(DEFAULT_PROJECT, SubjectId("alice"), Partition(77))

    assert (key.kind, key.partition, key.project) == (Kind.TALLY, 77, DEFAULT_PROJECT)
    assert key.id.endswith(b"alice")
    assert key.id != b"alice"
