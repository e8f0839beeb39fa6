from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from sessiond.domain.errors import StateConflict
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.instants import later
from sessiond.domain.keys import (
    KNOWN_BEFORE_USE,
    PUBLISHED_BEFORE_USE,
    Audience,
    DataKey,
    KeyKind,
    KeyState,
    Line,
    RootKey,
    SigningKey,
    lines_of,
)

NOW = 1_770_000_000_000
SECRET = b"canary-canary-canary-canary-1234"


def root(state: KeyState) -> RootKey:
    return RootKey(kid=7, project=DEFAULT_PROJECT, state=state, created_at=NOW, secret=SECRET)


STEPS: dict[KeyState, Callable[[RootKey], RootKey]] = {
    KeyState.ACTIVE: lambda key: key.activated(NOW + 1),
    KeyState.RETIRED: lambda key: key.retired(NOW + 1),
    KeyState.DESTROYED: lambda key: key.destroyed(NOW + 1),
    KeyState.COMPROMISED: lambda key: key.compromised(NOW + 1),
}
ALLOWED = {
    (KeyState.PENDING, KeyState.ACTIVE),
    (KeyState.PENDING, KeyState.DESTROYED),
    (KeyState.PENDING, KeyState.COMPROMISED),
    (KeyState.ACTIVE, KeyState.RETIRED),
    (KeyState.ACTIVE, KeyState.COMPROMISED),
    (KeyState.RETIRED, KeyState.DESTROYED),
    (KeyState.RETIRED, KeyState.COMPROMISED),
    (KeyState.COMPROMISED, KeyState.DESTROYED),
}


@pytest.mark.parametrize("before", KeyState)
@pytest.mark.parametrize("after", STEPS)
def test_a_key_takes_only_the_steps_of_its_life(before: KeyState, after: KeyState) -> None:
    if (before, after) in ALLOWED:
        assert STEPS[after](root(before)).state is after
    else:
        with pytest.raises(StateConflict, match="key_state"):
            STEPS[after](root(before))


@pytest.mark.parametrize(
    ("state", "mints", "verifies"),
    [
        (KeyState.PENDING, False, True),
        (KeyState.ACTIVE, True, True),
        (KeyState.RETIRED, False, True),
        (KeyState.DESTROYED, False, False),
        (KeyState.COMPROMISED, False, False),
    ],
)
def test_what_a_key_may_do_follows_from_its_state(state: KeyState, mints: bool, verifies: bool) -> None:
    key = root(state)

    assert (key.mints, key.verifies) == (mints, verifies)


def test_a_step_notes_its_instant_and_keeps_the_rest() -> None:
    retired = root(KeyState.PENDING).activated(NOW + 1).retired(NOW + 2)

    assert (retired.created_at, retired.activated_at, retired.retired_at) == (NOW, NOW + 1, NOW + 2)
    assert (retired.kid, retired.project, retired.secret) == (7, DEFAULT_PROJECT, SECRET)


def test_a_destroyed_key_has_no_secret() -> None:
    assert root(KeyState.RETIRED).destroyed(NOW).secret == b""


def test_only_a_pending_key_can_be_scheduled_and_the_first_schedule_stays() -> None:
    waiting = root(KeyState.PENDING).scheduled()

    assert waiting.activates_at == waiting.ready_at > NOW
    assert waiting.scheduled() == waiting
    assert msgspec.structs.replace(waiting, activates_at=NOW + 7).scheduled().activates_at == NOW + 7
    with pytest.raises(StateConflict, match="key_state"):
        root(KeyState.ACTIVE).scheduled()


def test_no_key_prints_its_secret() -> None:
    common = {"project": DEFAULT_PROJECT, "state": KeyState.ACTIVE, "created_at": NOW, "secret": SECRET}
    keys = (
        root(KeyState.ACTIVE),
        SigningKey(kid="abcdefghijkl", audience=Audience.NATIVE, **common),  # type: ignore[arg-type]
        DataKey(id="abcdefghijkl", kid=7, **common),  # type: ignore[arg-type]
    )

    for key in keys:
        shown = repr(key) + str(key) + f"{key}" + repr(key.__rich_repr__())
        assert "canary" not in shown
        assert "active" in shown


def test_each_step_notes_its_instant_in_a_member_of_its_own() -> None:
    waiting = root(KeyState.PENDING).scheduled()

    active, lost = waiting.activated(NOW + 1), waiting.compromised(NOW + 2)
    gone = root(KeyState.RETIRED).destroyed(NOW + 3)

    assert (active.activates_at, active.activated_at) == (None, NOW + 1)
    assert (lost.activates_at, lost.compromised_at, lost.secret) == (None, NOW + 2, SECRET)
    assert (gone.destroyed_at, gone.secret) == (NOW + 3, b"")


def test_a_step_that_is_not_allowed_says_which() -> None:
    with pytest.raises(StateConflict) as refused:
        root(KeyState.ACTIVE).destroyed(NOW)
    assert (refused.value.code, refused.value.detail) == (
        "key_state",
        "A key that is active cannot become destroyed.",
    )
    with pytest.raises(StateConflict, match="A key that is retired cannot take over") as refused:
        root(KeyState.RETIRED).scheduled()
    assert refused.value.code == "key_state"


def test_a_key_knows_its_line_its_name_and_how_long_others_must_know_it() -> None:
    common = {"project": DEFAULT_PROJECT, "state": KeyState.PENDING, "created_at": NOW, "secret": SECRET}
    signing = SigningKey(kid="abcdefghijkl", audience=Audience.STACK, **common)  # type: ignore[arg-type]
    data = DataKey(id="lkjihgfedcba", kid=7, **common)  # type: ignore[arg-type]
    soon, published = later(NOW, KNOWN_BEFORE_USE), later(NOW, PUBLISHED_BEFORE_USE)

    told = [(key.line, key.name, key.ready_at) for key in (root(KeyState.PENDING), signing, data)]

    assert told == [
        (Line(KeyKind.ROOT, DEFAULT_PROJECT), "7", soon),
        (Line(KeyKind.SIGNING, DEFAULT_PROJECT, Audience.STACK), "abcdefghijkl", published),
        (Line(KeyKind.VAULT, DEFAULT_PROJECT), "lkjihgfedcba", soon),
    ]


def test_a_project_has_a_line_of_signing_keys_for_each_audience_and_one_of_each_other_kind() -> None:
    assert lines_of(DEFAULT_PROJECT, KeyKind.ROOT) == (Line(KeyKind.ROOT, DEFAULT_PROJECT),)
    assert lines_of(DEFAULT_PROJECT, KeyKind.VAULT) == (Line(KeyKind.VAULT, DEFAULT_PROJECT),)
    assert lines_of(DEFAULT_PROJECT, KeyKind.SIGNING) == tuple(
        Line(KeyKind.SIGNING, DEFAULT_PROJECT, audience) for audience in Audience
    )
