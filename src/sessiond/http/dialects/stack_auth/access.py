"""Who asks, by the original's headers or a server key as Bearer: its checks, in its order (`checks` 2 to 14).

1 (the body can be parsed) is the dispatcher's, before this; 15 (its schema) the handler's, after.
"""

from __future__ import annotations

import enum
import hmac
from collections.abc import Sequence

import msgspec

from sessiond.crypto.purposes import Purpose
from sessiond.domain.callers import Caller, OperatorCaller, ServerCaller, SubjectCaller
from sessiond.domain.errors import Forbidden, Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SessionId, parse_project_id
from sessiond.domain.initiators import Initiator
from sessiond.domain.projects import Project
from sessiond.domain.sessions import Standing
from sessiond.domain.subjects import Subject
from sessiond.http.credentials import BEARER_SERVER_KEY, Credential, SecurityScheme, bearer
from sessiond.http.dialects.stack_auth import known_errors as no
from sessiond.http.dialects.stack_auth.access_tokens import AccessTokens, Presented
from sessiond.http.dialects.stack_auth.errors import Known
from sessiond.http.dialects.stack_auth.headers import stack_header
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.credentials import acceptable

KEYLESS = "__stack_public_client__"
"""What the npm client sends as publishable key when it has none."""

MAIN_BRANCH = "main"


class AccessType(enum.StrEnum):
    """As what a request asks to be treated."""

    CLIENT = "client"
    SERVER = "server"
    ADMIN = "admin"


EVERYONE = (AccessType.CLIENT, AccessType.SERVER, AccessType.ADMIN)
SERVERS = (AccessType.SERVER, AccessType.ADMIN)


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the access type that passed, and the user of the access token, if any.

    *standing* is None without an access token, and when its user is gone; *session* is the token's all the same.
    *by* is whom events name for what is asked, *actor* how an impersonation does.
    """

    type: AccessType
    project: ProjectId
    by: Initiator
    actor: str
    standing: Standing | None = None
    session: SessionId | None = None

    @property
    def user(self) -> Subject | None:
        """The user of the access token."""
        return self.standing.subject if self.standing is not None else None

    def own_user(self) -> Subject:
        """Return the user of the access token, or raise `CANNOT_GET_OWN_USER_WITHOUT_USER`."""
        if self.user is None:
            raise no.CANNOT_GET_OWN_USER
        return self.user


class Accesses:
    """The credentials of this dialect's endpoints."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tokens = AccessTokens(services)

    def credential(self, allowed: Sequence[AccessType], *, outlived: bool = False) -> Credential:
        """Return the credential that lets *allowed* pass.

        *outlived*: an access token whose session has ended counts as that of a user who is gone, since the endpoint
        says in its own words that there is no session any more.
        """

        async def resolve(request: Request) -> Caller | None:
            access, caller = await self._resolve(request, outlived=outlived)
            if access.type not in allowed:
                raise no.insufficient_access_type(access.type, allowed)
            request.context = access
            return caller

        return Credential(
            name=f"Stack Auth ({', '.join(allowed)})",
            resolve=resolve,
            schemes=[scheme for each in allowed for scheme in _SCHEMES[each]],
            refusals=_samples(allowed),
        )

    async def _resolve(self, request: Request, *, outlived: bool) -> tuple[Access, Caller | None]:
        asked, key = _asked(request), _bearer_key(request)
        as_type = asked or (AccessType.SERVER if key is not None else None)
        if as_type is None:
            raise no.ACCESS_TYPE_REQUIRED
        named = stack_header(request, "project-id") or (DEFAULT_PROJECT if key is not None else None)
        if named is None:
            raise no.access_type_without_project(as_type)
        presented = await self._tokens.presented(request, named, outlived=outlived)
        project = await self._project(named)
        caller = await self._key_holder(request, as_type, project)
        if asked is None and isinstance(caller, OperatorCaller):
            as_type = AccessType.ADMIN
        branch = stack_header(request, "branch-id") or MAIN_BRANCH
        if branch != MAIN_BRANCH:
            raise no.branch_unknown(branch)
        return _access(as_type, project, caller, presented, request.client_address)

    async def _project(self, named: str) -> Project:
        project = parse_project_id(named)
        found = None if project is None else await self._services.projects.get(project)
        if found is None:
            raise no.project_unknown(named)
        return found

    async def _key_holder(self, request: Request, as_type: AccessType, project: Project) -> Caller | None:
        match as_type:
            case AccessType.CLIENT:
                self.require_publishable_key(stack_header(request, "publishable-client-key"), project)
                return None
            case AccessType.SERVER:
                return await self._server(request, project.id)
            case AccessType.ADMIN:
                return await self._admin(request, project.id)

    def require_publishable_key(
        self, key: str | None, project: Project, *, wrong: Known | None = None
    ) -> None:
        """Refuse a client's key where the project has one and this is not it (*wrong*: with another refusal)."""
        if project.publishable_key_digest is None:
            return
        if not key or key == KEYLESS:
            raise no.publishable_key_required(project.id)
        digest = self._services.keys.lookup(Purpose.LOOKUP_PUBLISHABLE_KEY, key, project.id)
        if not hmac.compare_digest(digest, project.publishable_key_digest):
            raise wrong or no.invalid_key("INVALID_PUBLISHABLE_CLIENT_KEY", "publishable key", project.id)

    async def _server(self, request: Request, project: ProjectId) -> ServerCaller | OperatorCaller:
        key = stack_header(request, "secret-server-key")
        if not key:
            return await self._by_bearer(request, project)
        found = await self._services.server_keys.find(key) if acceptable(key) else None
        if found is None or found.project != project:
            raise _wrong_server_key(project)
        return ServerCaller(project=project, name=found.name, key_id=found.id, address=request.client_address)

    async def _by_bearer(self, request: Request, project: ProjectId) -> ServerCaller | OperatorCaller:
        key = _bearer_key(request)
        if key is None:
            raise no.SERVER_AUTHENTICATION_REQUIRED
        try:
            caller = await self._services.credentials.by_server_key(
                key, project=None, address=request.client_address
            )
        except (Unauthenticated, Forbidden):
            raise _wrong_server_key(project) from None
        if isinstance(caller, OperatorCaller):
            return msgspec.structs.replace(caller, project=project)
        if caller.project != project:
            raise _wrong_server_key(project)
        return caller

    async def _admin(self, request: Request, project: ProjectId) -> OperatorCaller:
        key = stack_header(request, "super-secret-admin-key") or _bearer_key(request)
        if not key:
            raise no.ADMIN_AUTHENTICATION_REQUIRED
        if not await self._services.credentials.is_master(key):
            raise no.invalid_key("INVALID_SUPER_SECRET_ADMIN_KEY", "super secret admin key", project)
        return OperatorCaller(project=project, address=request.client_address)


def _asked(request: Request) -> AccessType | None:
    text = stack_header(request, "access-type")
    if not text:
        if any(stack_header(request, name) for name in _KEY_HEADERS):
            raise no.PROJECT_KEY_WITHOUT_ACCESS_TYPE
        return None
    try:
        return AccessType(text)
    except ValueError:
        raise no.invalid_access_type(text) from None


def _bearer_key(request: Request) -> str | None:
    """Return what is presented as Bearer; a text that no key can be is one that will not be found."""
    try:
        return bearer(request)
    except Unauthenticated as refusal:
        refusal.forget_where()
        return ""


def _access(
    as_type: AccessType,
    project: Project,
    caller: Caller | None,
    presented: Presented | None,
    address: str,
) -> tuple[Access, Caller | None]:
    standing = presented.standing if presented is not None else None
    if caller is None and standing is not None:
        caller = SubjectCaller(standing=standing, address=address)
    access = Access(
        type=as_type,
        project=project.id,
        by=Initiator("stack client", address) if caller is None else caller.initiator,
        actor=caller.name if isinstance(caller, ServerCaller | OperatorCaller) else "",
        standing=standing,
        session=presented.session if presented is not None else None,
    )
    return access, caller


def _wrong_server_key(project: ProjectId) -> Known:
    return no.invalid_key("INVALID_SECRET_SERVER_KEY", "secret server key", project)


_KEY_HEADERS = (
    "publishable-client-key",
    "secret-server-key",
    "super-secret-admin-key",
    "admin-access-token",
)


def _scheme(name: str, header: str, description: str) -> SecurityScheme:
    return SecurityScheme(
        name, {"type": "apiKey", "in": "header", "name": header, "description": description}
    )


_TYPE = _scheme("stackAccessType", "X-Stack-Access-Type", "`client`, `server` or `admin`.")
_PROJECT = _scheme("stackProject", "X-Stack-Project-Id", "The project's id.")
_SERVER_KEY = _scheme("stackServerKey", "X-Stack-Secret-Server-Key", "A server key.")
_ADMIN_KEY = _scheme("stackAdminKey", "X-Stack-Super-Secret-Admin-Key", "The master token.")
_ACCESS_TOKEN = _scheme("stackAccessToken", "X-Stack-Access-Token", "A user's access token.")

_SCHEMES: dict[AccessType, Sequence[Sequence[SecurityScheme]]] = {
    AccessType.CLIENT: ((_TYPE, _PROJECT, _ACCESS_TOKEN),),
    AccessType.SERVER: ((BEARER_SERVER_KEY,), (_TYPE, _PROJECT, _SERVER_KEY)),
    AccessType.ADMIN: ((_TYPE, _PROJECT, _ADMIN_KEY),),
}


def _samples(allowed: Sequence[AccessType]) -> Sequence[Known]:
    """Return one of each refusal, for the OpenAPI document."""
    project = DEFAULT_PROJECT
    common = [
        no.PROJECT_KEY_WITHOUT_ACCESS_TYPE,
        no.ACCESS_TYPE_REQUIRED,
        no.invalid_access_type("root"),
        no.access_type_without_project("client"),
        no.NO_ACCESS_TOKEN,
        no.UNPARSABLE_ACCESS_TOKEN,
        no.foreign_access_token(project, "00000000-0000-4000-8000-000000000002"),
        no.ANONYMOUS_NOT_ALLOWED,
        no.restricted_user("restricted_by_administrator"),
        no.project_unknown("00000000-0000-4000-8000-000000000003"),
        no.branch_unknown("dev"),
        no.SERVER_AUTHENTICATION_REQUIRED,
        _wrong_server_key(project),
        no.ADMIN_AUTHENTICATION_REQUIRED,
        no.invalid_key("INVALID_SUPER_SECRET_ADMIN_KEY", "super secret admin key", project),
        no.publishable_key_required(project),
        no.invalid_key("INVALID_PUBLISHABLE_CLIENT_KEY", "publishable key", project),
    ]
    if AccessType.CLIENT not in allowed:
        common.append(no.insufficient_access_type("client", allowed))
    return common
