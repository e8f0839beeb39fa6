"""Signing in with a name and a PIN, renewing the access token, and signing out.

The order is fixed: a permit to hash, the attempt counted as a failure, the PIN looked at, the failure
taken back while the session is issued. An unknown name takes the same way, over a hash that no PIN has.
"""

from __future__ import annotations

import asyncio

import msgspec

from sessiond.crypto.secrets import Secret
from sessiond.domain.addresses import network_of
from sessiond.domain.callers import holder_of
from sessiond.domain.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId, SubjectId, acceptable_subject_id
from sessiond.domain.initiators import SESSIOND, Initiator
from sessiond.domain.instants import Instant, millis
from sessiond.domain.pins import check_pin, fold_name
from sessiond.domain.refused_attempts import Attempt
from sessiond.domain.rules import PinRules
from sessiond.domain.sessions import Client, Session, SessionKind
from sessiond.services.issuing import Issuing
from sessiond.services.known_clients import KnownClients
from sessiond.services.orders import Order
from sessiond.services.pin_attempts import Claim, PinAttempts
from sessiond.services.pin_hashing import PinHashing
from sessiond.services.pins import Pins, PinUser
from sessiond.services.ports import Change, Clock, Store
from sessiond.services.refused_attempts import RefusedAttempts
from sessiond.services.sessions import Sessions
from sessiond.services.throttle import Allowance
from sessiond.services.token_forms import Form
from sessiond.services.tokens import Tokens
from sessiond.services.verifying import Verified

TOLD_AT_ONCE = 100
TOLD_PER_SECOND = 0.5
"""How many refused PINs of a project are events of their own; the others are counted."""

_LONGEST_NAME = 1024
_ACCESS = frozenset({Form.PIN_ACCESS})
_REFRESH = frozenset({Form.PIN_REFRESH})


class InvalidCredentials(Unauthenticated):
    """The name is unknown, the PIN wrong or the user disabled: nobody is told which.

    Made anew each time: an exception keeps the frames it passed, and those hold a PIN.
    """

    def __init__(self) -> None:
        super().__init__("invalid_credentials", "Invalid credentials")


class TokenText(msgspec.Struct, frozen=True):
    """A token and how many whole seconds it is good for."""

    text: Secret
    lifetime_seconds: int


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """An issued session with its tokens, and what makes this browser known for its account."""

    session: Session
    access_token: TokenText
    refresh_token: TokenText
    known_client: TokenText


class PinSignIn:
    """Sign-in, refresh and sign-out of PIN users."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        refused: RefusedAttempts,
        pins: Pins,
        attempts: PinAttempts,
        hashing: PinHashing,
        known_clients: KnownClients,
        issuing: Issuing,
        sessions: Sessions,
        tokens: Tokens,
        rules: PinRules,
    ) -> None:
        self._store = store
        self._clock = clock
        self._refused = refused
        self._told = Allowance(clock, burst=TOLD_AT_ONCE, per_second=TOLD_PER_SECOND)
        self._pins = pins
        self._attempts = attempts
        self._hashing = hashing
        self._known_clients = known_clients
        self._issuing = issuing
        self._sessions = sessions
        self._tokens = tokens
        self._rules = rules

    async def login(
        self, project: ProjectId, name: str, pin: Secret, *, client: Client, known_client: str | None = None
    ) -> SignedIn:
        """Issue a session to whoever knows the PIN. *known_client* is the text of a former `SignedIn`.

        Raises `InvalidRequest` (`invalid_name`, `invalid_pin`), `InvalidCredentials`, `Throttled`
        (`too_many_attempts`), `StateConflict` (`session_limit_reached`), `Unavailable` (`busy`).
        """
        subject, text = _name(name), check_pin(pin.reveal())
        with self._hashing.permit() as permit:
            user = await self._pins.find(project, subject)
            claim = self._claim(project, subject, user, client, known_client)
            reservation = await self._attempts.reserve(claim)
            stored = user.pin if user is not None else None
            matches = await self._hashing.matches(permit, project, stored, text)
        if user is None or not matches or user.subject.disabled_at is not None:
            await self._note_refused(project, user, client)
            raise InvalidCredentials
        # Beside each other: two writes of two partitions, which an engine may sync as one.
        taking_back = asyncio.create_task(self._attempts.succeed(reservation))
        try:
            session = await self._issued(user, client)
        finally:
            await taking_back
        await self._pins.renew(user, text)
        return self._signed_in(session, user)

    async def refresh(self, text: str) -> TokenText:
        """Return a fresh access token for a refresh token, which stays as it is. Raises `Unauthenticated`."""
        standing = await self._sessions.refresh(text, Form.PIN_REFRESH)
        name = standing.subject.name if standing.subject is not None else None
        return self._token(Form.PIN_ACCESS, standing.session, name, self._clock.now())

    async def logout(self, access: str | None, refresh: str | None, *, address: str | None) -> None:
        """End the session that the access token shows, and the refresh token's where that is another.

        Where the access token is gone or expired, the refresh token suffices. Raises `Unauthenticated` when neither
        passes.
        """
        session = (await self._shown(access, refresh)).session
        await self._end(session, address)
        other = None if refresh is None else await self._other(refresh, session)
        if other is not None:
            await self._end(other, address)

    async def _end(self, session: Session, address: str | None) -> None:
        await self._sessions.revoke(session, reason="signed_out", by=holder_of(session, address))

    async def _other(self, refresh: str, ended: Session) -> Session | None:
        """Return the live session of the refresh token if it is not *ended*."""
        try:
            session = (await self._sessions.verify(refresh, _REFRESH)).session
        except Unauthenticated as refusal:
            refusal.forget_where()
            return None
        return None if session.id == ended.id else session

    async def _shown(self, access: str | None, refresh: str | None) -> Verified:
        if access is not None:
            try:
                return await self._sessions.verify(access, _ACCESS)
            except Unauthenticated as refusal:
                if refusal.code != "token_expired" or refresh is None:
                    raise
                refusal.forget_where()
        if refresh is None:
            raise Unauthenticated("credential_required", "Present a credential.")
        return await self._sessions.verify(refresh, _REFRESH)

    def _claim(
        self,
        project: ProjectId,
        subject: SubjectId,
        user: PinUser | None,
        client: Client,
        known_client: str | None,
    ) -> Claim:
        set_at, cookie = None if user is None else user.pin.set_at, None
        if set_at is not None and known_client is not None:
            now = self._clock.now()
            if self._known_clients.accepts(known_client, project, subject, pin_set_at=set_at, now=now):
                cookie = known_client
        return Claim(
            project=project,
            subject=subject,
            network=network_of(client.address or ""),
            pin_set_at=set_at,
            cookie=cookie,
        )

    async def _note_refused(self, project: ProjectId, user: PinUser | None, client: Client) -> None:
        """Write the event, or count it where there are many.

        A name that nobody has is not in it: people type their PIN there.
        """
        if not self._told.allows(project):
            self._refused.note(Attempt.PIN, project, client.address or "")
            return
        partition = self._attempts.partition(project)
        event = Event(
            type=EventType.PIN_REFUSED,
            at=self._clock.now(),
            partition=partition,
            project=project,
            subject=None if user is None else user.subject.id,
            data={"address": client.address},
        )
        await self._store.apply(Change.telling(event))

    async def _issued(self, user: PinUser, client: Client) -> Session:
        subject = user.subject
        order = Order(
            project=subject.project,
            subject=subject.id,
            session_kind=SessionKind.PIN,
            by=Initiator(f"subject:{subject.id}", client.address),
            client=client,
            absolute_timeout=self._rules.session_ttl,
            amr=("pin",),
        )
        try:
            session = (await self._issuing.issue(order)).session
        except (Forbidden, NotFound):  # disabled or deleted meanwhile
            raise InvalidCredentials from None
        if session.epochs.subject != subject.epoch:  # another PIN was set while this one was looked at
            await self._sessions.revoke(session, reason="pin_changed", by=SESSIOND)
            raise InvalidCredentials
        return session

    def _signed_in(self, session: Session, user: PinUser) -> SignedIn:
        now, name = session.created_at, user.subject.name
        known = self._known_clients.mint(session.project, session.subject, now=now)
        return SignedIn(
            session=session,
            access_token=self._token(Form.PIN_ACCESS, session, name, now),
            refresh_token=self._token(Form.PIN_REFRESH, session, name, now),
            known_client=TokenText(Secret(known), millis(self._rules.known_client_for) // 1000),
        )

    def _token(self, form: Form, session: Session, name: str | None, now: Instant) -> TokenText:
        lifetime = self._rules.access_token_lifetime if form is Form.PIN_ACCESS else self._rules.session_ttl
        issued, limit = now // 1000, session.expires_at // 1000
        expires = min(issued + millis(lifetime) // 1000, limit)
        text = self._tokens.jwt(
            form,
            session,
            now=now,
            expires_at=expires * 1000,
            first={"name": name or session.subject},
        )
        return TokenText(Secret(text), expires - issued)


def _name(name: str) -> SubjectId:
    folded = fold_name(name) if len(name) <= _LONGEST_NAME else SubjectId("")
    if not acceptable_subject_id(folded):
        raise InvalidRequest("invalid_name", "The name must have 1 to 256 bytes and no control characters.")
    return folded
