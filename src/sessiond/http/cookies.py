"""Cookies as RFC 6265 sends them: reading a request's, and writing an answer's."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from sessiond.domain.errors import InvalidRequest

_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")


LOOPBACK_COOKIE = "sid"
"""The session cookie on plain http, where browsers refuse the prefixed names."""


class SessionCookie(enum.StrEnum):
    """What the session cookie is called on https: a browser takes such a name with Secure, Path=/ and no Domain only.

    From a browser that knows it, the second one also proves that no script has written it.
    """

    HOST = "__Host-sid"
    HOST_HTTP = "__Host-Http-sid"


class SetCookie(msgspec.Struct, frozen=True, kw_only=True):
    """One cookie of an answer. Without *max_age_seconds* it lives as long as the browser.

    *secure* None means: what the edge says (Secure where the public URL is https).
    """

    name: str
    value: str
    max_age_seconds: int | None = None
    path: str = "/"
    secure: bool | None = None
    http_only: bool = True
    same_site: Literal["Lax", "Strict", "None"] = "Lax"

    def deleted(self) -> SetCookie:
        """Return the cookie that deletes this one: the same attributes, no value, no life."""
        return msgspec.structs.replace(self, value="", max_age_seconds=0)

    def render(self, *, secure: bool) -> str:
        """Return the value of `Set-Cookie`; *secure* holds where the cookie itself does not say.

        Raises `ValueError` for a value with characters that RFC 6265 section 4.1.1 does not allow.
        """
        if not _VALUE.fullmatch(self.value):
            raise ValueError(f"the cookie {self.name} cannot have this value")
        parts = [f"{self.name}={self.value}", f"Path={self.path}"]
        if self.max_age_seconds is not None:
            parts.append(f"Max-Age={self.max_age_seconds}")
        if secure if self.secure is None else self.secure:
            parts.append("Secure")
        if self.http_only:
            parts.append("HttpOnly")
        parts.append(f"SameSite={self.same_site}")
        return "; ".join(parts)


def find_cookie(headers: Sequence[bytes], name: str) -> str | None:
    """Return the value of the cookie *name* in all `Cookie` headers, or None.

    The name must be exactly that (no other case, no quotes, no `$Version`); the value is taken as it stands, quotes
    too. Raises `InvalidRequest` when two cookies have the name: one of them was planted.
    """
    wanted, found = name.encode(), None
    for header in headers:
        if wanted not in header:
            continue
        for pair in header.split(b";"):
            left, equals, value = pair.partition(b"=")
            if not equals or left.strip(b" \t") != wanted:
                continue
            if found is not None:
                raise InvalidRequest(
                    "repeated_cookie", f"Two cookies are named {name}; clear the site's cookies."
                )
            found = value.strip(b" \t")
    return None if found is None else found.decode("latin-1")
