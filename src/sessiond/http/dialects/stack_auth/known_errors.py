"""The original's known errors that apply here: code, status, message and details, word for word."""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.domain.ids import ProjectId
from sessiond.domain.instants import Instant, rfc3339
from sessiond.http.dialects.stack_auth.errors import Known, Plain

_DOCS = (
    "\n\nFor more information, see the docs on REST API authentication: "
    "https://docs.stack-auth.com/rest-api/overview#authentication"
)
_EXPIRED_HINT = (
    "\n\nDebug info: Most likely, you fetched the access token before it expired (for example, in a server component, "
    "pre-rendered page, or on page load), but then didn't refresh it before it expired. If this is the case, and "
    "you're using the SDK, make sure you call getAccessToken() every time you need to use the access token. If you're "
    "not using the SDK, make sure you refresh the access token with the refresh endpoint."
)


PROJECT_KEY_WITHOUT_ACCESS_TYPE = Known(
    400,
    "PROJECT_KEY_WITHOUT_ACCESS_TYPE",
    "Either an API key or an admin access token was provided, but the x-stack-access-type header is missing. "
    "Set it to 'client', 'server', or 'admin' as appropriate.",
)
ACCESS_TYPE_REQUIRED = Known(
    400,
    "ACCESS_TYPE_REQUIRED",
    "You must specify an access level for this Stack project. Make sure project API keys are provided (eg. "
    "x-stack-publishable-client-key) and you set the x-stack-access-type header to 'client', 'server', or 'admin'."
    + _DOCS,
)
UNPARSABLE_ACCESS_TOKEN = Known(401, "UNPARSABLE_ACCESS_TOKEN", "Access token is not parsable.")
ANONYMOUS_NOT_ALLOWED = Known(
    401,
    "ANONYMOUS_AUTHENTICATION_NOT_ALLOWED",
    "X-Stack-Access-Token is for an anonymous user, but anonymous users are not enabled. Set the "
    "X-Stack-Allow-Anonymous-User header of this request to 'true' to allow anonymous users.",
)
SERVER_AUTHENTICATION_REQUIRED = Known(
    401, "SERVER_AUTHENTICATION_REQUIRED", "The secret server key must be provided."
)
ADMIN_AUTHENTICATION_REQUIRED = Known(
    401, "ADMIN_AUTHENTICATION_REQUIRED", "The super secret admin key must be provided."
)
CANNOT_GET_OWN_USER = Known(
    400,
    "CANNOT_GET_OWN_USER_WITHOUT_USER",
    "You have specified 'me' as a userId, but did not provide authentication for a user.",
)
CANNOT_DELETE_CURRENT_SESSION = Known(
    400, "CANNOT_DELETE_CURRENT_SESSION", "Cannot delete the current session."
)
REFRESH_TOKEN_GONE = Known(
    401,
    "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED",
    "Refresh token not found for this project, or the session has expired/been revoked.",
)
USER_NOT_FOUND = Known(404, "USER_NOT_FOUND", "User not found.")
INVALID_OAUTH_CLIENT = Known(
    400,
    "INVALID_OAUTH_CLIENT_ID_OR_SECRET",
    "The OAuth client ID or secret is invalid. The client ID must be equal to the project ID (potentially with a hash "
    "and a branch ID), and the client secret must be a publishable client key.",
    {"client_id": None},
)
SESSION_NOT_FOUND = Plain(404, "session_not_found", "Session not found.")
OWN_SESSIONS_ONLY = Plain(403, "own_sessions_only", "Client can only list sessions for their own user.")
USER_DISABLED = Plain(403, "subject_disabled", "The subject is disabled.")
SESSION_LIMIT = Plain(
    409, "session_limit_reached", "The subject has as many sessions as it may have; end one first."
)
PROJECT_NOT_FOUND = Plain(404, "project_not_found", "Project not found")


def invalid_access_type(text: str) -> Known:
    """Return the refusal of an access type that is none of the three."""
    return Known(
        400,
        "INVALID_ACCESS_TYPE",
        f"The x-stack-access-type header must be 'client', 'server', or 'admin', but was '{text[:100]}'.",
    )


def access_type_without_project(access_type: str) -> Known:
    """Return the refusal of a request that names no project."""
    return Known(
        400,
        "ACCESS_TYPE_WITHOUT_PROJECT_ID",
        f"The x-stack-access-type header was '{access_type}', but the x-stack-project-id header was not provided."
        + _DOCS,
        {"request_type": access_type},
    )


def insufficient_access_type(actual: str, allowed: Sequence[str]) -> Known:
    """Return the refusal of an access type that may not do this."""
    named = " or ".join(f"'{each}'" for each in allowed)
    return Known(
        401,
        "INSUFFICIENT_ACCESS_TYPE",
        f"The x-stack-access-type header must be {named}, but was '{actual}'.",
        {"actual_access_type": actual, "allowed_access_types": list(allowed)},
    )


def project_unknown(project: str) -> Known:
    """Return the refusal of a project that does not exist."""
    return Known(
        400,
        "CURRENT_PROJECT_NOT_FOUND",
        f"The current project with ID {project[:100]} was not found. "
        "Please check the value of the x-stack-project-id header.",
        {"project_id": project[:100]},
    )


def branch_unknown(branch: str) -> Known:
    """Return the refusal of any branch but `main`."""
    return Known(
        400,
        "BRANCH_DOES_NOT_EXIST",
        f"The branch with ID {branch[:100]} does not exist.",
        {"branch_id": branch[:100]},
    )


def invalid_key(code: str, name: str, project: ProjectId) -> Known:
    """Return the refusal of a key that is not the project's; *name* is what the key is called."""
    return Known(
        401,
        code,
        f'The {name} is not valid for the project "{project}". Does the project and/or the key exist?',
        {"project_id": project},
    )


def publishable_key_required(project: ProjectId) -> Known:
    """Return the refusal of a client without a key where the project demands one."""
    return Known(
        401,
        "PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT",
        "Publishable client keys are required for this project. Create one in Project Keys, or disable this "
        "requirement there to allow keyless client access.",
        {"project_id": project},
    )


def access_token_expired(
    expired_at: Instant | None, project: str | None, user: str | None, session: str | None
) -> Known:
    """Return the refusal of an access token that has expired, or whose session has ended; it always has details."""
    facts = [
        f" (The access token expired at {rfc3339(expired_at)}.)" if expired_at is not None else "",
        f" Project ID: {project}." if project else "",
        f" User ID: {user}." if user else "",
        f" Refresh token ID: {session}." if session else "",
    ]
    return Known(
        401,
        "ACCESS_TOKEN_EXPIRED",
        "Access token has expired. Please refresh it and try again." + "".join(facts) + _EXPIRED_HINT,
        {
            "expired_at_millis": expired_at,
            "project_id": project,
            "user_id": user,
            "refresh_token_id": session,
        },
    )


NO_ACCESS_TOKEN = access_token_expired(None, None, None, None)


def foreign_access_token(expected: str, actual: str) -> Known:
    """Return the refusal of another project's access token."""
    return Known(
        401,
        "INVALID_PROJECT_FOR_ACCESS_TOKEN",
        f'Access token not valid for this project. Expected project ID "{expected[:100]}", '
        f'but the token is for project ID "{actual}".',
        {"expected_project_id": expected[:100], "actual_project_id": actual},
    )


def restricted_user(reason: str) -> Known:
    """Return the refusal of a restricted user's access token."""
    return Known(
        403,
        "RESTRICTED_USER_NOT_ALLOWED",
        f"The user in the access token is in restricted state. Reason: {reason}. "
        "Please pass the X-Stack-Allow-Restricted-User header if this is intended.",
        {"restricted_reason": {"type": reason}},
    )


def user_id_unknown(user: str) -> Known:
    """Return the refusal of a session for a user that does not exist."""
    return Known(
        400,
        "USER_ID_DOES_NOT_EXIST",
        f"The given user with the ID {user} does not exist.",
        {"user_id": user},
    )
