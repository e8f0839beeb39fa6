from __future__ import annotations

import msgspec
import pytest

from sessiond.domain.errors import Misconfigured
from sessiond.domain.moving import Arriving, Departed
from sessiond.domain.startup import Found, Start, Witness, decide, require_startable, require_written_on

NOW = Witness(install_id="a", epoch=7, newest_event=100)


def witnessed(**changes: object) -> Witness:
    return msgspec.structs.replace(NOW, **changes)


def found(
    recorded: Witness | None, witness: Witness | None, *, has_key: bool = True, opens: bool = True
) -> Found:
    return Found(recorded=recorded, witness=witness, has_key=has_key, opens=opens and has_key)


@pytest.mark.parametrize("has_key", [True, False])
def test_an_empty_database_without_a_witness_is_a_first_start(has_key: bool) -> None:
    assert decide(found(None, None, has_key=has_key)) is Start.FIRST


def test_a_database_that_has_come_further_than_the_witness_is_ordinary() -> None:
    assert decide(found(NOW, witnessed(newest_event=60))) is Start.ORDINARY


def test_a_database_that_is_where_the_witness_says_is_ordinary() -> None:
    assert decide(found(NOW, NOW)) is Start.ORDINARY


def test_a_database_whose_key_fits_starts_without_a_witness() -> None:
    assert decide(found(NOW, None)) is Start.UNWITNESSED


def test_a_database_with_fewer_events_than_the_witness_is_behind() -> None:
    assert decide(found(NOW, witnessed(newest_event=101))) is Start.BEHIND


def test_a_database_with_another_epoch_than_the_witness_is_another_history() -> None:
    assert decide(found(NOW, witnessed(epoch=8, newest_event=1))) is Start.OTHER_EPOCH


def test_another_epoch_that_a_recovery_by_another_node_explains_is_ordinary() -> None:
    behind = witnessed(epoch=8, newest_event=1)
    explained = msgspec.structs.replace(found(NOW, behind), recovered=True)
    lacking = msgspec.structs.replace(found(NOW, witnessed(epoch=8, newest_event=101)), recovered=True)

    assert decide(explained) is Start.ORDINARY
    assert decide(lacking) is Start.BEHIND


def test_a_database_of_another_epoch_and_with_fewer_events_is_behind() -> None:
    assert decide(found(NOW, witnessed(epoch=8, newest_event=101))) is Start.BEHIND


def test_a_database_that_is_behind_is_written_on_by_nobody() -> None:
    with pytest.raises(Misconfigured, match=r"\A[^\n]*sqlite:///d[^\n]*`sessiond recover`[^\n]*\Z"):
        require_written_on(Start.BEHIND, database="sqlite:///d")
    for start in set(Start) - {Start.BEHIND}:
        require_written_on(start, database="sqlite:///d")


def test_an_empty_database_beside_a_witness_is_refused() -> None:
    assert decide(found(None, NOW)) is Start.DATABASE_EMPTY


def test_a_database_of_another_installation_than_the_witness_is_refused() -> None:
    assert decide(found(NOW, witnessed(install_id="b"))) is Start.DATABASE_FOREIGN


def test_a_database_of_another_installation_is_refused_also_when_the_key_does_not_open_it() -> None:
    assert decide(found(NOW, witnessed(install_id="b"), opens=False)) is Start.DATABASE_FOREIGN


@pytest.mark.parametrize("witness", [None, NOW])
def test_a_used_database_without_its_key_is_refused(witness: Witness | None) -> None:
    assert decide(found(NOW, witness, has_key=False)) is Start.KEY_MISSING


@pytest.mark.parametrize("witness", [None, NOW])
def test_a_used_database_whose_ring_the_key_does_not_open_is_refused(witness: Witness | None) -> None:
    assert decide(found(NOW, witness, opens=False)) is Start.KEY_WRONG


def test_a_database_that_was_left_is_refused_to_whoever_has_its_key() -> None:
    left = msgspec.structs.replace(found(NOW, NOW), departed=Departed(to="postgresql://db/there", at=5))

    assert decide(left) is Start.DEPARTED
    with pytest.raises(Misconfigured, match="was moved to postgresql://db/there"):
        require_startable(Start.DEPARTED, database="d", secrets="s", elsewhere="postgresql://db/there")


def test_a_database_that_is_being_filled_is_refused_also_without_a_witness() -> None:
    for witness in (None, NOW, witnessed(newest_event=101)):
        arriving = msgspec.structs.replace(found(NOW, witness), arriving=Arriving(at=5))
        assert decide(arriving) is Start.ARRIVING


@pytest.mark.parametrize(
    "start", [Start.FIRST, Start.ORDINARY, Start.UNWITNESSED, Start.BEHIND, Start.OTHER_EPOCH]
)
def test_a_start_that_goes_on_is_not_refused(start: Start) -> None:
    require_startable(start, database="sqlite:///d", secrets="s")


@pytest.mark.parametrize(
    "start",
    [
        Start.KEY_MISSING,
        Start.KEY_WRONG,
        Start.DATABASE_EMPTY,
        Start.DATABASE_FOREIGN,
        Start.DEPARTED,
        Start.ARRIVING,
    ],
)
def test_a_refusal_is_one_sentence_that_names_the_database_and_the_secrets(start: Start) -> None:
    with pytest.raises(Misconfigured, match=r"\A[^\n]*sqlite:///d[^\n]*\Z") as refused:
        require_startable(start, database="sqlite:///d", secrets="/etc/s")

    assert "/etc/s" in str(refused.value)
