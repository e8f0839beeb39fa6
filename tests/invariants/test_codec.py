"""Invariant 7 of tokens.md as a machine: what is minted is read as it was meant, and nothing else reaches the store.

Sessions of two projects, a token of every kind for each, and somebody who changes texts, disguises them as another
kind or another project's, and shows each at each door. The store is watched. All that a text may cost that was not
minted is one look for a newer key ring in a second, where it names a key that is not known or is an operator's.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from sessiond.crypto import tokens
from sessiond.crypto.checksum import checksum
from sessiond.crypto.tokens import PURPOSES, Mint, TokenKind
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SubjectId
from sessiond.domain.projects import deployment_key
from sessiond.domain.sessions import Client, Session, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.orders import Order
from sessiond.services.token_forms import REFRESH_FORMS, Form
from tests.deployment import BY, TestDeployment
from tests.invariants.engines import empty_store
from tests.invariants.watched import Call, Watched

T = TypeVar("T")

FORMS = {
    TokenKind.ACCESS: Form.ACCESS,
    TokenKind.REFRESH: Form.REFRESH,
    TokenKind.BROWSER: Form.BROWSER,
    TokenKind.STACK_REFRESH: Form.STACK_REFRESH,
}
JWTS: dict[Form, Callable[[Session], dict[str, object]]] = {
    Form.NATIVE_JWT: lambda session: {"client_id": session.project},
    Form.DEVICE: lambda session: {"session": session.id.hex()},
    Form.PIN_ACCESS: lambda session: {"name": session.subject},
    Form.PIN_REFRESH: lambda session: {"name": session.subject},
}
RING = Call("get", (deployment_key(),), {})
BODY = slice(5, 85)


class Minted(NamedTuple):
    """A text that was minted, and what it means."""

    text: str
    form: Form
    session: Session


def mended(text: str) -> str:
    """Return *text* with a check that fits, as anybody can write it."""
    return text[: BODY.stop] + checksum(text[: BODY.stop].encode()).decode()


class Codec(RuleBasedStateMachine):
    """Tokens of two projects, and whoever tries others."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.minted: list[Minted] = []
        self.looked_at: int | None = None

    def teardown(self) -> None:
        self.run(self.watched.as_store.close())
        self.loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    @initialize()
    def begin(self) -> None:
        self.watched = Watched(self.run(empty_store()))
        self.deployment = self.run(TestDeployment.born(store=self.watched.as_store))
        self.services = self.deployment.services
        another = self.run(self.services.projects.add("another", by=BY)).id
        self.projects = (DEFAULT_PROJECT, another)
        for project in self.projects:
            self.sign_in(project)
        session, text = self.run(self.services.operators.open_session(Client()))
        self.minted.append(Minted(text.reveal(), Form.OPERATOR, session))

    def sign_in(self, project: ProjectId) -> None:
        order = Order(
            project=project,
            subject=SubjectId("alice"),
            session_kind=SessionKind.TOKENS,
            by=BY,
            create=SubjectKind.USER,
            rotates=True,
        )
        self.mint_all(self.run(self.services.issuing.issue(order)).session)

    def mint_all(self, session: Session) -> None:
        now, until = self.deployment.clock.now(), session.expires_at
        for kind, form in FORMS.items():
            text = self.services.tokens.opaque(kind, session, expires_at=until)
            self.minted.append(Minted(text, form, session))
        for form, claims in JWTS.items():
            text = self.services.tokens.jwt(form, session, now=now, expires_at=until, first=claims(session))
            self.minted.append(Minted(text, form, session))

    def one(self, data: st.DataObject, *, opaque: bool = False) -> Minted:
        return data.draw(
            st.sampled_from([each for each in self.minted if not opaque or each.form in FORMS.values()])
        )

    # -- what can happen ----------------------------------------------------------------------------------------

    @rule(milliseconds=st.sampled_from([1, 400, 1000, 30_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.deployment.clock.advance(milliseconds=milliseconds)

    @rule(data=st.data())
    def somebody_refreshes(self, data: st.DataObject) -> None:
        """Have generations besides the first; one that ended by it is minted and read as well."""
        minted = data.draw(st.sampled_from([each for each in self.minted if each.form is Form.REFRESH]))
        try:
            self.mint_all(self.run(self.services.sessions.refresh(minted.text, Form.REFRESH)).session)
        except Unauthenticated:
            return

    @rule(data=st.data())
    def what_was_minted_is_read_as_it_was_meant(self, data: st.DataObject) -> None:
        text, form, session = self.one(data)
        read = self.services.tokens.recognise(text)
        assert (read.form, read.project, read.session) == (form, session.project, session.id)
        token = tokens.parse(text)
        assert (token is not None) == (form in FORMS.values())
        if token is not None:
            assert (read.kid, read.nonce) == (session.kid, session.nonce)
            assert (read.generation, read.expires_at) == (
                session.generation,
                session.expires_at // 1000 * 1000,
            )
            again = self.services.keys.ring.mint(token.kid, token.kind).token(
                session=token.session,
                nonce=token.nonce,
                generation=token.generation,
                exp=token.exp,
            )
            assert again == text

    @rule(data=st.data(), at=st.floats(0, 1, exclude_max=True), by=st.characters(max_codepoint=0x17F))
    def a_character_is_another_or_missing_or_more(self, data: st.DataObject, at: float, by: str) -> None:
        text, form, _ = self.one(data)
        place = int(at * len(text))
        for mutant in (
            text[:place] + by + text[place + 1 :],
            text[:place] + text[place].swapcase() + text[place + 1 :],
            text[:place] + by + text[place:],
            text[:place] + text[place + 1 :],
            text[:-1] + by,
            f" {text}",
            f"{text}\n",
            f"{text}=",
        ):
            if mutant != text:
                self.refuse(mutant, looks=form not in FORMS.values())

    @rule(data=st.data(), bit=st.integers(0, 479))
    def a_bit_is_flipped_and_the_check_mended(self, data: st.DataObject, bit: int) -> None:
        text = self.one(data, opaque=True).text
        box = bytearray(base64.urlsafe_b64decode(text[BODY]))
        box[bit // 8] ^= 1 << bit % 8
        mutant = mended(text[: BODY.start] + base64.urlsafe_b64encode(box).decode())
        known = self.services.keys.ring.root(int.from_bytes(box[:4])) is not None
        self.refuse(mutant, looks=not known)

    @rule(data=st.data(), kind=st.sampled_from(TokenKind))
    def it_is_disguised_as_another_kind(self, data: st.DataObject, kind: TokenKind) -> None:
        text, form, _ = self.one(data, opaque=True)
        if FORMS[kind] is not form:
            self.refuse(mended(kind.value + text[BODY.start :]))

    @rule(data=st.data(), kind=st.sampled_from(TokenKind), key_of=st.sampled_from(TokenKind))
    def it_is_made_with_the_key_of_another_kind_or_project(
        self, data: st.DataObject, kind: TokenKind, key_of: TokenKind
    ) -> None:
        session, ring = self.one(data).session, self.services.keys.ring
        for project in self.projects:
            root = ring.active_root(project)
            if root.kid == session.kid and key_of is kind:
                continue
            forged = Mint(kind, session.kid, ring.key(root.kid, PURPOSES[key_of])).token(
                session=session.id,
                nonce=session.nonce,
                generation=session.generation,
                exp=session.expires_at // 1000,
            )
            self.refuse(forged)

    @rule(data=st.data())
    def it_is_shown_at_the_door_of_another_kind(self, data: st.DataObject) -> None:
        text, form, _ = self.one(data)
        sessions = self.services.sessions
        if form in REFRESH_FORMS:
            self.refused(sessions.verify, text)
        for door in REFRESH_FORMS - {form}:
            self.refused(sessions.refresh, text, door)

    # -- what must hold -----------------------------------------------------------------------------------------

    def refuse(self, text: str, *, looks: bool = False) -> None:
        """See that *text* passes nowhere and costs nothing, or one look for a newer ring where it *looks*."""
        sessions = self.services.sessions
        assert sessions.peek(text) is None
        self.refused(sessions.verify, text, looks=looks)
        for form in REFRESH_FORMS:
            self.refused(sessions.refresh, text, form, looks=looks)

    def refused(
        self, ask: Callable[..., Coroutine[Any, Any, object]], *arguments: object, looks: bool = False
    ) -> None:
        self.watched.calls.clear()
        with pytest.raises(Unauthenticated):
            self.run(ask(*arguments))
        now, asked = self.deployment.clock.now(), list(self.watched.calls)
        if looks and (self.looked_at is None or now - self.looked_at >= 1000):
            if asked:
                self.looked_at = now
            assert asked in ([], [RING])
        else:
            assert asked == []


Codec.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestCodec = Codec.TestCase
