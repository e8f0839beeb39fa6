"""JWTs about sessions, in all their forms: minted from a row, read with the key that their header or `aud` names."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sessiond.crypto import jti, jws
from sessiond.crypto.purposes import Purpose
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import ProjectId, id_text
from sessiond.domain.impersonation import act_claim
from sessiond.domain.instants import Instant, unix_seconds
from sessiond.domain.keys import SigningKey
from sessiond.domain.sessions import INVALID, Session
from sessiond.domain.steps import UNREADABLE
from sessiond.services.keys import Keys
from sessiond.services.ports import Entropy, Observer
from sessiond.services.token_forms import (
    ES256_FORMS,
    EXCHANGED_FORM,
    HS256_FORMS,
    JWT_FORMS,
    Form,
    JwtForm,
)


class ReadJwt(msgspec.Struct, frozen=True):
    """A JWT whose signature passed: its form, whose it is, and its claims."""

    form: Form
    project: ProjectId
    claims: Mapping[str, object]

    def __repr__(self) -> str:
        return f"ReadJwt(form={self.form.name}, …)"


class Jwts:
    """Mints and reads every form of JWT."""

    def __init__(self, keys: Keys, entropy: Entropy, observer: Observer, *, base_url: str) -> None:
        self._keys = keys
        self._entropy = entropy
        self._observer = observer
        self._base_url = base_url

    def mint(
        self,
        form: Form,
        session: Session,
        *,
        now: Instant,
        expires_at: Instant,
        first: Mapping[str, object],
        more: Mapping[str, object],
        audience: str | None,
    ) -> str:
        """Return the JWT of *form* for the session's current generation; *first* are the form's own claims.

        *more* are claims that a template adds, as far as they fit. *audience* is whom an exchanged token is for; every
        other form is for the project.
        """
        shape = JWT_FORMS[form]
        claims: dict[str, object] = {
            **first,
            "sub": session.subject,
            "iat": now // 1000,
            "exp": unix_seconds(expires_at),
            "jti": jti.mint_jti(
                self._keys.ring.key(session.kid, Purpose.JTI),
                session=session.id,
                nonce=session.nonce,
                generation=session.generation,
                entropy8=self._entropy.bytes(8),
            ),
            "iss": self._issuer(shape, session.project),
            "aud": shape.audience_of(session.project) if audience is None else audience,
            "sid": id_text(session.id),
            "gen": session.generation,
        }
        if session.actor is not None and "act" in shape.profile.optional:
            claims["act"] = act_claim(session.actor)
        if shape.purpose is not None:
            return jws.sign(shape.profile, self._keys.ring.key(session.kid, shape.purpose), claims)
        signing = self._keys.signing_key(session.project, shape.signed_for)
        added = jws.fitting(shape.profile, signing, claims, more)
        for _ in range(len(more) - len(added)):
            self._observer.count("claim_left_out")
        return jws.sign(shape.profile, signing, claims | dict(added))

    def read(self, text: str) -> ReadJwt | None:
        """Return what *text* says, or None where it names a key that the ring in memory does not have.

        Raises `Unauthenticated` (`invalid_token`) for everything else that does not pass.
        """
        unverified = jws.peek(text)
        if unverified is None:
            raise UNREADABLE
        kid = unverified.header.get("kid")
        if unverified.header.get("alg") == "ES256" and isinstance(kid, str):
            return self._read_es256(text, kid, unverified.claims)
        return self._read_hs256(text, unverified.claims.get("aud"))

    def _read_es256(self, text: str, kid: str, unverified: Mapping[str, object]) -> ReadJwt | None:
        signing = self._keys.ring.signing_key_by_kid(kid)
        if signing is None:
            return None
        shape, audience = ES256_FORMS[signing.audience], unverified.get("aud")
        exchanged = shape.form is Form.NATIVE_JWT and "use" in unverified
        if not isinstance(audience, str):
            raise INVALID
        if exchanged:
            shape = EXCHANGED_FORM
        claims = self._verified(shape, text, signing, signing.project, audience if exchanged else None)
        return ReadJwt(shape.form, signing.project, claims)

    def _read_hs256(self, text: str, audience: object) -> ReadJwt:
        if not isinstance(audience, str):
            raise INVALID
        project = ProjectId(audience)
        for root in self._keys.ring.roots_of(project):
            for shape in HS256_FORMS:
                assert shape.purpose is not None  # noqa: S101  every HS256 form has one
                try:
                    claims = self._verified(
                        shape, text, self._keys.ring.key(root.kid, shape.purpose), project
                    )
                except Unauthenticated as refusal:
                    refusal.forget_where()
                    continue
                return ReadJwt(shape.form, project, claims)
        raise INVALID

    def _verified(
        self,
        shape: JwtForm,
        text: str,
        key: bytes | SigningKey,
        project: ProjectId,
        audience: str | None = None,
    ) -> Mapping[str, object]:
        return jws.verify(
            shape.profile,
            text,
            key,
            issuer=self._issuer(shape, project),
            audience=shape.audience_of(project) if audience is None else audience,
        )

    def _issuer(self, shape: JwtForm, project: ProjectId) -> str:
        """Return the `iss` of a form: our URL where others verify, else a name that outlives a change of URL."""
        if shape.purpose is not None:
            return f"urn:uuid:{self._keys.deployment.install_id}"
        return shape.issuer(self._base_url, project)

    def jti_kid(self, session: Session, token_id: str, generation: int) -> int | None:
        """Return which of the session's keys a JWT's `jti` was made under, or None when under none of them."""
        kid = session.kid if generation == session.generation else session.prev_kid
        if kid is None or self._keys.ring.root(kid) is None:
            return None
        genuine = jti.authentic_jti(
            self._keys.ring.key(kid, Purpose.JTI),
            token_id,
            session=session.id,
            nonce=session.nonce,
            generation=generation,
        )
        return kid if genuine else None
