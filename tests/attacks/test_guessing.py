"""Row 23: whoever guesses tokens gets the constant 401 before any storage is asked, however fast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from sessiond.crypto import operator
from sessiond.crypto.tokens import Mint, TokenKind
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.sessions import Session
from sessiond.services.ports import Store
from sessiond.services.token_forms import ACCESS_FORMS, Form
from sessiond.storage.engine import Role
from sessiond.storage.engines.memory import open_store
from tests.crypto.forging import segment
from tests.deployment import NOON, TestDeployment

GUESSES = 300


class Listening:
    """A store that counts what it is asked."""

    def __init__(self, store: object) -> None:
        self._store = store
        self.asked = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the store has
        self.asked += 1
        return getattr(self._store, name)


def guesses(deployment: TestDeployment, session: Session) -> Iterator[str]:
    """Yield texts of every form whose looks are right and whose MAC or signature is not; a live session's ids."""
    exp = NOON // 1000 + 600
    for number in range(GUESSES):
        key = number.to_bytes(32)
        for kind in (TokenKind.ACCESS, TokenKind.BROWSER):
            yield Mint(kind, session.kid, key).token(
                session=session.id, nonce=session.nonce, generation=0, exp=exp
            )
        yield operator.mint(key, kid=session.kid, session=session.id, nonce=session.nonce, exp=exp)
    real = deployment.services.tokens.jwt(
        Form.NATIVE_JWT, session, now=NOON, expires_at=NOON + 600_000, first={"client_id": DEFAULT_PROJECT}
    ).rpartition(".")[0]
    for number in range(20):
        yield f"{real}.{segment(number.to_bytes(64))}"
    yield from ("", "x", "sda1_", "eyJ", "session:", "sdk1_x", "A" * 91, "sda1_" + "A" * 86)


async def test_row_23_a_guessed_token_is_refused_before_storage_is_asked() -> None:
    store = Listening(await open_store("memory://", role=Role.SERVER))
    deployment = await TestDeployment.born(store=cast("Store", store))
    session = await deployment.issue()
    sessions, told = deployment.services.sessions, set()
    unknown = operator.mint(bytes(32), kid=7, session=session.id, nonce=bytes(16), exp=NOON // 1000)
    with pytest.raises(Unauthenticated):  # what a newer ring may know has the ring read again, once a second
        await sessions.verify(unknown, ACCESS_FORMS)
    before = store.asked

    for text in guesses(deployment, session):
        with pytest.raises(Unauthenticated) as refusal:
            await sessions.verify(text, ACCESS_FORMS)
        told.add((refusal.value.code, refusal.value.detail))

    assert store.asked == before
    assert {code for code, _ in told} == {"invalid_token", "wrong_token_kind"}
    live = await sessions.list_live(DEFAULT_PROJECT, session.subject)
    assert [each.id for each in live] == [session.id]
