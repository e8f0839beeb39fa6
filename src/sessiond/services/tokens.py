"""Token texts for sessions: minted from a row, recognised from what a client presents. No store is touched here.

`docs/tokens.md` section 1 (recognition) and section 2 up to the MAC: everything that fails here is one constant 401.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sessiond.crypto import operator, tokens
from sessiond.crypto.purposes import Purpose
from sessiond.crypto.tokens import TokenKind
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SessionId, parse_id
from sessiond.domain.instants import Instant, unix_seconds
from sessiond.domain.sessions import INVALID, Session
from sessiond.domain.steps import UNREADABLE
from sessiond.services.jwts import Jwts
from sessiond.services.keys import Keys
from sessiond.services.ports import Entropy, Observer
from sessiond.services.token_forms import Form

_KINDS = {
    TokenKind.ACCESS: Form.ACCESS,
    TokenKind.REFRESH: Form.REFRESH,
    TokenKind.BROWSER: Form.BROWSER,
    TokenKind.STACK_REFRESH: Form.STACK_REFRESH,
}
_OPAQUE = tuple(kind.value for kind in TokenKind)
_SECRETS = ("sdk1_", "sdm1_", "sdx1_")
_MOST_OPAQUE, _MOST_JWTS = 20_000, 100_000
"""A MAC takes microseconds, and Verifying remembers what it admitted; a signature takes a hundred times as long."""
_NOT_REMEMBERED = frozenset({Form.REFRESH, Form.OPERATOR})
"""A refresh token that rotates is shown once; whether an operator's passes depends on more than the ring."""

_SESSION_TEXTS = (*_OPAQUE, "eyJ", "session:")

WRONG_KIND = Unauthenticated("wrong_token_kind", "This is no access token.")


class UnknownKey(Unauthenticated):
    """The text names a key that the ring in memory does not have; a newer ring may."""

    def __init__(self) -> None:
        super().__init__(INVALID.code, INVALID.detail)


class Presented(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a text says whose MAC or signature passed; the row has not been looked at.

    An opaque token carries *kid* and *nonce*, a JWT a *jti* that is checked against the row, an operator token the
    *master_generation* it was checked under.
    """

    form: Form
    project: ProjectId
    session: SessionId
    generation: int
    expires_at: Instant
    kid: int | None = None
    nonce: bytes | None = None
    jti: str | None = None
    master_generation: int | None = None

    def __repr__(self) -> str:
        return f"Presented(form={self.form.name}, session={self.session.hex()}, …)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("form", self.form), ("session", self.session.hex())]


class Tokens:
    """Mints and recognises every token text.

    Texts that passed are remembered (bounded), so that a MAC or signature is computed once; whether the session
    lives is asked of the store at every use all the same.
    """

    def __init__(self, keys: Keys, entropy: Entropy, observer: Observer, *, base_url: str) -> None:
        self._keys = keys
        self._jwts = Jwts(keys, entropy, observer, base_url=base_url)
        self._opaque: dict[str, Presented] = {}
        self._signed: dict[str, Presented] = {}
        self._ring = keys.ring

    # -- minting ------------------------------------------------------------------------------------------------

    def opaque(self, kind: TokenKind, session: Session, *, expires_at: Instant) -> str:
        """Return the opaque token of *kind* for the session's current generation."""
        return self._keys.ring.mint(session.kid, kind).token(
            session=session.id,
            nonce=session.nonce,
            generation=session.generation,
            exp=unix_seconds(expires_at),
        )

    def operator(self, session: Session) -> str:
        """Return the operator token of a session, under the present generation of the master token."""
        return operator.mint(
            self._operator_key(session.kid),
            kid=session.kid,
            session=session.id,
            nonce=session.nonce,
            exp=unix_seconds(session.expires_at),
        )

    def jwt(
        self,
        form: Form,
        session: Session,
        *,
        now: Instant,
        expires_at: Instant,
        first: Mapping[str, object] | None = None,
        more: Mapping[str, object] | None = None,
        audience: str | None = None,
    ) -> str:
        """Return the JWT of *form* for the session's current generation; *first* are the form's own claims.

        *audience* is whom an exchanged token is for; every other form is for the project.
        """
        return self._jwts.mint(
            form,
            session,
            now=now,
            expires_at=expires_at,
            first=first or {},
            more=more or {},
            audience=audience,
        )

    # -- recognising --------------------------------------------------------------------------------------------

    def recognise(self, text: str) -> Presented:
        """Return what *text* says, or raise `Unauthenticated` (`UnknownKey` where a newer ring may know better)."""
        if self._keys.ring is not self._ring:
            self._ring = self._keys.ring
            self._opaque.clear()
            self._signed.clear()
        remembered, most = (
            (self._signed, _MOST_JWTS) if text.startswith("eyJ") else (self._opaque, _MOST_OPAQUE)
        )
        known = remembered.get(text)
        if known is not None:
            return known
        presented = self._read(text)
        if presented.form not in _NOT_REMEMBERED:
            if len(remembered) >= most:
                remembered.clear()
            remembered[text] = presented
        return presented

    def _read(self, text: str) -> Presented:
        if text.startswith(_OPAQUE):
            return self._read_opaque(text)
        if text.startswith("eyJ"):
            return self._read_jwt(text)
        if text.startswith("session:"):
            return self._read_operator(text)
        if text.startswith(_SECRETS):
            raise WRONG_KIND
        raise UNREADABLE

    def _read_opaque(self, text: str) -> Presented:
        token = tokens.parse(text)
        if token is None:
            raise UNREADABLE
        root = self._keys.ring.root(token.kid)
        if root is None:
            raise UnknownKey
        if not self._keys.ring.mint(token.kid, token.kind).made(token):
            raise INVALID
        return Presented(
            form=_KINDS[token.kind],
            project=root.project,
            session=token.session,
            generation=token.generation,
            expires_at=token.exp * 1000,
            kid=token.kid,
            nonce=token.nonce,
        )

    def _read_operator(self, text: str) -> Presented:
        token = operator.parse(text)
        if token is None:
            raise UNREADABLE
        root = self._keys.ring.root(token.kid)
        if root is None or root.project != DEFAULT_PROJECT:
            raise UnknownKey
        if not operator.authentic(token, self._operator_key(token.kid)):
            raise UnknownKey
        return Presented(
            form=Form.OPERATOR,
            project=root.project,
            session=token.session,
            generation=0,
            expires_at=token.exp * 1000,
            kid=token.kid,
            nonce=token.nonce,
            master_generation=self._keys.deployment.master_generation,
        )

    def _operator_key(self, kid: int) -> bytes:
        return self._keys.ring.key(kid, Purpose.OPERATOR, str(self._keys.deployment.master_generation))

    def _read_jwt(self, text: str) -> Presented:
        read = self._jwts.read(text)
        if read is None:
            raise UnknownKey
        return _presented_jwt(read.form, read.project, read.claims)

    def jti_kid(self, session: Session, presented: Presented) -> int | None:
        """Return which of the session's keys the JWT's `jti` was made under, or None when under none of them."""
        if presented.jti is None:
            return None
        return self._jwts.jti_kid(session, presented.jti, presented.generation)


def _presented_jwt(form: Form, project: ProjectId, claims: Mapping[str, object]) -> Presented:
    sid, generation, exp, token_id = claims["sid"], claims["gen"], claims["exp"], claims["jti"]
    session = parse_id(sid) if isinstance(sid, str) else None
    if session is None or not (
        isinstance(generation, int) and isinstance(exp, int) and isinstance(token_id, str)
    ):
        raise INVALID
    return Presented(
        form=form,
        project=project,
        session=session,
        generation=generation,
        expires_at=exp * 1000,
        jti=token_id,
    )


def is_session_text(text: str) -> bool:
    """Tell whether *text* has the form of a token about a session, by its first characters."""
    return text.startswith(_SESSION_TEXTS)
