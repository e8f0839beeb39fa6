"""Dialects: an API surface is its endpoints, and how it says no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sessiond.domain.errors import Refusal
from sessiond.http.answer import Answer
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalMedia:
    """One form of a dialect's refusals: content type and the type of its body (`str` for text)."""

    content_type: str
    type: type


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """What other sites' scripts may do with a dialect: any origin, never with credentials."""

    methods: Sequence[str]
    headers: Sequence[str]
    exposed: Sequence[str] = ()
    max_age_seconds: int = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One API surface.

    *refuse* renders every refusal for it: its own, the credential's, the services' and the dispatcher's. The request is
    None when the OpenAPI document asks for a sample. The dispatcher adds `Allow`, `Retry-After` and
    `WWW-Authenticate` where the answer has none. *prefixes* are the paths (whole segments) below which an unknown path
    is refused by this dialect; the longest wins. *decorate* sees every answer last, refusals too.
    *body_before_credential*: the body is parsed before the credential is looked at (its shape is still checked after).
    """

    name: str
    title: str
    endpoints: Sequence[Endpoint]
    refuse: Callable[[Refusal, Request | None], Answer]
    refusal_media: Sequence[RefusalMedia]
    prefixes: Sequence[str]
    description: str = ""
    cors: Cors | None = None
    decorate: Callable[[Request, Answer], Answer] | None = None
    body_before_credential: bool = False
