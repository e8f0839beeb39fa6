from __future__ import annotations

from datetime import timedelta

import pytest

from sessiond.domain.devices import (
    check_identifier,
    counting,
    device_subject,
    hint_of,
    may_be_device,
    settled,
    with_place,
)
from sessiond.domain.errors import InvalidRequest, Throttled
from sessiond.domain.ids import SubjectId, acceptable_subject_id

NOON = 1_800_000_000_000
HOUR = 3_600_000


@pytest.mark.parametrize("identifier", ["x", "device_unique_id_here", " a b ", "é" * 128, "x" * 256])
def test_text_of_1_to_256_bytes_identifies_a_device_as_it_stands(identifier: str) -> None:
    assert check_identifier(identifier) == identifier


@pytest.mark.parametrize(
    ("identifier", "why"),
    [
        (None, "identifier is required"),
        (7, "identifier is required"),
        (True, "identifier is required"),
        (["x"], "identifier is required"),
        ({}, "identifier is required"),
        ("", "identifier is required"),
        (" \u2003", "identifier is required"),
        ("a\x00b", "identifier must not contain control characters"),
        ("a\x85b", "identifier must not contain control characters"),
        ("x" * 257, "identifier must have at most 256 bytes"),
        ("é" * 129, "identifier must have at most 256 bytes"),
        ("x\udfff", "identifier must be valid Unicode"),
    ],
)
def test_anything_else_is_refused_and_told_why(identifier: object, why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_identifier(identifier)
    assert (refused.value.code, refused.value.detail) == ("invalid_identifier", why)


def test_a_devices_subject_is_named_by_the_keyed_hash() -> None:
    subject = device_subject(bytes(range(16)))

    assert subject == "device_000102030405060708090a0b0c0d0e0f"
    assert acceptable_subject_id(subject)
    assert may_be_device(subject)
    assert not may_be_device(SubjectId("alice"))


@pytest.mark.parametrize(
    ("identifier", "hint"),
    [("device_unique_id_here", "re"), ("12345678", "78"), ("1234567", "7"), ("1234", "4"), ("123", None)],
)
def test_at_most_two_characters_are_kept_and_never_more_than_a_quarter(
    identifier: str, hint: str | None
) -> None:
    assert hint_of(identifier) == hint


def test_a_place_is_taken_until_its_end() -> None:
    taken = with_place({}, "a", until=NOON + HOUR, most=1, now=NOON)

    assert taken == {"a": NOON + HOUR}
    assert counting(taken, NOON + HOUR - 1) == taken
    assert counting(taken, NOON + HOUR) == {}


def test_who_has_a_place_keeps_it_even_when_all_are_taken() -> None:
    taken = {"a": NOON + 1, "b": NOON + 2}

    assert with_place(taken, "a", until=NOON + HOUR, most=2, now=NOON) == taken


def test_one_too_many_waits_until_the_first_place_is_free() -> None:
    taken = {"a": NOON + 90_500, "b": NOON + HOUR}

    with pytest.raises(Throttled) as refused:
        with_place(taken, "c", until=NOON + HOUR, most=2, now=NOON)
    assert refused.value.retry_after_seconds == 91
    assert "c" in with_place(taken, "c", until=NOON + 2 * HOUR, most=2, now=NOON + 91_000)


def test_when_the_limit_was_lowered_the_wait_lasts_until_one_more_fits() -> None:
    taken = {"a": NOON + 1000, "b": NOON + 2000, "c": NOON + 3000}

    with pytest.raises(Throttled) as refused:
        with_place(taken, "d", until=NOON + HOUR, most=2, now=NOON)
    assert refused.value.retry_after_seconds == 2
    assert set(with_place(taken, "d", until=NOON + HOUR, most=2, now=NOON + 2000)) == {"c", "d"}


def test_a_place_may_be_found_empty_only_after_a_minute() -> None:
    ttl = timedelta(days=30)
    until = NOON + 30 * 24 * HOUR

    assert not settled(until, ttl=ttl, now=NOON + 59_999)
    assert settled(until, ttl=ttl, now=NOON + 60_000)


def test_the_refusal_of_one_too_many_comes_back_after_a_second_at_least() -> None:
    with pytest.raises(Throttled) as refused:
        with_place({"a": NOON + 1}, "b", until=NOON + HOUR, most=1, now=NOON)

    assert (refused.value.code, refused.value.retry_after_seconds) == ("too_many_devices", 1)
    assert refused.value.detail == "too many devices from this address, try again later"


def test_the_first_place_to_be_free_is_waited_for_in_whatever_order_they_were_taken() -> None:
    taken = {"a": NOON + 3_600_000, "b": NOON + 1_001_000}

    with pytest.raises(Throttled) as refused:
        with_place(taken, "c", until=NOON + HOUR, most=2, now=NOON)

    assert refused.value.retry_after_seconds == 1001
