"""What an endpoint is asked: the head of one HTTP request, its decoded parts, and who asks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

from sessiond.domain.callers import Caller
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.instants import Instant
from sessiond.domain.texts import shown_user_agent
from sessiond.http.cookies import find_cookie
from sessiond.http.refusals import CrossSite

if TYPE_CHECKING:
    from sessiond.domain.rate_limits import Quota
    from sessiond.http.edge import Edge
    from sessiond.http.endpoint import Endpoint
    from sessiond.http.head import Head
    from sessiond.http.peer import Connection
    from sessiond.services.ports import Clock

T = TypeVar("T")

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_NO_PARAMS: Mapping[str, str] = MappingProxyType({})


class Request:
    """One request. Its headers, cookies, query and address are read when they are asked for.

    *params* are the decoded values of the template's names, *endpoint* what was
    found for it, *caller* who asks (None where no credential is needed), *context* what else a dialect's own credential
    found out, *quota* what is left of the rate limit that it counted towards, *whole_body* the body where all of it was
    there before anybody asked for it.
    """

    # Defaults stand in the class: fewer stores when one is made, on the hot path.
    params: Mapping[str, str] = _NO_PARAMS
    endpoint: Endpoint | None = None
    caller: Caller | None = None
    context: object = None
    query: object = None
    body: object = None
    quota: Quota | None = None
    whole_body: bytes | None = None
    _now: Instant | None = None
    _address: str | None = None
    _scheme: str | None = None

    def __init__(self, head: Head, connection: Connection, edge: Edge, clock: Clock, request_id: str) -> None:
        self.head = head
        self.method = head.method
        self.connection = connection
        self.edge = edge
        self.request_id = request_id
        self._clock = clock
        self._values = head.values

    @property
    def now(self) -> Instant:
        """When it was first asked what time it is; the same for the whole request."""
        if self._now is None:
            self._now = self._clock.now()
        return self._now

    @property
    def changes(self) -> bool:
        """Whether the method is one that may change something."""
        return self.method not in _SAFE_METHODS

    def header(self, name: bytes) -> str | None:
        """Return the value of the header *name* (lower case), or None. Raises `InvalidRequest` when it stands twice."""
        found = self._values.get(name)
        if found is None:
            return None
        if self.head.repeats and len(self.headers(name)) > 1:
            raise InvalidRequest("repeated_header", f"The header {name.decode()} stands more than once.")
        return found.decode("latin-1")

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits to be told to send its body (RFC 9110 section 10.1.1); none of HTTP/1.0 does."""
        expected = self._values.get(b"expect", b"").lower() == b"100-continue"
        return expected and self.head.http_version != "1.0"

    @property
    def has_cookies(self) -> bool:
        """Whether there is a `Cookie` header."""
        return b"cookie" in self._values

    def headers(self, name: bytes) -> tuple[str, ...]:
        """Return every value of the header *name* (lower case), in order."""
        return tuple(value.decode("latin-1") for other, value in self.head.headers if other == name)

    def cookie(self, name: str) -> str | None:
        """Return the value of the cookie *name*, or None; two `Cookie` headers mean one.

        A cookie proves nothing about who wrote the page, so that reading one in a request that may change something
        raises `CrossSite` if a browser sent it from a page that is not ours. Raises `InvalidRequest` when two
        cookies have the name.
        """
        headers = [value for other, value in self.head.headers if other == b"cookie"]
        found = find_cookie(headers, name) if headers else None
        if found is not None and self.changes:
            self.require_same_origin()
        return found

    def require_same_origin(self) -> None:
        """Raise `CrossSite` if a browser sent this from a page that is not ours."""
        if self.edge.foreign(self):
            raise CrossSite

    def query_items(self) -> list[tuple[str, str]]:
        """Return the names and values of the query in order. Raises `InvalidRequest` if it is not UTF-8."""
        query_string = self.head.query_string
        if not query_string:
            return []
        try:
            return parse_qsl(
                query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100
            )
        except ValueError:
            raise InvalidRequest("malformed_query", "The query is not percent-encoded UTF-8.") from None

    def query_as(self, kind: type[T]) -> T:
        """Return the decoded query, which the endpoint declared as *kind*."""
        if not isinstance(self.query, kind):
            raise _not_promised(self.query, kind)
        return self.query

    def body_as(self, kind: type[T]) -> T:
        """Return the decoded body, which the endpoint declared as *kind*."""
        if not isinstance(self.body, kind):
            raise _not_promised(self.body, kind)
        return self.body

    def context_as(self, kind: type[T]) -> T:
        """Return what the endpoint's credential left here, which it promised to be a *kind*."""
        if not isinstance(self.context, kind):
            raise _not_promised(self.context, kind)
        return self.context

    @property
    def host(self) -> str:
        """The `Host` header: the dispatcher has seen to it that there is exactly one."""
        return self.header(b"host") or ""

    @property
    def client_address(self) -> str:
        """The client's address; behind trusted proxies the one that they noted."""
        if self._address is None:
            self._address = self.edge.client_address(self)
        return self._address

    @property
    def user_agent(self) -> str | None:
        """The `User-Agent`, at most 512 characters, control characters replaced; None without one."""
        if b"user-agent" not in self._values:
            return None
        return shown_user_agent(self.headers(b"user-agent")[0])

    @property
    def scheme(self) -> str:
        """`http` or `https`, as the browser sees it."""
        if self._scheme is None:
            self._scheme = self.edge.scheme(self)
        return self._scheme

    @property
    def secure(self) -> bool:
        """Whether the browser sees https: then cookies are `Secure`."""
        return self.scheme == "https"

    @property
    def caller_label(self) -> str | None:
        """How events and logs name the caller; None for nobody."""
        return None if self.caller is None else self.caller.label


def _not_promised(value: object, kind: type) -> TypeError:
    return TypeError(f"the endpoint promised a {kind.__name__}, and this is a {type(value).__name__}")
