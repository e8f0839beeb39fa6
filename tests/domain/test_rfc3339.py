from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sessiond.domain.instants import (
    from_datetime,
    parse_rfc3339,
    rfc3339,
    rfc3339_seconds,
    second_of,
    unix_seconds,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.520Z"),
        ("1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57.000Z"),
        ("1990-12-31T23:59:60Z", "1991-01-01T00:00:00.000Z"),
        ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00.000Z"),
        ("1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.870Z"),
    ],
)
def test_the_examples_of_rfc_3339_section_5_8_are_read(text: str, shown: str) -> None:
    instant = parse_rfc3339(text)

    assert instant is not None
    assert rfc3339(instant) == shown


def test_lower_case_and_an_unknown_local_offset_are_read() -> None:
    noon = from_datetime(datetime(2026, 3, 26, 12, tzinfo=UTC))

    assert parse_rfc3339("2026-03-26t12:00:00z") == noon
    assert parse_rfc3339("2026-03-26T12:00:00-00:00") == noon


def test_parts_below_a_millisecond_are_dropped() -> None:
    assert parse_rfc3339("1970-01-01T00:00:00.9999999999Z") == 999


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-26T11:00:00",
        "2026-03-26",
        "2026-03-26 11:00:00Z",
        "2026-03-26T11:00Z",
        "2026-03-26T11:00:00.Z",
        "2026-03-26T11:00:00+0100",
        "2026-03-26T11:00:00+24:00",
        "2026-03-26T11:00:00+01:60",
        "2026-03-26T25:00:00Z",
        "2026-03-26T11:00:61Z",
        "2026-02-29T11:00:00Z",
        "0000-01-01T00:00:00Z",
        " 2026-03-26T11:00:00Z",
        "2026-03-26T11:00:00Z\n",
        "٢٠٢٦-03-26T11:00:00Z",
        "20260326T110000Z",
        "1742986800",
        "10000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_anything_else_is_no_instant(text: str) -> None:
    assert parse_rfc3339(text) is None


def test_the_last_instant_with_a_text_is_read_and_shown() -> None:
    last = parse_rfc3339("9999-12-31T23:59:59.999Z")

    assert last is not None
    assert rfc3339_seconds(last) == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("instant", "limit", "second"),
    [(0, 0, 0), (1, 1, 0), (999, 1, 0), (1000, 1, 1000), (1001, 2, 1000), (1_999_999, 2000, 1_999_000)],
)
def test_in_seconds_a_limit_is_never_early_and_a_birth_never_late(
    instant: int, limit: int, second: int
) -> None:
    assert (unix_seconds(instant), second_of(instant)) == (limit, second)
