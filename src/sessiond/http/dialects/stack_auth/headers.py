"""The original's request headers, under either of its names: `X-Stack-…` and, since the renaming, `X-Hexclave-…`."""

from __future__ import annotations

from sessiond.http.dialect import Cors
from sessiond.http.dialects.stack_auth.errors import schema_fault
from sessiond.http.request import Request

_PREFIXES = ("x-stack-", "x-hexclave-")
_NAMES = (
    "project-id",
    "branch-id",
    "access-type",
    "publishable-client-key",
    "secret-server-key",
    "super-secret-admin-key",
    "admin-access-token",
    "access-token",
    "refresh-token",
    "allow-anonymous-user",
    "allow-restricted-user",
    "override-error-status",
    "random-nonce",
    "client-version",
    "development-override-key",
)

CORS = Cors(
    methods=("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
    headers=(
        *(prefix + name for prefix in _PREFIXES for name in _NAMES),
        "content-type",
        "authorization",
        "ngrok-skip-browser-warning",
    ),
    exposed=("content-type", "x-stack-actual-status", "x-stack-known-error"),
)
"""Any page may call this dialect with what it holds; no cookie counts here, so there is nothing to ride on."""


def stack_header(request: Request, name: str) -> str | None:
    """Return the value of the header *name* under either prefix, or None.

    Two different values, under one prefix or both, are refused: one of them was planted.
    """
    found = {value for prefix in _PREFIXES for value in request.headers((prefix + name).encode())}
    if len(found) > 1:
        raise schema_fault(f"headers.x-stack-{name} must be given once")
    return found.pop() if found else None
