"""The closed list of token texts, and the JWT forms among them with their exact headers and claims."""

from __future__ import annotations

import enum

import msgspec

from sessiond.crypto.jws import Profile
from sessiond.crypto.purposes import Purpose
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


REFRESH_FORMS = frozenset({Form.REFRESH, Form.PIN_REFRESH, Form.STACK_REFRESH})
STACK_ACCESS_FORMS = frozenset({Form.STACK_ACCESS, Form.STACK_RESTRICTED_ACCESS, Form.STACK_ANONYMOUS_ACCESS})
ACCESS_FORMS = frozenset(Form) - REFRESH_FORMS
"""The forms that prove a session; the refresh forms only get the next access token."""


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
