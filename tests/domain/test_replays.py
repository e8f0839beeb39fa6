from __future__ import annotations

import pytest

from sessiond.domain.errors import InvalidRequest
from sessiond.domain.ids import DEFAULT_PROJECT, Partition
from sessiond.domain.replays import IdempotencyKeyReused, Replay, check_idempotency_key

NOON = 1_800_000_000_000
DAY = 24 * 3_600_000
REPLAY = Replay(
    project=DEFAULT_PROJECT,
    partition=Partition(1),
    name=b"name",
    request=b"request",
    created="store_1",
    created_at=NOON,
)


def test_a_create_is_remembered_for_a_day_and_then_purged() -> None:
    assert REPLAY.remembered(NOON + DAY - 1)
    assert not REPLAY.remembered(NOON + DAY)
    assert REPLAY.purge_at == NOON + DAY


def test_another_request_under_the_same_key_is_refused() -> None:
    REPLAY.repeats(b"request")
    with pytest.raises(IdempotencyKeyReused):
        REPLAY.repeats(b"another")


@pytest.mark.parametrize("key", ["k", "8e03978e-40d5-43dd-bc93-6894a57f9324", "x" * 255])
def test_visible_ascii_is_a_key(key: str) -> None:
    assert check_idempotency_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "a\tb"])
def test_anything_else_is_no_key(key: str) -> None:
    with pytest.raises(InvalidRequest):
        check_idempotency_key(key)
