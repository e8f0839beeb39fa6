"""Credentials: who asks? One place for every dialect; a dialect only says where the texts lie in a request."""

from __future__ import annotations

from sessiond.crypto.purposes import Purpose
from sessiond.domain.callers import Caller, OperatorCaller, ServerCaller, SubjectCaller
from sessiond.domain.errors import Forbidden, Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.domain.sessions import INVALID, SessionKind
from sessiond.services.keys import Keys
from sessiond.services.projects import Projects, ServerKeys
from sessiond.services.sessions import Sessions, Verified

_LONGEST = 8192
_SESSION_TEXTS = ("sda1_", "sdr1_", "sdb1_", "sds1_", "sdx1_", "eyJ", "session:")


class Credentials:
    """Turns what a client presents into a caller, or refuses."""

    def __init__(self, keys: Keys, sessions: Sessions, projects: Projects, server_keys: ServerKeys) -> None:
        self._keys = keys
        self._sessions = sessions
        self._projects = projects
        self._server_keys = server_keys

    async def caller(self, text: str, *, project: str | None = None, by_cookie: bool = False) -> Caller:
        """Return the caller that *text* proves: a session's own, a server key, or the master token.

        *project* is what `Sessiond-Project` names, for the operator only. Raises `Unauthenticated`.
        """
        if not acceptable(text):
            raise INVALID
        if text.startswith(_SESSION_TEXTS):
            verified = await self._sessions.verify(text)
            return await self.of_session(verified, project=project, by_cookie=by_cookie)
        found = await self._server_keys.find(text)
        if found is not None:
            return ServerCaller(project=found.project, name=found.name, key_id=found.id)
        if await self.is_master(text):
            return OperatorCaller(project=await self._named(project))
        raise INVALID

    async def of_session(
        self, verified: Verified, *, project: str | None = None, by_cookie: bool = False
    ) -> Caller:
        """Return the caller that a verified session is: the operator for an operator's, else its subject."""
        standing = verified.standing
        if standing.session.session_kind is SessionKind.OPERATOR:
            return OperatorCaller(project=await self._named(project), standing=standing)
        return SubjectCaller(standing=standing, by_cookie=by_cookie)

    async def server_or_operator(
        self, text: str, *, project: str | None = None
    ) -> ServerCaller | OperatorCaller:
        """Return a caller that acts for a whole project; a subject's own session is refused with `Forbidden`."""
        caller = await self.caller(text, project=project)
        if isinstance(caller, SubjectCaller):
            raise Forbidden("server_key_required", "This needs a server key or the operator.")
        return caller

    async def is_master(self, text: str) -> bool:
        """Tell whether *text* is the master token, in constant time and as of now."""
        if not acceptable(text):
            return False
        await self._keys.reload(at_once=True)
        return self._keys.is_master(self._keys.lookup(Purpose.LOOKUP_MASTER_TOKEN, text))

    async def require_master(self, text: str) -> None:
        """Raise `Unauthenticated` (`invalid_master_token`) unless *text* is the master token."""
        if not await self.is_master(text):
            raise Unauthenticated("invalid_master_token", "This is not the master token.")

    async def _named(self, project: str | None) -> ProjectId:
        if project is None:
            return DEFAULT_PROJECT
        return (await self._projects.find(project)).id


def acceptable(text: str) -> bool:
    """Tell whether *text* can be a credential at all: 1 to 8191 visible ASCII characters."""
    return 0 < len(text) < _LONGEST and text.isascii() and text.isprintable() and " " not in text
