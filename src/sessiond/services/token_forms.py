"""The closed list of token texts, and the JWT forms among them with their exact headers and claims."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import UnionType

import msgspec

from sessiond.crypto.jws import Profile
from sessiond.crypto.purposes import Purpose
from sessiond.domain.claim_templates import may_be_added
from sessiond.domain.ids import ProjectId
from sessiond.domain.keys import Audience


class Form(enum.Enum):
    """What a token text is, once its MAC or signature passed."""

    ACCESS = enum.auto()
    NATIVE_JWT = enum.auto()
    BROWSER = enum.auto()
    OPERATOR = enum.auto()
    DEVICE = enum.auto()
    PIN_ACCESS = enum.auto()
    STACK_ACCESS = enum.auto()
    STACK_RESTRICTED_ACCESS = enum.auto()
    STACK_ANONYMOUS_ACCESS = enum.auto()
    REFRESH = enum.auto()
    PIN_REFRESH = enum.auto()
    STACK_REFRESH = enum.auto()
    EXCHANGED = enum.auto()

    # By identity, in C: before Python 3.12 an enumeration hashes its members' names in Python, at each verify.
    __hash__ = object.__hash__


REFRESH_FORMS = frozenset({Form.REFRESH, Form.PIN_REFRESH, Form.STACK_REFRESH})
STACK_ACCESS_FORMS = frozenset({Form.STACK_ACCESS, Form.STACK_RESTRICTED_ACCESS, Form.STACK_ANONYMOUS_ACCESS})
ACCESS_FORMS = frozenset(Form) - REFRESH_FORMS - {Form.EXCHANGED}
"""The forms that prove a session to us. Refresh forms only get the next one, an exchanged token is for others."""


class JwtForm(msgspec.Struct, frozen=True, kw_only=True):
    """A JWT form: its exact shape and who signs it.

    HS256 forms have a *purpose* (the key is derived from the project's root), ES256 forms are *signed_for* an
    audience. The issuer is the server's own URL and *issuer_path*, the `aud` claim the project and *audience_suffix*.
    """

    form: Form
    profile: Profile
    purpose: Purpose | None = None
    signed_for: Audience = Audience.NATIVE
    issuer_path: str = ""
    audience_suffix: str = ""

    def issuer(self, base: str, project: ProjectId) -> str:
        """Return the `iss` claim of tokens for *project*."""
        return base + self.issuer_path.format(project=project)

    def audience_of(self, project: ProjectId) -> str:
        """Return the `aud` claim of tokens for *project*."""
        return project + self.audience_suffix


_COMMON: dict[str, type | UnionType] = {
    "sub": str,
    "iat": int,
    "exp": int,
    "jti": str,
    "iss": str,
    "aud": str,
    "sid": str,
    "gen": int,
}
_ACT: dict[str, type | UnionType] = {"act": dict}
"""Who acts for the subject (RFC 8693 section 4.1); the dialects' documents know no such claim."""
_STACK = Profile(
    alg="ES256",
    claims=_COMMON
    | {
        "project_id": str,
        "branch_id": str,
        "refresh_token_id": str,
        "role": str,
        "name": str | None,
        "email": str | None,
        "email_verified": bool,
        "selected_team_id": str | None,
        "signed_up_at": int,
        "is_anonymous": bool,
        "is_restricted": bool,
        "restricted_reason": dict | None,
        "requires_totp_mfa": bool,
    },
)
_PIN = _COMMON | {"name": str}


def _stack(form: Form, audience: Audience, path: str, suffix: str) -> JwtForm:
    return JwtForm(
        form=form,
        profile=_STACK,
        signed_for=audience,
        issuer_path=f"/api/v1/{path}/{{project}}",
        audience_suffix=suffix,
    )


JWT_FORMS: Mapping[Form, JwtForm] = {
    shape.form: shape
    for shape in (
        JwtForm(
            form=Form.NATIVE_JWT,
            profile=Profile(
                alg="ES256",
                typ="at+jwt",
                claims=_COMMON | {"client_id": str},
                optional=_ACT,
                others=may_be_added,
            ),
            signed_for=Audience.NATIVE,
        ),
        JwtForm(
            form=Form.EXCHANGED,
            profile=Profile(
                alg="ES256",
                typ="at+jwt",
                claims=_COMMON | {"client_id": str},
                optional=_ACT,
                use=("use", "exchanged"),
            ),
            signed_for=Audience.NATIVE,
        ),
        JwtForm(
            form=Form.DEVICE,
            profile=Profile(alg="HS256", typ="JWT", claims={"session": str} | _COMMON),
            purpose=Purpose.DEVICE_HS256,
        ),
        JwtForm(
            form=Form.PIN_ACCESS,
            profile=Profile(alg="HS256", typ="JWT", claims=_PIN, use=("use", "access")),
            purpose=Purpose.PIN_ACCESS_HS256,
        ),
        JwtForm(
            form=Form.PIN_REFRESH,
            profile=Profile(alg="HS256", typ="JWT", claims=_PIN, use=("use", "refresh")),
            purpose=Purpose.PIN_REFRESH_HS256,
        ),
        _stack(Form.STACK_ACCESS, Audience.STACK, "projects", ""),
        _stack(
            Form.STACK_RESTRICTED_ACCESS,
            Audience.STACK_RESTRICTED,
            "projects-restricted-users",
            ":restricted",
        ),
        _stack(Form.STACK_ANONYMOUS_ACCESS, Audience.STACK_ANONYMOUS, "projects-anonymous-users", ":anon"),
    )
}
"""Every JWT form: RFC 9068's for the native API, and those that the dialects' documents show."""

HS256_FORMS = tuple(shape for shape in JWT_FORMS.values() if shape.purpose is not None)
EXCHANGED_FORM = JWT_FORMS[Form.EXCHANGED]
ES256_FORMS = {
    shape.signed_for: shape
    for shape in JWT_FORMS.values()
    if shape.purpose is None and shape is not EXCHANGED_FORM
}
