"""Ids: time-ordered, with the partition inside, one text per value."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.domain.ids import (
    DEFAULT_PROJECT,
    Partition,
    acceptable_subject_id,
    id_text,
    lowest_id,
    mint_id,
    parse_id,
    parse_project_id,
    partition_of,
    subject_id_fault,
)

NOW = 1_800_000_000_000
INSTANTS = st.integers(0, 2**48 - 1)
PARTITIONS = st.integers(0, 4095).map(Partition)
ENTROPY = st.binary(min_size=8, max_size=8)


@given(INSTANTS, PARTITIONS, ENTROPY)
def test_an_id_is_a_uuid_of_version_7_that_carries_its_partition(
    now: int, partition: Partition, entropy: bytes
) -> None:
    identifier = mint_id(now=now, partition=partition, entropy=entropy)

    assert partition_of(identifier) == partition
    assert UUID(bytes=identifier).version == 7
    assert UUID(bytes=identifier).variant == "specified in RFC 4122"
    assert parse_id(id_text(identifier)) == identifier


@given(INSTANTS, PARTITIONS, PARTITIONS, ENTROPY)
def test_a_later_id_sorts_after_an_earlier_one(
    now: int, one: Partition, other: Partition, entropy: bytes
) -> None:
    earlier = mint_id(now=max(0, now - 1), partition=one, entropy=entropy)

    assert now == 0 or earlier < mint_id(now=now, partition=other, entropy=entropy)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{00000000-0000-4000-8000-000000000001}",
        "00000000000040008000000000000001",
        DEFAULT_PROJECT + "0",
    ],
)
def test_other_spellings_of_a_uuid_are_no_ids(text: str) -> None:
    assert parse_id(text) is None
    assert parse_project_id(text) is None


@pytest.mark.parametrize("text", ["a", "é" * 128, "x" * 256, "user@example.com", "with space"])
def test_a_subject_may_be_any_short_text(text: str) -> None:
    assert acceptable_subject_id(text)


@pytest.mark.parametrize("text", ["", "x" * 257, "é" * 129, "a\nb", "\x00", "\x85", "\ud800"])
def test_a_subject_is_never_empty_long_or_unprintable(text: str) -> None:
    assert not acceptable_subject_id(text)


def test_below_the_lowest_id_of_an_instant_are_all_that_were_made_before() -> None:
    before = mint_id(now=NOW - 1, partition=Partition(4095), entropy=b"\xff" * 8)
    at = mint_id(now=NOW, partition=Partition(0), entropy=bytes(8))

    assert before < lowest_id(NOW) < at
    assert len(lowest_id(NOW)) == 16
    assert lowest_id(-1) == lowest_id(0) == bytes(16)
    assert lowest_id(1) == bytes(5) + b"\1" + bytes(10)


def test_a_project_is_named_by_a_uuid_in_any_case() -> None:
    assert parse_project_id("00000000-0000-4000-8000-00000000000A") == "00000000-0000-4000-8000-00000000000a"
    assert parse_project_id("shop") is None


def test_why_a_text_names_no_subject_is_told() -> None:
    assert subject_id_fault("alice") is None
    assert subject_id_fault("") == "is not 1 to 256 bytes of UTF-8 without control characters"
