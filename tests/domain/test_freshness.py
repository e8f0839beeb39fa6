"""How long an answer from memory may be given, and what a refusal keeps of where it was raised."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.domain.errors import Refusal, Throttled
from sessiond.domain.freshness import Staleness, answers_until
from sessiond.domain.moving import DEPARTED, Departed, refuse_departed
from sessiond.domain.sessions import departed
from tests.domain.samples import NOW, a_standing


@pytest.mark.parametrize(("measured", "heard"), [(None, False), (0.0, True), (2.0, True), (2.1, False)])
def test_a_feed_is_heard_while_its_last_heartbeat_is_young_enough(
    measured: float | None, heard: bool
) -> None:
    assert Staleness(bound_seconds=2.0, measured_seconds=measured).heard is heard


@pytest.mark.parametrize(
    ("read_at", "heard_at", "tells_all", "until"),
    [(5.0, 9.0, True, 11.0), (10.0, 9.0, True, 11.0), (5.0, 9.0, False, 7.0), (10.0, 9.0, False, 11.0)],
)
def test_memory_answers_for_the_bound_after_what_is_known_last(
    read_at: float, heard_at: float, tells_all: bool, until: float
) -> None:
    assert answers_until(read_at=read_at, heard_at=heard_at, tells_all=tells_all, bound=2.0) == until


def test_a_database_that_was_left_answers_nothing() -> None:
    refuse_departed(None)
    with pytest.raises(type(DEPARTED)) as refused:
        refuse_departed(Departed(to="redis://a", at=NOW))
    assert refused.value.code == "store_unavailable"


def test_a_refusal_forgets_where_it_was_raised_and_all_that_it_was_raised_after() -> None:
    first, second, third = ValueError("a secret"), KeyError("another"), Refusal("code", "A sentence.")
    second.__context__, third.__context__ = first, second
    with pytest.raises(Refusal) as refused:
        raise third

    refused.value.forget_where()

    for error in (first, second, third):
        assert error.__traceback__ is None
        assert error.__context__ is None


def test_a_refusal_says_its_code_and_its_sentence_and_has_no_data_unless_given() -> None:
    plain = Refusal("code", "A sentence.")
    throttled = Throttled("code", "A sentence.", retry_after_seconds=7, data={"limit": 3})

    assert (str(plain), plain.code, plain.detail, dict(plain.data)) == (
        "code: A sentence.",
        "code",
        "A sentence.",
        {},
    )
    assert (throttled.retry_after_seconds, throttled.data, throttled.code) == (7, {"limit": 3}, "code")


def test_a_session_read_in_a_database_that_was_left_may_have_ended_elsewhere() -> None:
    standing = a_standing()
    assert standing.deployment is not None
    left = msgspec.structs.replace(standing.deployment, departed=Departed(to="redis://a", at=NOW))

    assert not departed(standing)
    assert not departed(msgspec.structs.replace(standing, deployment=None))
    assert departed(msgspec.structs.replace(standing, deployment=left))
