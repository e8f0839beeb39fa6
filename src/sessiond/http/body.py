"""Reading a request's body: never more than the endpoint takes, of a type it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from sessiond.domain.errors import InvalidRequest
from sessiond.http.answer import JSON
from sessiond.http.endpoint import FORM, Endpoint
from sessiond.http.json_body import decode_form, decode_json, parse_form, parse_json
from sessiond.http.refusals import (
    BodyTooLarge,
    EmptyBody,
    InvalidMembers,
    MalformedBody,
    UnsupportedMediaType,
)
from sessiond.http.request import Request

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGoneError(Exception):
    """The client went away before its request was complete: there is nobody to answer."""


async def read_body(request: Request, receive: Receive, limit: int) -> bytes:
    """Return the whole body. Raises `BodyTooLarge` as soon as it is known, `ClientGoneError` if it never ends."""
    length = request.header(b"content-length")
    if length is not None and (not length.isdecimal() or int(length[:20]) > limit):
        raise BodyTooLarge(limit)
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge(limit)
        more = message.get("more_body", False)
    return bytes(body)


def media_type_of(request: Request, endpoint: Endpoint) -> str:
    """Return the body's content type without parameters, or raise `UnsupportedMediaType`."""
    name = request.head.media_type
    if name is None or name not in endpoint.content_types:
        raise UnsupportedMediaType(request.header(b"content-type"), endpoint.content_types)
    return name


def parse_body(body: bytes, request: Request, endpoint: Endpoint) -> Callable[[], object]:
    """Return how to get at the decoded body; what cannot be read at all is refused at once, its shape only then."""
    if len(body) > endpoint.max_body:
        raise BodyTooLarge(endpoint.max_body)
    if not body or body.isspace():
        return _without_body(endpoint)
    media_type = media_type_of(request, endpoint)
    if endpoint.raw_json or endpoint.request is None:
        value = _raw(body, media_type)
        return lambda: value
    kind = endpoint.request
    decode = decode_form if media_type == FORM else decode_json
    try:
        decoded = decode(body, kind)
    except InvalidMembers as refusal:
        return _refusing(refusal)
    return lambda: decoded


def _without_body(endpoint: Endpoint) -> Callable[[], object]:
    if endpoint.raw_json:
        return lambda: msgspec.UNSET
    if endpoint.body_optional:
        return lambda: None
    raise EmptyBody


def _refusing(refusal: InvalidRequest) -> Callable[[], object]:
    def refuse() -> object:
        raise refusal

    return refuse


def _raw(body: bytes, media_type: str) -> object:
    if media_type == JSON:
        return parse_json(body)
    if media_type == FORM:
        return parse_form(body)
    if media_type.startswith("text/"):
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise MalformedBody("The body is not UTF-8.") from None
    return body
