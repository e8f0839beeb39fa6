"""Sessions: verify, refresh, list and end them. Issuing has a file of its own.

The way of a verify: text → `Tokens.recognise` (no store) → `Store.find_session` (one read) → `admit_access` (rules).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from sessiond.domain.errors import Conflict, NotFound, Unauthenticated, Unavailable
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId, SessionId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.policies import Policy
from sessiond.domain.refresh import Verdict, decide
from sessiond.domain.sessions import (
    INVALID,
    Admission,
    Claim,
    Ending,
    Session,
    Standing,
    admit_access,
    ending,
    recent,
    recognise,
    refuse_ended,
)
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Observer, Revocation, Store
from sessiond.services.token_forms import ACCESS_FORMS, Form
from sessiond.services.tokens import WRONG_KIND, Presented, Tokens, UnknownKey
from sessiond.services.touches import Touches

SUPERSEDED_REFRESH = Unauthenticated(
    "refresh_token_superseded", "The refresh token had been replaced; the session was ended. Sign in again."
)
_ROLLBACK = Unauthenticated("store_rollback", "The token is newer than what is stored; sign in again.")
_UNSOUND_CLOCK = Unavailable("clock_unsound", "The server's clock went back; try again later.")
_SWAPS = 16


class Verified(msgspec.Struct, frozen=True, gc=False):
    """A session whose access token passed, and by which form of token."""

    standing: Standing
    form: Form
    expires_at: Instant

    @property
    def session(self) -> Session:
        """The session itself."""
        return self.standing.session


class Sessions:
    """What can be asked of sessions and done to them."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        *,
        tokens: Tokens,
        touches: Touches,
        observer: Observer,
        policy: Policy,
    ) -> None:
        self._store = store
        self._keys = keys
        self._tokens = tokens
        self._touches = touches
        self._clock = clock
        self._observer = observer
        self._policy = policy

    # -- verify -------------------------------------------------------------------------------------------------

    def peek(self, text: str, forms: frozenset[Form] = ACCESS_FORMS) -> Verified | None:
        """Return what `verify` would, without waiting, or None when only `verify` can tell (also: to refuse)."""
        try:
            presented = self._tokens.recognise(text)
            if presented.form not in forms:
                return None
            standing = self._store.peek_session(presented.project, presented.session)
            if standing is None:
                return None
            return self._admit(presented, standing, self._clock.now())
        except Unauthenticated:
            return None

    async def verify(self, text: str, forms: frozenset[Form] = ACCESS_FORMS) -> Verified:
        """Return the live session that *text* proves.

        Raises `Unauthenticated`: `invalid_token` (one constant answer for everything before the row),
        `wrong_token_kind`, `token_expired`, `token_superseded`, `store_rollback`, or why the session ended.
        """
        presented = await self.recognise(text)
        if presented.form not in forms:
            raise WRONG_KIND
        now = self._clock.now()
        if now >= presented.expires_at:
            raise Unauthenticated("token_expired", "The token has expired; refresh it.")
        verified = self._admit(presented, await self._find(presented), now)
        if verified is None:
            verified = self._admit(presented, await self._find(presented), now)
        if verified is None:
            await self._alarm(presented, now)
            raise _ROLLBACK
        return verified

    async def recognise(self, text: str) -> Presented:
        """Return what *text* says once its MAC passed; an unknown key has the ring read again (once a second)."""
        try:
            return self._tokens.recognise(text)
        except UnknownKey:
            if not await self._keys.reload():
                raise INVALID from None
        try:
            return self._tokens.recognise(text)
        except UnknownKey:
            raise INVALID from None

    async def _find(self, presented: Presented) -> Standing:
        standing = await self._store.find_session(presented.project, presented.session)
        if standing is None:
            raise INVALID
        return standing

    def _admit(self, presented: Presented, standing: Standing, now: Instant) -> Verified | None:
        """Return the verified session, or None for a token newer than its row."""
        if now >= presented.expires_at:
            raise Unauthenticated("token_expired", "The token has expired; refresh it.")
        session = standing.session
        claim = self._claim(presented, standing)
        grace = self.policy_of(standing).grace
        admission = admit_access(standing, claim, now=now, grace=grace)
        if admission is Admission.NEWER:
            return None
        if admission is Admission.CURRENT:
            self._touches.note(session, now=now, grace=grace)
        self._observer.count("verify")
        return Verified(standing, presented.form, presented.expires_at)

    def _claim(self, presented: Presented, standing: Standing) -> Claim:
        session, kid = standing.session, presented.kid
        if presented.jti is not None and presented.generation <= session.generation:
            kid = self._tokens.jti_kid(session, presented)
            if kid is None and recent(session, presented.generation):
                raise INVALID
        master = presented.master_generation
        deployment = standing.deployment
        if master is not None and (deployment is None or deployment.master_generation != master):
            raise INVALID
        return Claim(
            project=presented.project,
            session=presented.session,
            kid=kid or 0,
            generation=presented.generation,
            expires_at=presented.expires_at,
            nonce=presented.nonce,
        )

    def policy_of(self, standing: Standing) -> Policy:
        """Return the policy of the session's project: its own, else the configured one."""
        project = standing.project
        return (project.policy if project is not None else None) or self._policy

    # -- refresh ------------------------------------------------------------------------------------------------

    async def refresh(self, text: str, form: Form) -> Standing:
        """Return the session after a refresh token of *form* was presented: rotated, repeated or just renewed.

        The caller mints the tokens of the session's current generation: minting is a pure function of the row, so a
        repeated answer is the same text. Raises `Unauthenticated` and `Unavailable` (`clock_unsound`).
        """
        presented = await self.recognise(text)
        if presented.form is not form:
            raise WRONG_KIND
        if self._clock.now() >= presented.expires_at:
            raise Unauthenticated("token_expired", "The refresh token has expired; sign in again.")
        for _ in range(_SWAPS):
            try:
                return await self._refresh(presented)
            except Conflict:
                continue
        raise Unavailable("contended", "Too many writers at once; try again.")

    async def _refresh(self, presented: Presented) -> Standing:
        standing, now = await self._find(presented), self._clock.now()
        session, policy = standing.session, self.policy_of(standing)
        if recognise(session, self._claim(presented, standing)) is Admission.FOREIGN:
            raise INVALID
        why = ending(standing, now)
        verdict = decide(session, presented.generation, ended=why is not None, now=now, policy=policy)
        match verdict:
            case Verdict.ENDED:
                raise refuse_ended(standing, why or Ending.REVOKED)
            case Verdict.UNSOUND_CLOCK:
                raise _UNSOUND_CLOCK
            case Verdict.ROLLED_BACK:
                await self._confirm_rollback(presented, now)
                raise Conflict("the row caught up")
            case Verdict.REUSED:
                await self._end_reused(session, EventType.REFRESH_REUSED, "reuse_detected", now)
                raise SUPERSEDED_REFRESH
            case Verdict.LOST:
                await self._end_reused(session, EventType.ROTATION_LOST, "rotation_lost", now)
                raise SUPERSEDED_REFRESH
            case Verdict.REPEATED:
                self._observer.count("refresh_twin")
                return standing
            case Verdict.RENEWED:
                self._touches.note(session, now=now, grace=timedelta(0))
                self._observer.count("refresh")
                return standing
            case Verdict.ROTATED:
                return await self._rotate(standing, now)

    async def _rotate(self, standing: Standing, now: Instant) -> Standing:
        session = standing.session
        successor = session.rotated(now=now, kid=self._keys.ring.active_root(session.project).kid)
        await self._store.apply(
            Change(partition=session.key.partition, expects={session.key: session.version}, puts=[successor])
        )
        self._observer.count("refresh")
        return msgspec.structs.replace(standing, session=successor)

    async def _end_reused(self, session: Session, what: EventType, reason: str, now: Instant) -> None:
        await self._store.revoke([_revocation(session, what, reason, by="sessiond", now=now)])

    async def _confirm_rollback(self, presented: Presented, now: Instant) -> None:
        standing = await self._find(presented)
        if standing.session.generation < presented.generation:
            await self._alarm(presented, now)
            raise _ROLLBACK

    async def _alarm(self, presented: Presented, now: Instant) -> None:
        standing = await self._find(presented)
        session = standing.session
        event = _event(session, EventType.STORE_ROLLBACK, by="sessiond", now=now)
        await self._store.apply(Change(partition=session.key.partition, expects={}, events=[event]))

    # -- list and end -------------------------------------------------------------------------------------------

    async def get(self, project: ProjectId, session: SessionId) -> Standing:
        """Return the session with what its life depends on, or raise `NotFound` (`session_unknown`)."""
        standing = await self._store.find_session(project, session)
        if standing is None or standing.session.project != project:
            raise NotFound("session_unknown", "There is no such session.")
        return standing

    async def list_live(self, project: ProjectId, subject: SubjectId) -> Sequence[Session]:
        """Return all of the subject's live sessions, newest first."""
        now = self._clock.now()
        return await self._living(await self._store.list_by_subject(project, subject, live_at=now), now)

    async def list_page(
        self, project: ProjectId, subject: SubjectId, *, limit: int, before: SessionId | None = None
    ) -> tuple[Sequence[Session], SessionId | None]:
        """Return a page of the subject's live sessions, newest first, and the next page's *before*.

        A page holds at most *limit*, of ids below *before*; None for the next page's says that this was the last.
        """
        now = self._clock.now()
        rows = await self._store.list_by_subject(project, subject, live_at=now, limit=limit, before=before)
        return await self._living(rows, now), rows[-1].id if len(rows) == limit else None

    async def _living(self, rows: Sequence[Session], now: Instant) -> Sequence[Session]:
        if not rows:
            return ()
        sibling = await self._store.find_session(rows[0].project, rows[0].id)
        if sibling is None:
            return ()
        return [row for row in rows if ending(await self._standing_of(row, sibling), now) is None]

    async def _standing_of(self, row: Session, sibling: Standing) -> Standing:
        """Return the standing of *row* from that of another session of its subject; an actor is read."""
        if row.actor is None or row.actor.subject is None:
            return msgspec.structs.replace(sibling, session=row, actor=None)
        return await self._store.find_session(row.project, row.id) or msgspec.structs.replace(
            sibling, session=row
        )

    async def revoke(self, session: Session, *, reason: str, by: str) -> Session | None:
        """End one session; ending twice keeps the first reason. Durable, and seen by every verify, on return."""
        now = self._clock.now()
        ended = await self._store.revoke(
            [_revocation(session, EventType.SESSION_REVOKED, reason, by=by, now=now)]
        )
        return ended[0]


def _event(session: Session, what: EventType, *, by: str, now: Instant, reason: str | None = None) -> Event:
    return Event(
        type=what,
        at=now,
        partition=session.key.partition,
        project=session.project,
        session=session.id,
        subject=session.subject,
        by=by,
        data={} if reason is None else {"reason": reason},
    )


def _revocation(session: Session, what: EventType, reason: str, *, by: str, now: Instant) -> Revocation:
    return Revocation(
        project=session.project,
        session=session.id,
        reason=reason,
        at=now,
        event=_event(session, what, by=by, now=now, reason=reason),
    )
