from __future__ import annotations

import pytest

from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.domain.refused_attempts import MOST_TOLD, Attempt, RefusedCounts, prefix_of

NOW = 1_800_000_000_000
OTHER = ProjectId("00000000-0000-4000-8000-000000000002")


def told(counts: RefusedCounts) -> list[tuple[object, ...]]:
    return [(event.project, *event.data.values()) for event in counts.events(NOW)]


def test_attempts_from_one_network_are_one_event() -> None:
    counts = RefusedCounts()
    for n in range(9):
        counts.add(Attempt.SERVER_KEY, DEFAULT_PROJECT, f"203.0.113.{n}")

    [event] = counts.events(NOW)

    assert (event.type, event.at, event.subject) == (EventType.ATTEMPTS_REFUSED, NOW, None)
    assert event.data == {"attempt": "server_key", "network": "203.0.113.0/24", "count": 9}


def test_what_was_told_is_not_told_again() -> None:
    counts = RefusedCounts()
    counts.add(Attempt.PIN, DEFAULT_PROJECT, "192.0.2.1")

    assert (len(told(counts)), told(counts)) == (1, [])


def test_attempts_projects_and_networks_are_told_apart() -> None:
    counts = RefusedCounts()
    counts.add(Attempt.PIN, DEFAULT_PROJECT, "192.0.2.1")
    counts.add(Attempt.PIN, OTHER, "192.0.2.1")
    counts.add(Attempt.THROTTLED, OTHER, "192.0.2.1")
    counts.add(Attempt.THROTTLED, OTHER, "198.51.100.1")

    assert told(counts) == [
        (DEFAULT_PROJECT, "pin", "192.0.2.0/24", 1),
        (OTHER, "pin", "192.0.2.0/24", 1),
        (OTHER, "throttled", "192.0.2.0/24", 1),
        (OTHER, "throttled", "198.51.100.0/24", 1),
    ]


def test_however_many_attack_few_events_are_written_and_nothing_is_left_uncounted() -> None:
    counts = RefusedCounts()
    for n in range(10_000):
        counts.add(Attempt.MASTER_TOKEN, DEFAULT_PROJECT, f"10.{n // 256}.{n % 256}.1")

    rows = told(counts)

    assert len(rows) == MOST_TOLD + 1
    assert rows[-1] == (DEFAULT_PROJECT, "master_token", None, 10_000 - MOST_TOLD)


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("192.0.2.77%eth0", "192.0.2.0/24"),
        ("not an address", None),
        ("", None),
    ],
)
def test_a_network_is_told_and_no_address(address: str, prefix: str | None) -> None:
    assert prefix_of(address) == prefix


def test_a_network_that_is_told_apart_stays_so_when_there_is_room_for_no_other() -> None:
    counts = RefusedCounts()
    for n in range(MOST_TOLD + 1):
        counts.add(Attempt.PIN, OTHER, f"10.0.{n}.1")
    counts.add(Attempt.PIN, OTHER, "10.0.0.2", count=5)
    counts.add(Attempt.PIN, OTHER, f"10.0.{MOST_TOLD}.1", count=2)

    rows = told(counts)

    assert rows[0] == (OTHER, "pin", "10.0.0.0/24", 6)
    assert rows[-1] == (DEFAULT_PROJECT, "pin", None, 3)
