"""Exchanging (RFC 8693): a live access token for a shorter-lived one that another service takes, and nobody else.

The token is a child of the access token: it is of the same generation of the same session, ends no later, and names
its audience. Our own endpoints refuse it, but for introspection. Where someone else acts, it says who (`act`).
"""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from sessiond.domain.errors import InvalidRequest, Unauthenticated
from sessiond.domain.ids import ProjectId, parse_project_id
from sessiond.domain.instants import later, second_of, unix_seconds
from sessiond.domain.sessions import INVALID
from sessiond.services.introspecting import APPLICATION_FORMS
from sessiond.services.ports import Clock
from sessiond.services.sessions import Sessions
from sessiond.services.token_forms import Form
from sessiond.services.tokens import Tokens

LONGEST_LIFE = timedelta(minutes=5)

_AUDIENCE = re.compile(r"[!-~]{1,256}")

INVALID_AUDIENCE = InvalidRequest(
    "invalid_audience", "`audience` is 1 to 256 visible ASCII characters, and not the id of a project."
)
_NOT_CURRENT = Unauthenticated(
    "token_superseded", "A newer token was issued for this session; exchange that one."
)


class Exchanged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A token for another service, and its life in seconds."""

    access_token: str
    expires_in: int

    def __repr__(self) -> str:
        return "Exchanged(…)"


class Exchanging:
    """Issues tokens for other services."""

    def __init__(self, clock: Clock, *, sessions: Sessions, tokens: Tokens) -> None:
        self._clock = clock
        self._sessions = sessions
        self._tokens = tokens

    async def exchange(self, text: str, project: ProjectId, audience: str) -> Exchanged:
        """Return a token of the session of *text* for *audience*.

        Raises `InvalidRequest` (`invalid_audience`), and `Unauthenticated` for anything but the current access token of
        a live session of *project*.
        """
        if _AUDIENCE.fullmatch(audience) is None or parse_project_id(audience.partition(":")[0]) is not None:
            raise INVALID_AUDIENCE
        presented = await self._sessions.recognise(text)
        if presented.project != project:
            raise INVALID
        verified = await self._sessions.verify(text, APPLICATION_FORMS)
        session, now = verified.session, self._clock.now()
        if presented.generation != session.generation:
            raise _NOT_CURRENT
        expires_at = min(later(second_of(now), LONGEST_LIFE), verified.expires_at, session.expires_at)
        token = self._tokens.jwt(
            Form.EXCHANGED,
            session,
            now=now,
            expires_at=expires_at,
            first={"client_id": project},
            audience=audience,
        )
        return Exchanged(access_token=token, expires_in=max(1, unix_seconds(expires_at - now)))
