"""What proves that nothing needs a key any more, and what stops passing when one goes."""

from __future__ import annotations

import pytest

from sessiond.domain.instants import later
from sessiond.domain.key_use import lost_between, names_any, overdue, settled, signed_for
from sessiond.domain.keys import LONGEST_JWT, SETTLED_AFTER, Audience, HeldKey, KeyKind, KeyState
from sessiond.domain.sessions import AccessFormat, SessionKind
from tests.crypto.material import NOW, PROJECT, two_projects
from tests.domain.samples import a_session

RING = two_projects()


def held(kind: KeyKind) -> HeldKey:
    """Return the active key of one kind of the default project."""
    return next(key for key in RING.held() if key.project == PROJECT and key.line.kind is kind and key.mints)


SETTLED = later(NOW, SETTLED_AFTER)


def test_a_session_names_its_present_root_and_its_previous_one() -> None:
    session = a_session(kid=7, prev_kid=5)

    assert [names_any(session, {kid}) for kid in (5, 6, 7)] == [True, False, True]
    assert not names_any(session, ())


def test_access_tokens_are_signed_for_what_the_session_is() -> None:
    stack = a_session(session_kind=SessionKind.STACK)
    jwt = a_session(access_format=AccessFormat.JWT)

    assert signed_for(a_session()) == frozenset()
    assert signed_for(jwt) == {Audience.NATIVE}
    assert signed_for(stack)
    assert Audience.NATIVE not in signed_for(stack)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_what_is_lost_is_told_by_the_kind_of_the_key(kind: KeyKind) -> None:
    key = held(kind)
    others = [each for each in RING.held() if each.name != key.name]

    lost = lost_between(RING.held(), others)

    assert lost_between(RING.held(), RING.held()) == lost_between([], others)
    assert lost.roots == ({int(key.name)} if kind is KeyKind.ROOT else frozenset())
    assert lost.vault == ({key.name} if kind is KeyKind.VAULT else frozenset())
    assert lost.signed_for == ({key.line.audience} if kind is KeyKind.SIGNING else frozenset())
    retired = key.retired(NOW)
    assert lost_between([key], [retired]) == lost_between([], [])
    assert lost_between([retired], [retired.destroyed(NOW)]) == lost
    assert lost_between([retired.destroyed(NOW)], []) == lost_between([], [])


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_key_is_settled_when_it_is_retired_for_long_enough(kind: KeyKind) -> None:
    active = held(kind)
    retired = active.retired(NOW)

    assert [settled(retired, now) for now in (NOW, SETTLED - 1, SETTLED)] == [False, False, True]
    assert not settled(active, later(SETTLED, SETTLED_AFTER))
    assert not settled(retired.destroyed(NOW), SETTLED)


def test_by_age_alone_a_refused_key_goes_and_a_signing_key_when_its_longest_jwt_is_over() -> None:
    signing, root = held(KeyKind.SIGNING), held(KeyKind.ROOT)
    over = later(later(NOW, LONGEST_JWT), SETTLED_AFTER)

    for key in (signing, root):
        refused = key.compromised(NOW)
        assert refused.state is KeyState.COMPROMISED
        assert [overdue(refused, now) for now in (SETTLED - 1, SETTLED)] == [False, True]
        assert not overdue(key, over)
        assert not overdue(key.retired(NOW).destroyed(NOW), over)
    assert [overdue(signing.retired(NOW), now) for now in (SETTLED, over - 1, over)] == [False, False, True]
    assert not overdue(root.retired(NOW), later(over, SETTLED_AFTER))
