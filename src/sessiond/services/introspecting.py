"""Introspecting (RFC 7662): what a token that an application holds means, told to that application only."""

from __future__ import annotations

import msgspec

from sessiond.crypto import jws
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import ProjectId
from sessiond.domain.instants import Instant
from sessiond.domain.sessions import Session
from sessiond.services.sessions import Sessions
from sessiond.services.token_forms import ACCESS_FORMS, Form
from sessiond.services.tokens import Presented

APPLICATION_FORMS = ACCESS_FORMS - {Form.OPERATOR}
"""The forms that an application may ask about. An operator's token is no application's, in any project."""

_KNOWN_FORMS = APPLICATION_FORMS | {Form.EXCHANGED}


class Introspected(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A token that proves a live session. *issued_at* is in seconds, None where nothing tells it."""

    session: Session
    expires_at: Instant
    issued_at: int | None
    token_id: str | None
    audience: str | None = None


class Introspecting:
    """Tells an application what a token means."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def introspect(self, text: str, project: ProjectId) -> Introspected | None:
        """Return what *text* proves in *project*, or None for whatever is not an access token that passes there.

        It counts as use, as a verify does; a token of another project reads nothing and touches nothing.
        """
        try:
            presented = await self._sessions.recognise(text)
            if presented.project != project:
                return None
            verified = await self._sessions.verify(text, _KNOWN_FORMS)
        except Unauthenticated as refusal:
            refusal.forget_where()
            return None
        return Introspected(
            session=verified.session,
            expires_at=verified.expires_at,
            issued_at=_issued_at(text, presented, verified.session),
            token_id=presented.jti,
            audience=_text(_claim(text, "aud")) if presented.form is Form.EXCHANGED else None,
        )


def _issued_at(text: str, presented: Presented, session: Session) -> int | None:
    """Return what a JWT says; an opaque token is as old as its generation, whose date only the current one has."""
    if presented.jti is not None:
        issued = _claim(text, "iat")
        return issued if isinstance(issued, int) else None
    return session.rotated_at // 1000 if presented.generation == session.generation else None


def _claim(text: str, name: str) -> object:
    unverified = jws.peek(text)  # its signature was checked when it was recognised
    return None if unverified is None else unverified.claims.get(name)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
