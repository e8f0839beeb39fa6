"""Verifying: from a token text to the live session that it proves.

The way: text → `Tokens.recognise` (no store) → `Store.find_session` (one read) → `admit_access` (the rules). What was
admitted is remembered with the instant until which nothing but a change of the records can alter the answer; each peek
asks the store for the records all the same.
"""

from __future__ import annotations

import msgspec

from sessiond.domain.admission import Admission, Claim, admit_access, admitted_until, recent
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.events import EventType
from sessiond.domain.initiators import SESSIOND
from sessiond.domain.instants import Instant
from sessiond.domain.moving import DEPARTED
from sessiond.domain.policies import Policy
from sessiond.domain.session_events import session_event
from sessiond.domain.sessions import Session, Standing, departed
from sessiond.domain.steps import KEY_UNKNOWN, NOT_THE_SESSIONS, ROW_ABSENT
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Observer, Store
from sessiond.services.throttle import Allowance
from sessiond.services.token_forms import ACCESS_FORMS, Form
from sessiond.services.tokens import WRONG_KIND, Presented, Tokens, UnknownKey
from sessiond.services.touches import Touches

ROLLBACK = Unauthenticated("store_rollback", "The token is newer than what is stored; sign in again.")
_EXPIRED = Unauthenticated("token_expired", "The token has expired; refresh it.")
_REMEMBERED = 100_000


class Verified(msgspec.Struct, frozen=True, gc=False):
    """A session whose access token passed, and by which form of token."""

    standing: Standing
    form: Form
    expires_at: Instant

    @property
    def session(self) -> Session:
        """The session itself."""
        return self.standing.session


class Judged(msgspec.Struct, frozen=True, gc=False):
    """How an access token stands at *now*: with which admission, to what was read."""

    presented: Presented
    standing: Standing
    admission: Admission
    now: Instant


class _Admitted(Verified, frozen=True, gc=False):
    """An answer, and the instant until which it stands while the store gives the same standing."""

    until: Instant


ALARMS_AT_ONCE = 100
ALARMS_PER_SECOND = 0.5
"""How many tokens that are newer than their rows are events, for a project: after a restore every client shows one."""


class Verifying:
    """Answers whether a token proves a live session."""

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
        self._admitted: dict[str, _Admitted] = {}
        self._alarms = Allowance(clock, burst=ALARMS_AT_ONCE, per_second=ALARMS_PER_SECOND)

    def peek(self, text: str) -> Verified | None:
        """Return what `verify` would, without waiting, or None when only `verify` can tell (also: to refuse)."""
        kept = self._admitted.get(text)
        if kept is None:
            return self._peek(text)
        session = kept.standing.session
        standing = self._store.peek_session(session.project, session.id)
        if standing is kept.standing and self._clock.now() < kept.until:
            self._observer.count("verify_peeked")
            return kept
        del self._admitted[text]
        return None if standing is None else self._peek(text)

    def _peek(self, text: str) -> Verified | None:
        try:
            presented = self._tokens.recognise(text)
            if presented.form not in ACCESS_FORMS:
                return None
            standing = self._store.peek_session(presented.project, presented.session)
            if standing is None or self._is_newer(standing) or departed(standing):
                return None
            now = self._clock.now()
            admission = self._admission(presented, standing, now)
        except Unauthenticated as refusal:
            refusal.forget_where()
            return None
        if admission is Admission.NEWER:
            return None
        self._observer.count("verify_peeked")
        verified = self._admitted_as(presented, standing, admission, now)
        self._remember(text, presented, verified)
        return verified

    def _remember(self, text: str, presented: Presented, verified: Verified) -> None:
        if len(self._admitted) >= _REMEMBERED:
            self._admitted.clear()
        standing, policy = verified.standing, self.policy_of(verified.standing)
        until = admitted_until(standing, presented.generation, presented.expires_at, grace=policy.grace)
        quiet = self._touches.quiet_until(standing.session)
        self._admitted[text] = _Admitted(standing, verified.form, verified.expires_at, min(until, quiet))

    async def verify(self, text: str, forms: frozenset[Form] = ACCESS_FORMS) -> Verified:
        """Return the live session that *text* proves.

        Raises `Unauthenticated`: `invalid_token` (one constant answer for everything before the row),
        `wrong_token_kind`, `token_expired`, `token_superseded`, `store_rollback`, or why the session ended.
        """
        judged = await self.judge(text, forms)
        if judged.admission is Admission.NEWER:
            await self._alarm(judged.presented, judged.now)
            raise ROLLBACK
        self._observer.count("verify")
        return self._admitted_as(judged.presented, judged.standing, judged.admission, judged.now)

    async def judge(self, text: str, forms: frozenset[Form] = ACCESS_FORMS) -> Judged:
        """Return how *text* stands, for whoever only wants to know: nothing is written or counted as use.

        Raises `Unauthenticated` as `verify` does, but for a token newer than its row: it is `Admission.NEWER`.
        """
        presented = await self.recognise(text)
        if presented.form not in forms:
            raise WRONG_KIND
        if self._clock.now() >= presented.expires_at:
            raise _EXPIRED
        standing = await self._find(presented)
        if self._is_newer(standing):
            presented = await self._recognise_anew(text, standing)
        now = self._clock.now()
        admission = self._admission(presented, standing, now)
        if admission is Admission.NEWER:
            standing = await self._find(presented)
            admission = self._admission(presented, standing, now)
        return Judged(presented, standing, admission, now)

    async def recognise(self, text: str) -> Presented:
        """Return what *text* says once its MAC passed; an unknown key has the ring read again (once a second)."""
        try:
            return self._tokens.recognise(text)
        except UnknownKey:
            if not await self._keys.reload():
                raise KEY_UNKNOWN from None
        try:
            return self._tokens.recognise(text)
        except UnknownKey:
            raise KEY_UNKNOWN from None

    async def _recognise_anew(self, text: str, standing: Standing) -> Presented:
        """Recognise *text* by the newest ring: a key may have been refused, or a master token replaced, elsewhere."""
        if standing.deployment is not None:
            self._keys.adopt(standing.deployment)
        return await self.recognise(text)

    def policy_of(self, standing: Standing) -> Policy:
        """Return the policy of the session's project: its own, else the configured one."""
        project = standing.project
        return (project.policy if project is not None else None) or self._policy

    def _is_newer(self, standing: Standing) -> bool:
        """Tell whether the store knows a newer ring or master token than the one that was asked."""
        deployment = standing.deployment
        return deployment is not None and deployment.version > self._keys.deployment.version

    async def _find(self, presented: Presented) -> Standing:
        standing = await self._store.find_session(presented.project, presented.session)
        if standing is None:
            raise ROW_ABSENT
        if departed(standing):
            raise DEPARTED
        return standing

    def _admission(self, presented: Presented, standing: Standing, now: Instant) -> Admission:
        if now >= presented.expires_at:
            raise _EXPIRED
        grace = self.policy_of(standing).grace
        return admit_access(standing, self._claim(presented, standing), now=now, grace=grace)

    def _admitted_as(
        self, presented: Presented, standing: Standing, admission: Admission, now: Instant
    ) -> Verified:
        """Return the verified session; this is a use of it."""
        if admission is Admission.CURRENT:
            self._touches.note(standing.session, now=now, grace=self.policy_of(standing).grace)
        return Verified(standing, presented.form, presented.expires_at)

    def _claim(self, presented: Presented, standing: Standing) -> Claim:
        session, kid = standing.session, presented.kid
        if presented.jti is not None and presented.generation <= session.generation:
            kid = self._tokens.jti_kid(session, presented)
            if kid is None and recent(session, presented.generation):
                raise NOT_THE_SESSIONS
        master = presented.master_generation
        deployment = standing.deployment
        if master is not None and (deployment is None or deployment.master_generation != master):
            raise KEY_UNKNOWN
        return Claim(kid=kid or 0, generation=presented.generation, nonce=presented.nonce)

    async def _alarm(self, presented: Presented, now: Instant) -> None:
        standing = await self._find(presented)
        session = standing.session
        if not self._alarms.allows(session.project):
            return
        event = session_event(session, EventType.STORE_ROLLBACK, by=SESSIOND, now=now)
        await self._store.apply(Change.telling(event))
