"""The public keys of access tokens, for services that verify them themselves."""

from __future__ import annotations

from sessiond.domain.ids import parse_project_id
from sessiond.domain.keys import LONGEST_KEY_SETS_CACHED, Audience
from sessiond.http.answer import Answer
from sessiond.http.dialects.stack_auth import known_errors as no
from sessiond.http.dialects.stack_auth.errors import schema_fault
from sessiond.http.dialects.stack_auth.queries import read_query
from sessiond.http.dialects.stack_auth.schema import Field, Text, one_of
from sessiond.http.dialects.stack_auth.shapes import KeyQuery, StackJwks
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services

_REGULAR = (Audience.STACK,)
_RESTRICTED = (*_REGULAR, Audience.STACK_RESTRICTED)
_ALL = (*_RESTRICTED, Audience.STACK_ANONYMOUS)
_FLAGS: dict[str, Field] = {
    name: Text(rules=[one_of("true", "false")]) for name in ("include_anonymous", "include_restricted")
}
_CACHE = ("Cache-Control", f"public, max-age={int(LONGEST_KEY_SETS_CACHED.total_seconds())}")


class Jwks:
    """The key sets of a project: below the issuer of each form of access token there is one."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""

        async def regular(request: Request) -> Answer:
            flags = read_query(request, _FLAGS)
            if flags.get("include_anonymous") == "true":
                return await self._answer(request, _ALL)
            return await self._answer(
                request, _RESTRICTED if flags.get("include_restricted") == "true" else _REGULAR
            )

        async def restricted(request: Request) -> Answer:
            return await self._answer(request, _RESTRICTED)

        async def everybody(request: Request) -> Answer:
            return await self._answer(request, _ALL)

        return tuple(
            Endpoint(
                "GET",
                f"/api/v1/{issuer}/{{project_id}}/.well-known/jwks.json",
                handler,
                summary=f"The public keys of {whose} access tokens",
                tags=("keys",),
                params={"project_id": "The project's id."},
                query=KeyQuery if handler is regular else None,
                answers={200: StackJwks},
                refusals=(no.PROJECT_NOT_FOUND, schema_fault(_BAD_FLAG)),
            )
            for issuer, whose, handler in (
                ("projects", "users'", regular),
                ("projects-restricted-users", "users' and restricted users'", restricted),
                ("projects-anonymous-users", "all users'", everybody),
            )
        )

    async def _answer(self, request: Request, audiences: tuple[Audience, ...]) -> Answer:
        project = parse_project_id(request.params["project_id"])
        if project is None or await self._services.projects.get(project) is None:
            raise no.PROJECT_NOT_FOUND
        await self._services.keys.learn(project)
        keys = self._services.keys.jwks(project, audiences)
        return Answer(200, {"keys": keys}, headers=(_CACHE,))


_BAD_FLAG = "query.include_anonymous must be one of the following values: true, false"
