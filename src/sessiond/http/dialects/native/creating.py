"""What a session is asked for, and the order that it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sessiond.domain.addresses import canonical_address
from sessiond.domain.assurance import authentication_fault
from sessiond.domain.callers import OperatorCaller, ServerCaller
from sessiond.domain.documents import metadata_fault
from sessiond.domain.ids import SubjectId, acceptable_subject_id, subject_id_fault
from sessiond.domain.instants import Instant, parse_rfc3339
from sessiond.domain.sessions import AccessFormat, Browser, Client, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.domain.texts import ContextClass, Method, Name, Reason, shown_user_agent, text_fault
from sessiond.http.dialects.native.acting import ActorMembers, Ticket, acting_faults
from sessiond.http.request import Request
from sessiond.services.orders import Order

IDEMPOTENCY = {
    "Idempotency-Key": "1 to 255 visible ASCII characters, remembered for 24 hours: a retry gets the same session."
}

_MOST_SECONDS = 10 * 365 * 24 * 60 * 60
Seconds = Annotated[int, Meta(ge=1, le=_MOST_SECONDS)]

_DELIVERED = {"tokens": "tokens", "browser": "cookie"}
"""How a session of a kind reaches its holder."""

_FORMATS = {form.value: form for form in AccessFormat}
_KINDS = {True: SessionKind.BROWSER, False: SessionKind.TOKENS}
_USER = SubjectKind.USER


class ClientMembers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The software that will hold the tokens, as your backend saw it."""

    address: Annotated[str | None, Meta(description="An IPv4 or IPv6 address.")] = None
    user_agent: Annotated[str | None, Meta(description="Kept: the first 512 characters.")] = None
    name: Annotated[Name | None, Meta(description="What the user calls it.")] = None


class SessionMembers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every session may be asked for."""

    format: Annotated[
        Literal["opaque", "jwt"], Meta(description="The form of the access token; `jwt` is RFC 9068's.")
    ] = "opaque"
    kind: Annotated[
        Literal["tokens", "browser"] | None,
        Meta(description="What the session is to be; it goes with the delivery, and either says the other."),
    ] = None
    delivery: Annotated[
        Literal["tokens", "cookie"] | None,
        Meta(
            description="`tokens` in the body (without it), or one `cookie` that lives as long as the session, "
            "and none."
        ),
    ] = None
    remember: Annotated[
        bool | None,
        Meta(description="Whether the cookie outlives the browser; without it, it does. For `cookie` only."),
    ] = None
    browser: Annotated[
        str | None,
        Meta(
            description="The session cookie's value that the browser sent with the sign-in: its accounts stay "
            "signed in beside this one. For `cookie` only; a value that means nothing has no effect."
        ),
    ] = None
    absolute_timeout_seconds: Annotated[
        Seconds | None, Meta(description="How long it lives at most; never longer than the policy's.")
    ] = None
    idle_timeout_seconds: Annotated[
        Seconds | None, Meta(description="How long it lives unused; never longer than the policy's.")
    ] = None
    client: Annotated[
        ClientMembers | None, Meta(description="Without it: the address and user agent of this request.")
    ] = None
    metadata: Annotated[
        Mapping[str, object], Meta(description="An object of your own: at most 4 KiB of JSON, 16 deep.")
    ] = {}

    @property
    def by_cookie(self) -> bool:
        """Whether it is a browser's session, which has one cookie and no tokens."""
        return (self.delivery or _DELIVERED[self.kind or "tokens"]) == "cookie"


class CreateSession(SessionMembers, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a session is asked for. With an `actor` it is an impersonation, which needs a `reason`."""

    subject: Annotated[str, Meta(description="Whom the session is about: 1 to 256 bytes.", min_length=1)]
    acr: Annotated[ContextClass | None, Meta(description="The authentication context class.")] = None
    amr: Annotated[
        Sequence[Method], Meta(description="How they authenticated (RFC 8176).", max_length=16)
    ] = ()
    authenticated_at: Annotated[
        str | None, Meta(description="When they did (RFC 3339); not in the future. Without it: now.")
    ] = None
    actor: Annotated[ActorMembers | None, Meta(description="Who acts when it is not the subject.")] = None
    reason: Annotated[Reason | None, Meta(description="Why they act.")] = None
    ticket: Annotated[Ticket | None, Meta(description="On which ticket of yours.")] = None

    @property
    def tells_assurance(self) -> bool:
        """Whether it says how, or when, the subject authenticated."""
        return self.acr is not None or self.authenticated_at is not None or bool(self.amr)


class _Named(msgspec.Struct, frozen=True):
    subject: str


_named = msgspec.json.Decoder(_Named)


def subject_named(body: bytes) -> SubjectId | None:
    """Return whom a create is about by its *body*, which nobody has checked yet; None where that is no subject."""
    try:
        subject = _named.decode(body).subject
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return SubjectId(subject) if acceptable_subject_id(subject) else None


def order_of(
    request: Request, caller: ServerCaller | OperatorCaller, subject: SubjectId, asked: SessionMembers
) -> Order:
    """Return the order that the members of a sound body are, without its assurance and its actor."""
    cookie, retry = asked.by_cookie, request.header(b"idempotency-key")
    return Order(
        project=caller.project,
        subject=subject,
        session_kind=_KINDS[cookie],
        access_format=_FORMATS[asked.format],
        by=caller.initiator,
        create=_USER,
        rotates=not cookie,
        client=_client(request, asked.client),
        absolute_timeout=duration(asked.absolute_timeout_seconds),
        idle_timeout=duration(asked.idle_timeout_seconds),
        metadata=asked.metadata,
        browser=Browser(remember=asked.remember is not False) if cookie else None,
        idempotency_key=retry,
        asked=b"" if retry is None else msgspec.json.encode(asked, order="deterministic"),
    )


def assured(order: Order, asked: CreateSession, now: Instant) -> Order:
    """Return *order* with what a sound create tells of how the subject authenticated."""
    at = authenticated_at(asked.authenticated_at, now)
    return msgspec.structs.replace(order, authenticated_at=at, acr=asked.acr, amr=tuple(asked.amr))


def create_faults(asked: CreateSession, now: Instant) -> dict[str, str | None]:
    """Return what no shape can tell of a create, by pointer."""
    faults = session_faults(asked)
    faults["/subject"] = subject_id_fault(asked.subject)
    if asked.actor is not None or asked.reason is not None or asked.ticket is not None:
        faults |= acting_faults(asked.actor, asked.reason, asked.ticket)
    if asked.tells_assurance:
        faults |= assurance_faults(asked.acr, asked.amr, asked.authenticated_at, now)
    return faults


def authenticated_at(text: str | None, now: Instant) -> Instant | None:
    """Return when the subject authenticated, as a sound body says; None where it says nothing."""
    at = None if text is None else parse_rfc3339(text)
    return None if at is None else min(at, now)


def assurance_faults(
    acr: str | None, amr: Sequence[str], at: str | None, now: Instant
) -> dict[str, str | None]:
    """Return what is wrong with the assurance that a body tells, by pointer."""
    faults = {f"/amr/{index}": text_fault(method) for index, method in enumerate(amr)}
    fault = None if at is None else authentication_fault(parse_rfc3339(at), now)
    return faults | {"/acr": text_fault(acr), "/authenticated_at": fault}


def session_faults(asked: SessionMembers) -> dict[str, str | None]:
    """Return what no shape can tell of a body, by pointer."""
    faults = {"/metadata": metadata_fault(asked.metadata)} if asked.metadata else {}
    if asked.kind is not None and asked.delivery not in {None, _DELIVERED[asked.kind]}:
        faults["/kind"] = f"goes with delivery {_DELIVERED[asked.kind]}"
    if (asked.remember is not None or asked.browser is not None) and not asked.by_cookie:
        given = {"/remember": asked.remember, "/browser": asked.browser}
        faults |= {name: "goes with delivery cookie" for name, value in given.items() if value is not None}
    if asked.client is not None:
        faults["/client/name"] = text_fault(asked.client.name)
        address = asked.client.address
        wrong = address is not None and canonical_address(address) is None
        faults["/client/address"] = "is no IP address" if wrong else None
    return faults


def _client(request: Request, asked: ClientMembers | None) -> Client:
    if asked is None:
        return Client(address=request.client_address, user_agent=request.user_agent)
    return Client(
        address=None if asked.address is None else canonical_address(asked.address),
        user_agent=None if asked.user_agent is None else shown_user_agent(asked.user_agent),
        name=asked.name,
    )


def duration(seconds: int | None) -> timedelta | None:
    """Return *seconds* as a duration."""
    return None if seconds is None else timedelta(seconds=seconds)
