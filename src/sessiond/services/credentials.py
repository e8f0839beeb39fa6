"""Credentials: who stands behind a text? One place for every dialect; a dialect only says where the texts lie."""

from __future__ import annotations

from sessiond.crypto.purposes import Purpose
from sessiond.crypto.secrets import mistyped_secret
from sessiond.domain.callers import OperatorCaller, ServerCaller, SubjectCaller
from sessiond.domain.errors import Forbidden, Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.domain.moving import refuse_departed
from sessiond.domain.sessions import INVALID, SessionKind
from sessiond.services.footing import Foreseen
from sessiond.services.keys import Keys
from sessiond.services.projects import Projects, ServerKeys
from sessiond.services.sessions import Sessions
from sessiond.services.tokens import is_session_text
from sessiond.services.verifying import Verified

_LONGEST = 8192

SERVER_KEY_REQUIRED = Forbidden("server_key_required", "This needs a server key or the operator.")
NOT_MASTER = Unauthenticated("invalid_master_token", "This is not the master token.")


class Credentials:
    """Turns what a client presents into a caller, or refuses."""

    def __init__(self, keys: Keys, sessions: Sessions, projects: Projects, server_keys: ServerKeys) -> None:
        self._keys = keys
        self._sessions = sessions
        self._projects = projects
        self._server_keys = server_keys

    async def by_server_key(
        self, text: str, *, project: str | None, address: str | None, foreseen: Foreseen | None = None
    ) -> ServerCaller | OperatorCaller:
        """Return the application of a server key; or the operator, by the master token or an operator session.

        *project* (a name or an id) counts for the operator only. *address* is where the text came from. A subject's
        own session is `Forbidden` (`server_key_required`); anything else that does not pass is `Unauthenticated`.
        What is *foreseen* is read with a server key, where it can be.
        """
        refuse_departed(self._keys.deployment.departed)
        if not self._server_keys.knows(text):
            if not acceptable(text):
                raise INVALID
            if is_session_text(text):
                caller = await self.by_access_token(text, by_cookie=False, address=address)
                if isinstance(caller, SubjectCaller):
                    raise SERVER_KEY_REQUIRED
                named = await self._named(project)
                return OperatorCaller(project=named, standing=caller.standing, address=address)
            if mistyped_secret(text):
                raise INVALID
        found = await self._server_keys.find(text, foreseen)
        if found is not None:
            if not self._keys.ring.roots_of(found.project):
                await self._keys.learn(found.project)
            return ServerCaller(project=found.project, name=found.name, key_id=found.id, address=address)
        if await self.is_master(text):
            return OperatorCaller(project=await self._named(project), address=address)
        raise INVALID

    async def by_access_token(
        self, text: str, *, by_cookie: bool, address: str | None
    ) -> SubjectCaller | OperatorCaller:
        """Return whom an access token, or the value of a session cookie, is about; any dialect's."""
        if not acceptable(text):
            raise INVALID
        return caller_of(await self._sessions.verify(text), by_cookie=by_cookie, address=address)

    async def by_master_token(self, text: str, *, project: str | None, address: str | None) -> OperatorCaller:
        """Return the operator, by the master token itself and nothing else.

        Raises `Unauthenticated`: `invalid_master_token` for another credential that passes, else `invalid_token`.
        """
        if await self.is_master(text):
            return OperatorCaller(project=await self._named(project), address=address)
        if acceptable(text):
            if is_session_text(text):
                await self._sessions.verify(text)
                raise NOT_MASTER
            if await self._server_keys.find(text) is not None:
                raise NOT_MASTER
        raise INVALID

    async def is_master(self, text: str) -> bool:
        """Tell whether *text* is the master token, in constant time and as of now."""
        if not acceptable(text) or mistyped_secret(text):
            return False
        await self._keys.reload(at_once=True)
        return self._keys.is_master(self._keys.lookup(Purpose.LOOKUP_MASTER_TOKEN, text))

    async def _named(self, project: str | None) -> ProjectId:
        if project is None:
            return DEFAULT_PROJECT
        named = (await self._projects.find(project)).id
        await self._keys.learn(named)
        return named


def caller_of(verified: Verified, *, by_cookie: bool, address: str | None) -> SubjectCaller | OperatorCaller:
    """Return the caller that a verified session is: the operator for an operator's, else its subject."""
    standing = verified.standing
    if standing.session.session_kind is SessionKind.OPERATOR:
        return OperatorCaller(project=DEFAULT_PROJECT, standing=standing, address=address)
    return SubjectCaller(standing=standing, by_cookie=by_cookie, address=address)


def acceptable(text: str) -> bool:
    """Tell whether *text* can be a credential at all: 1 to 8191 visible ASCII characters."""
    return 0 < len(text) < _LONGEST and text.isascii() and text.isprintable() and " " not in text
