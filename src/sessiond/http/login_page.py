"""Where a browser without a session signs in, and which page it may return to afterwards.

What was asked for is known from a trusted proxy only, and named to the login page only if it is on the list: else
whoever writes a link could send a person who signs in anywhere (an open redirect).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from sessiond.domain.errors import Misconfigured
from sessiond.http.forwarding import forwarded_scheme

if TYPE_CHECKING:
    from sessiond.http.request import Request

_LONGEST_URL = 2048
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_SAFE_METHODS = frozenset({"GET", "HEAD"})

# No userinfo, backslash, fragment, white space or control; what browsers send beyond RFC 3986 may stand in the target.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>[/?](?:[!$&-;=?-\[\]^-~]|%[0-9a-f]{2})*)?",
    re.IGNORECASE,
)

# A segment that URL parsers resolve (WHATWG URL, "single-dot" and "double-dot"); no browser asks for one.
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


class LoginPage:
    """The login page at *url*; *return_to* are the origins and whole URLs to which it may be asked to lead back.

    Raises `Misconfigured` for an entry that is neither.
    """

    def __init__(self, url: str, return_to: Sequence[str] = ()) -> None:
        self._url = url
        self._origins: set[str] = set()
        self._pages: set[str] = set()
        for entry in return_to:
            origin, target = _parts(entry) or (None, "")
            if origin is None:
                raise Misconfigured(
                    f"return_to holds {entry!r}: it must be an origin, such as https://app.example.org, or a whole URL"
                )
            if target:
                self._pages.add(origin + target)
            else:
                self._origins.add(origin)

    def location(self, request: Request) -> str:
        """Return where to send the browser: the page, with `return_to` where that is known and allowed."""
        asked = self.allowed(asked_url(request))
        if asked is None:
            return self._url
        page, hash_sign, fragment = self._url.partition("#")
        joint = "&" if "?" in page else "?"
        return f"{page}{joint}return_to={quote(asked, safe='')}{hash_sign}{fragment}"

    def allowed(self, url: str | None) -> str | None:
        """Return *url* in its normal form if a browser may return to it, else None."""
        found = None if url is None else _parts(url)
        if found is None:
            return None
        origin, target = found
        # Whoever reads the path alone takes two slashes for another host: also those that are left of `/.//`.
        if (
            origin in self._origins
            and not target.startswith("//")
            and not _DOTS.search(target.partition("?")[0])
        ):
            return origin + target
        return origin + target if origin + target in self._pages else None


def asked_url(request: Request) -> str | None:
    """Return the URL that was asked for, as a trusted proxy says; None where it is not known or was no reading.

    Proxies say it in `X-Original-URL`, or in `X-Forwarded-Proto`, `-Host` and `-Uri`. Where both are there and differ,
    one of them passed through from the client, and nobody can know which.
    """
    if not request.edge.trusts(request.connection.host):
        return None
    methods = request.headers(b"x-forwarded-method") + request.headers(b"x-original-method")
    if not _SAFE_METHODS.issuperset(methods):
        return None
    said = set(request.headers(b"x-original-url"))
    hosts, targets = request.headers(b"x-forwarded-host"), request.headers(b"x-forwarded-uri")
    if targets:
        scheme = forwarded_scheme(request.head.headers)
        said |= {f"{scheme}://{host}{target}" for host in hosts for target in targets}
    return said.pop() if len(said) == 1 else None


def _parts(url: str) -> tuple[str, str] | None:
    """Return origin and target of an absolute URL, without a default port, or None for anything else."""
    match = _URL.fullmatch(url) if len(url) <= _LONGEST_URL else None
    if match is None:
        return None
    scheme, host, port = match["scheme"].lower(), match["host"].lower(), match["port"]
    origin = f"{scheme}://{host}" if port in {None, _DEFAULT_PORTS[scheme]} else f"{scheme}://{host}:{port}"
    return origin, match["target"] or ""
