"""Endpoint declarations: all that the dispatcher and the OpenAPI document know about one operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sessiond.domain.errors import Refusal
from sessiond.http.answer import JSON, Answer
from sessiond.http.counting import Counting
from sessiond.http.credentials import NOBODY, Credential
from sessiond.http.request import Request

FORM = "application/x-www-form-urlencoded"

Handler = Callable[[Request], Awaitable[Answer]]
Instant = Callable[[Request], Answer | bytes | Coroutine[Any, Any, Answer | bytes] | None]

DEFAULT_BODY_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation.

    *path* and its *aliases* are templates: `/v1/sessions/{id}`; a trailing slash is an alias by itself, and GET
    answers HEAD too.

    *request* is the struct that a JSON or form body decodes to (`request.body_as(T)`); None: a body is ignored. With
    *raw_json* the struct only documents the body, and `request.body` is the JSON as Python values (`msgspec.UNSET`
    where there is no body), for dialects with schema messages of their own. *body_optional*: no body is None instead
    of a refusal. *query* is the struct of the query (`request.query_as(T)`). *headers* are the request headers that
    count, by name, with what they say.

    *answers* gives the type of each status that is a success (None: no body); *refusals* are samples of what the
    handler may refuse: the document shows the status and the body that the dialect makes of each. What the
    dispatcher and the credential refuse is added by itself.

    *same_origin*: a browser may send this from our own pages only, even without a cookie (sign-in, sign-out).
    *instant* may answer at once, without a task: an answer, the JSON of a 200, or None for the handler; it resolves
    the credential itself and may raise refusals. Where it has to wait for the store it returns a coroutine that does,
    and that sets no timeouts before it waits a second time. With a query it is the handler that answers.

    *counting* tells towards which rate limit a request without a server key counts; one with a server key counts
    towards the key's, unless it is `never`.
    """

    method: str
    path: str
    handler: Handler
    summary: str = field(kw_only=True)
    description: str = field(default="", kw_only=True)
    tags: Sequence[str] = field(default=(), kw_only=True)
    aliases: Sequence[str] = field(default=(), kw_only=True)
    credential: Credential = field(default=NOBODY, kw_only=True)
    request: type | None = field(default=None, kw_only=True)
    raw_json: bool = field(default=False, kw_only=True)
    body_optional: bool = field(default=False, kw_only=True)
    content_types: Sequence[str] = field(default=(JSON,), kw_only=True)
    max_body: int = field(default=DEFAULT_BODY_LIMIT, kw_only=True)
    query: type | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    params: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    answers: Mapping[int, type | None] = field(default_factory=lambda: {200: None}, kw_only=True)
    answer_type: str = field(default=JSON, kw_only=True)
    refusals: Sequence[Refusal] = field(default=(), kw_only=True)
    same_origin: bool = field(default=False, kw_only=True)
    instant: Instant | None = field(default=None, kw_only=True)
    counting: Counting | None = field(default=None, kw_only=True)
    takes_body: bool = field(init=False)
    """Whether a body is read."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes_body", self.request is not None or self.raw_json)
        plain = self.method == "GET" and not (self.takes_body or self.same_origin or "{" in self.path)
        if self.instant is not None and not (plain and self._query_optional()):
            raise ValueError(f"{self.method} {self.path} cannot be instant: only a GET of a literal path can")

    def _query_optional(self) -> bool:
        return self.query is None or not any(f.required for f in msgspec.structs.fields(self.query))

    @property
    def paths(self) -> tuple[str, ...]:
        """The path and its aliases."""
        return (self.path, *self.aliases)
