"""The edge: who is really at the other end, which pages are ours, and whether public access is open.

Forwarding headers count only from trusted proxies. Public access is the rule of the documents that show no
credential: left open only where nobody but this machine's own people can reach it.
"""

from __future__ import annotations

import enum
import functools
import ipaddress
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sessiond.domain.errors import Misconfigured
from sessiond.http.cookies import LOOPBACK_COOKIE, SessionCookie
from sessiond.http.forwarding import Network, forwarded_chain, forwarded_scheme, is_within
from sessiond.http.login_page import LoginPage

if TYPE_CHECKING:
    from sessiond.http.request import Request

_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_MOST_HOST_CHARS = 300
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_FORWARDING = (b"forwarded", b"via", b"x-real-ip")
_FORWARDING_FAMILIES = (b"x-forwarded-", b"cf-")


class PublicAccess(enum.StrEnum):
    """Whether the endpoints that their documents show without a credential are open."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Edge:
    """What the server knows about its own outside.

    *listeners* are the addresses that are listened on. *public_url* is what browsers see (`https://host[:port]`).
    *trusted_proxies* are addresses or networks (CIDR). *login_url* is where a browser without a session signs in, and
    *return_to* where it may come back to. *session_cookie* is what the session cookie is called on https. Raises
    `Misconfigured` for values that mean nothing.
    """

    def __init__(
        self,
        *,
        listeners: Sequence[str] = ("127.0.0.1",),
        public_url: str | None = None,
        trusted_proxies: Sequence[str] = (),
        public_access: PublicAccess = PublicAccess.AUTO,
        login_url: str | None = None,
        return_to: Sequence[str] = (),
        session_cookie: SessionCookie = SessionCookie.HOST,
    ) -> None:
        self.listeners = tuple(listeners)
        self.public_url = public_url.rstrip("/") if public_url else None
        self.public_origin = _public_origin(self.public_url) if self.public_url else None
        self.trusted_proxies: tuple[Network, ...] = tuple(_network(text) for text in trusted_proxies)
        self.public_access = public_access
        self.login_page = LoginPage(login_url, return_to) if login_url is not None else None
        self.session_cookie = session_cookie
        self.local_only = (
            all(is_loopback(address) for address in self.listeners)
            and self.public_url is None
            and not self.trusted_proxies
        )
        self._own_users = {os.geteuid(), 0}
        self.secure = self.public_origin is not None and self.public_origin.startswith("https:")

    @property
    def public_open(self) -> bool:
        """Whether public access is open at all; a single request may still be refused."""
        if self.public_access is PublicAccess.AUTO:
            return self.local_only
        return self.public_access is PublicAccess.ON

    def why_closed(self, request: Request) -> str | None:
        """Return why public access is closed for *request*, as the end of a sentence, or None while it is open.

        On a server that only this machine can reach: HTTP/1.1, a loopback `Host`, no sign of a proxy, and at the other
        end a process of our own user or root. Where an operator has opened a reachable server with `on`, the
        `Host` must be ours (no name that someone else's DNS can point here), and forwarding headers must come
        from a trusted proxy.
        """
        if not self.public_open:
            return "it is closed on this server"
        name = host_name(request.host)
        if self.local_only:
            return self._why_not_local(request, name)
        if not (is_loopback(name) or _is_address(name) or name == self._public_name()):
            return "the Host is not this server's"
        if shows_proxy(request.head.headers) and not self.trusts(request.connection.host):
            return "it came through a proxy that is not trusted"
        return None

    def _why_not_local(self, request: Request, name: str) -> str | None:
        if request.head.http_version != "1.1":
            return "it was not sent with HTTP/1.1"
        if not is_loopback(name):
            return "the Host is not a loopback name"
        if shows_proxy(request.head.headers):
            return "it came through a proxy"
        if request.connection.peer_uid not in self._own_users:
            return "the process at the other end is not known as this server's own user's or root's"
        return None

    def trusts(self, host: str) -> bool:
        """Tell whether forwarding headers from the address *host* count."""
        return bool(self.trusted_proxies) and is_within(host, self.trusted_proxies)

    def client_address(self, request: Request) -> str:
        """Return the address of the client: the nearest one in the forwarding chain that is no trusted proxy."""
        client = plain_address(request.connection.host)
        if not self.trusted_proxies or not self.trusts(client):
            return client
        for hop in reversed(forwarded_chain(request.head.headers)):
            if hop is None:
                break
            client = hop
            if not self.trusts(hop):
                break
        return client

    def scheme(self, request: Request) -> str:
        """Return `http` or `https` as the browser sees it."""
        if self.public_origin is not None:
            return "https" if self.secure else "http"
        if self.trusts(request.connection.host):
            return forwarded_scheme(request.head.headers) or request.connection.scheme
        return request.connection.scheme

    def session_cookies(self, request: Request) -> tuple[str, ...]:
        """Return the names under which a session cookie counts in *request*.

        On https only the configured one, which no other site and no sibling domain can plant.
        """
        secure: str = self.session_cookie
        return (secure,) if request.secure else (secure, LOOPBACK_COOKIE)

    def foreign(self, request: Request) -> bool:
        """Tell whether a browser sent *request* from a page that is not ours.

        By `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (RFC 6454); with neither it is no browser.
        """
        site = request.header(b"sec-fetch-site")
        if site is not None and site not in {"same-origin", "none"}:
            return True
        origin = request.header(b"origin")
        if origin is None:
            return False
        sent = _normal_origin(origin)
        return sent is None or sent not in {
            self.public_origin,
            _normal_origin(f"{request.scheme}://{request.host}"),
        }

    def _public_name(self) -> str | None:
        return None if self.public_origin is None else host_name(self.public_origin.partition("://")[2])


def shows_proxy(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Tell whether any header is one that proxies add."""
    return any(name in _FORWARDING or name.startswith(_FORWARDING_FAMILIES) for name, _ in headers)


def acceptable_host(text: str) -> bool:
    """Tell whether *text* is a host with an optional port (RFC 9110 section 7.2)."""
    return len(text) <= _MOST_HOST_CHARS and _AUTHORITY.fullmatch(text) is not None


def host_name(authority: str) -> str:
    """Return the name or address of `host[:port]`, in lower case, without brackets; empty when it is none."""
    match = _AUTHORITY.fullmatch(authority)
    return match[1].strip("[]").lower() if match else ""


@functools.lru_cache(maxsize=1024)
def is_loopback(name: str) -> bool:
    """Tell whether *name* is `localhost` or a loopback address."""
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


@functools.lru_cache(maxsize=1024)
def plain_address(host: str) -> str:
    """Return *host* with an IPv4 address in IPv6 form (`::ffff:…`) written as IPv4, and without a zone."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _normal_origin(text: str) -> str | None:
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" if port in {None, _DEFAULT_PORTS[scheme]} else f"{scheme}://{host}:{port}"


def _public_origin(url: str) -> str:
    origin = _normal_origin(url)
    if origin is None:
        raise Misconfigured(f"public_url is {url!r}: it must be http(s)://host[:port] and nothing more.")
    return origin


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise Misconfigured(
            f"trusted_proxies holds {text!r}: it must be an address or a network ({error})."
        ) from None
