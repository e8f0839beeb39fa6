from __future__ import annotations

import pytest

from sessiond.domain.errors import InvalidRequest
from sessiond.domain.ids import DEFAULT_PROJECT, Partition
from sessiond.domain.records import Key, Kind
from sessiond.domain.replays import (
    REPLAY_SUPERSEDED,
    IdempotencyKeyReused,
    Replay,
    check_idempotency_key,
    check_replayable,
    replay_key,
)
from sessiond.domain.sessions import Standing
from tests.domain.samples import NOW, a_session, a_standing

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


def test_the_refusals_have_their_codes() -> None:
    with pytest.raises(IdempotencyKeyReused) as reused:
        REPLAY.repeats(b"another")
    assert reused.value.code == "idempotency_key_reused"
    assert "choose a new one" in reused.value.detail
    with pytest.raises(InvalidRequest, match="1 to 255 visible") as malformed:
        check_idempotency_key("")
    assert malformed.value.code == "invalid_idempotency_key"


def test_a_replay_is_found_by_its_name_and_by_whom_it_is_about() -> None:
    about = Replay(
        project=DEFAULT_PROJECT,
        partition=Partition(1),
        name=b"name",
        request=b"request",
        created=None,
        about="ab12",
        created_at=NOON,
    )

    assert about.key == replay_key(DEFAULT_PROJECT, Partition(1), b"name")
    assert about.key == Key(Kind.REPLAY, Partition(1), DEFAULT_PROJECT, b"name")
    assert (about.owner, REPLAY.owner, about.sorted_at) == ("ab12", None, NOON)


def test_a_sign_in_is_repeated_while_its_first_tokens_are_the_sessions() -> None:
    standing = a_standing()

    assert check_replayable(standing, NOW) is standing.session


@pytest.mark.parametrize(
    "standing",
    [None, a_standing(a_session(generation=1)), a_standing(a_session(expires_at=NOW))],
    ids=["gone", "refreshed", "ended"],
)
def test_a_sign_in_whose_tokens_are_replaced_is_not_repeated(standing: Standing | None) -> None:
    with pytest.raises(type(REPLAY_SUPERSEDED)) as refused:
        check_replayable(standing, NOW)

    assert refused.value is REPLAY_SUPERSEDED
    assert refused.value.code == "replay_superseded"
