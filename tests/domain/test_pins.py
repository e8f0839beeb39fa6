"""Names, PINs and what failures cost: the rules, without a clock or a store."""

from __future__ import annotations

import sys
import unicodedata
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.domain.errors import InvalidRequest
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SubjectId
from sessiond.domain.instants import Instant, later
from sessiond.domain.pins import (
    Attempts,
    Counted,
    Limit,
    Pin,
    check_name,
    check_pin,
    cleared,
    closed,
    fold_name,
    growing_wait,
    known_since,
    limit_of,
    pin_key,
    released,
    reopened,
    reserved,
    succeeded,
    throttled,
    wait_of,
)
from sessiond.domain.records import Key, Kind
from sessiond.domain.rules import PinRules
from tests.domain.samples import a_subject

NOON = 1_800_000_000_000
RULES = PinRules()
HERE = limit_of(Counted.ACCOUNT_AT_ADDRESS, RULES)
ADDRESS = limit_of(Counted.ADDRESS, RULES)
ACCOUNT = limit_of(Counted.ACCOUNT, RULES)
NONE_YET = Attempts(project=DEFAULT_PROJECT, partition=Partition(7), id=b"counter", version=0)


def after(failures: int, limit: Limit, *, at: Instant = NOON) -> Attempts:
    attempts = NONE_YET
    for _ in range(failures):
        attempts = reserved(attempts, limit, at)
    return attempts


# -- names and PINs


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CoolUser1", "cooluser1"),
        ("Straße", "STRASSE"),
        ("\N{LATIN SMALL LIGATURE FI}n", "FIN"),
        ("\uff21\uff4c\uff49\uff43\uff45", "alice"),
        ("Ame\u0301lie", "am\u00c9lie"),
        ("\N{KELVIN SIGN}im", "kim"),
    ],
)
def test_names_that_differ_in_case_or_form_are_one(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other)


def test_folding_a_folded_name_changes_nothing_for_any_character() -> None:
    folded = {once for code in range(sys.maxunicode + 1) if (once := fold_name(chr(code))) != chr(code)}

    assert {fold_name(once) for once in folded} == folded
    assert all(unicodedata.is_normalized("NFKC", once) for once in folded)


@given(st.text(max_size=20))
def test_folding_a_folded_name_changes_nothing(name: str) -> None:
    assert fold_name(fold_name(name)) == fold_name(name)


def test_different_names_stay_different() -> None:
    assert fold_name("alice") != fold_name("alic\u0435")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "alice ",
        " alice",
        "\u00a0alice",
        "al\nice",
        "al\x00ice",
        "al\x1b[31mice",
        "al\u200bice",
        "al\u202eice",
        "\ud800",
        "a" * 257,
        "\u00e9" * 129,
        "\ufdfa" * 40,
        "e\u0301" * 100,
    ],
)
def test_a_name_that_nobody_can_read_or_store_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check_name(name)

    assert refusal.value.code == "invalid_name"


@pytest.mark.parametrize("name", ["a", "Anna Müller", "王芳", "o'neil; DROP", "a" * 256])
def test_a_name_keeps_its_letters_when_it_is_folded(name: str) -> None:
    assert check_name(name) == fold_name(name)


@pytest.mark.parametrize("pin", ["0000", "0" * 64, "пароль", "correct horse"])
def test_a_pin_of_four_to_64_characters_is_taken_as_it_stands(pin: str) -> None:
    assert check_pin(pin) == pin


@pytest.mark.parametrize("pin", ["", "000", "0" * 65, "12\n34", "12\x0034", "12\ud80034"])
def test_a_pin_that_is_too_short_or_long_or_unprintable_is_refused(pin: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check_pin(pin)

    assert refusal.value.code == "invalid_pin"
    assert not pin or pin not in refusal.value.detail


def test_a_pin_typed_on_another_keyboard_is_the_same_pin() -> None:
    assert check_pin("cafe\u0301") == check_pin("caf\u00e9")


def test_pins_that_differ_in_case_or_leading_zeros_differ() -> None:
    assert len({check_pin(pin) for pin in ("abcd", "ABCD", "0000", "00000")}) == 4


# -- growing waits


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [
        (0, 0),
        (4, 0),
        (5, 30),
        (6, 60),
        (7, 120),
        (8, 240),
        (9, 480),
        (10, 960),
        (11, 1920),
        (12, 3600),
        (13, 3600),
        (10_000, 3600),
    ],
)
def test_waits_begin_after_five_failures_and_grow_to_an_hour(failures: int, seconds: int) -> None:
    assert growing_wait(failures, HERE) == timedelta(seconds=seconds)


def test_an_attempt_counts_when_the_wait_since_the_last_failure_is_over() -> None:
    attempts = after(5, HERE)

    assert wait_of(attempts, HERE, NOON) == 30_000
    assert wait_of(attempts, HERE, NOON + 29_999) == 1
    assert wait_of(attempts, HERE, NOON + 30_000) == 0


def test_the_first_five_failures_cost_no_wait() -> None:
    assert [wait_of(after(n, HERE), HERE, NOON) for n in range(6)] == [0, 0, 0, 0, 0, 30_000]


def test_an_address_has_fifty_free_failures() -> None:
    assert wait_of(after(49, ADDRESS), ADDRESS, NOON) == 0
    assert wait_of(after(50, ADDRESS), ADDRESS, NOON) == 30_000


def test_failures_are_forgotten_a_day_after_the_first_of_them() -> None:
    attempts = reserved(after(8, HERE), HERE, later(NOON, timedelta(hours=23)))

    assert wait_of(attempts, HERE, later(NOON, timedelta(hours=24))) == 0
    assert reserved(attempts, HERE, later(NOON, timedelta(hours=24))).failures == 1


def test_a_clock_that_went_back_makes_no_wait_longer() -> None:
    assert wait_of(after(5, HERE), HERE, NOON - 10**9) == 30_000
    assert wait_of(after(99, ADDRESS), ADDRESS, NOON - 10**12) == 3_600_000


# -- an account


def test_an_account_waits_for_the_hour_to_end_after_100_failures_in_it() -> None:
    attempts = reopened(after(100, ACCOUNT))

    assert wait_of(attempts, ACCOUNT, NOON) == 3_600_000
    assert wait_of(attempts, ACCOUNT, later(NOON, timedelta(minutes=59))) == 60_000
    assert wait_of(attempts, ACCOUNT, later(NOON, timedelta(minutes=60))) == 0


def test_an_account_closes_after_100_consecutive_failures_whenever_they_were() -> None:
    attempts = NONE_YET
    for day in range(100):
        assert not closed(attempts, ACCOUNT)
        attempts = reserved(attempts, ACCOUNT, later(NOON, timedelta(days=day)))

    assert closed(attempts, ACCOUNT)
    assert wait_of(attempts, ACCOUNT, later(NOON, timedelta(days=9999))) == 3_600_000


@pytest.mark.parametrize("change", [reopened, released, cleared])
def test_a_closed_account_opens_by_a_success_or_an_operator(change: object) -> None:
    assert callable(change)

    assert not closed(change(after(100, ACCOUNT)), ACCOUNT)


def test_an_account_with_a_success_in_between_does_not_close() -> None:
    attempts = reserved(released(after(99, ACCOUNT)), ACCOUNT, NOON)

    assert not closed(attempts, ACCOUNT)


def test_an_accounts_counter_is_never_purged() -> None:
    assert after(3, ACCOUNT).purge_at is None


# -- success


def test_a_success_takes_its_own_failure_back() -> None:
    assert released(after(3, ADDRESS)).failures == 2
    assert released(NONE_YET).failures == 0


def test_a_success_clears_the_account_at_this_address_and_makes_the_client_known() -> None:
    attempts = succeeded(after(4, HERE), RULES, NOON + 1)

    assert attempts.failures == 0
    assert known_since(attempts.succeeded_at, NOON, now=NOON + 1, rules=RULES)
    assert attempts.purge_at == later(NOON + 1, timedelta(days=30))


def test_a_failure_does_not_shorten_how_long_a_known_client_is_kept() -> None:
    attempts = succeeded(NONE_YET, RULES, NOON)

    assert reserved(attempts, HERE, NOON + 5).purge_at == later(NOON, timedelta(days=30))


def test_an_unlocked_counter_keeps_who_is_known() -> None:
    assert cleared(succeeded(NONE_YET, RULES, NOON)).succeeded_at == NOON


def test_a_client_is_known_for_thirty_days_and_with_the_present_pin_only() -> None:
    last = later(NOON, timedelta(days=30)) - 1

    assert known_since(NOON, NOON, now=last, rules=RULES)
    assert not known_since(NOON, NOON, now=last + 1, rules=RULES)
    assert not known_since(NOON, NOON + 1, now=last, rules=RULES)
    assert not known_since(None, NOON, now=last, rules=RULES)


def test_every_transition_is_one_version_on() -> None:
    old = after(2, HERE)

    news = [
        reserved(old, HERE, NOON),
        released(old),
        reopened(old),
        cleared(old),
        succeeded(old, RULES, NOON),
    ]

    assert {new.version for new in news} == {old.version + 1}
    assert old.version == 2


def test_the_wait_is_told_in_whole_seconds_never_too_few() -> None:
    assert [throttled(ms).retry_after_seconds for ms in (1, 999, 1000, 1001, 30_000)] == [1, 1, 1, 2, 30]


def test_a_window_that_is_over_ends_a_wait_that_would_go_on() -> None:
    attempts = reserved(after(19, HERE), HERE, later(NOON, timedelta(hours=23, minutes=59)))

    assert wait_of(attempts, HERE, later(NOON, timedelta(hours=24)) - 1) > 0
    assert wait_of(attempts, HERE, later(NOON, timedelta(hours=24))) == 0


def test_an_account_below_its_limit_waits_for_nothing() -> None:
    assert wait_of(after(99, ACCOUNT), ACCOUNT, NOON) == 0
    assert wait_of(reopened(after(100, ACCOUNT)), ACCOUNT, NOON - 10**9) == 3_600_000


def test_a_success_leaves_no_consecutive_failure_and_each_change_is_a_version() -> None:
    failed = after(3, HERE)

    changed = [reopened(failed), released(failed), cleared(failed), succeeded(failed, RULES, NOON)]

    assert [each.consecutive for each in changed] == [0, 0, 0, 0]
    assert [each.failures for each in changed] == [3, 2, 0, 0]
    assert [each.version for each in changed] == [4, 4, 4, 4]
    assert (failed.failures, failed.consecutive, failed.version, failed.since) == (3, 3, 3, NOON)
    assert released(NONE_YET).failures == 0


@pytest.mark.parametrize(
    ("counted", "free", "hours", "keeps", "grows", "closes_after"),
    [
        (Counted.ACCOUNT_AT_ADDRESS, 3, 24, timedelta(days=1), True, None),
        (Counted.KNOWN_COOKIE, 3, 24, timedelta(days=1), True, None),
        (Counted.ADDRESS, 7, 24, timedelta(days=1), True, None),
        (Counted.ACCOUNT, 9, 1, None, False, 11),
    ],
)
def test_each_counter_has_the_limit_that_the_rules_set(  # noqa: PLR0917  one member each
    counted: Counted,
    free: int,
    hours: int,
    keeps: timedelta | None,
    grows: bool,
    closes_after: int | None,
) -> None:
    rules = PinRules(
        free_attempts=3,
        address_free_attempts=7,
        account_attempts_per_hour=9,
        account_closes_after=11,
        longest_wait=timedelta(minutes=5),
    )

    assert limit_of(counted, rules) == Limit(
        window=timedelta(hours=hours),
        free=free,
        longest_wait=timedelta(minutes=5),
        grows=grows,
        closes_after=closes_after,
        keeps=keeps,
    )


def test_a_counter_is_kept_a_day_after_its_last_failure_unless_it_is_kept_for_longer() -> None:
    day = timedelta(days=1)
    known = succeeded(after(1, HERE), RULES, NOON)

    assert after(2, HERE).forgotten_at == later(NOON, day)
    assert after(2, ACCOUNT).forgotten_at is None
    assert reserved(known, HERE, NOON).forgotten_at == known.forgotten_at == later(NOON, timedelta(days=30))


def test_a_counter_lies_under_its_keyed_hash_and_is_its_accounts() -> None:
    counter = msgspec.structs.replace(NONE_YET, account=SubjectId("alice"), failed_at=5, forgotten_at=9)

    assert counter.key == Key(Kind.ATTEMPTS, Partition(7), DEFAULT_PROJECT, b"counter")
    assert (counter.owner, counter.sorted_at, counter.purge_at) == ("alice", 5, 9)
    assert msgspec.structs.replace(counter, succeeded_at=7).sorted_at == 7
    assert msgspec.structs.replace(counter, succeeded_at=3).sorted_at == 5
    assert NONE_YET.sorted_at == 0


def test_a_pin_lies_beside_its_subject_and_is_no_later_ones_of_that_name() -> None:
    subject = a_subject()
    pin = Pin(
        project=DEFAULT_PROJECT,
        subject=subject.id,
        partition=Partition(77),
        subject_born_at=subject.created_at,
        hash="$argon2id$",
        kid=7,
        set_at=NOON,
    )

    assert pin.key == pin_key(DEFAULT_PROJECT, subject.id, Partition(77))
    assert pin.key == Key(Kind.PIN, Partition(77), DEFAULT_PROJECT, b"alice")
    assert (pin.owner, pin.sorted_at) == ("alice", subject.created_at)
    assert pin.belongs_to(subject)
    assert not pin.belongs_to(None)
    assert not pin.belongs_to(a_subject(created_at=subject.created_at + 1))


def test_the_refusal_is_the_same_for_everybody_and_rounds_the_wait_up() -> None:
    refusal = throttled(29_001)

    assert (refusal.code, refusal.retry_after_seconds) == ("too_many_attempts", 30)
    assert refusal.detail == "Too many failed attempts; try again in 30 s."
