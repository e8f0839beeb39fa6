"""Sessions: refresh, list and end them. Issuing and verifying have files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from sessiond.domain.admission import Admission, recognise
from sessiond.domain.callers import Manager, holder_of, manages
from sessiond.domain.endings import Ending, ending, refuse_ended
from sessiond.domain.errors import Conflict, NotFound, Unauthenticated, Unavailable
from sessiond.domain.events import EventType
from sessiond.domain.ids import ProjectId, SessionId, SubjectId
from sessiond.domain.initiators import SESSIOND, Facts, Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.projects import Deployment, Project, deployment_key, project_key
from sessiond.domain.refresh import Verdict, decide
from sessiond.domain.session_events import session_event
from sessiond.domain.sessions import Session, Standing
from sessiond.domain.steps import NOT_THE_SESSIONS
from sessiond.domain.subjects import Subject, subject_key
from sessiond.services.contention import CONTENDED
from sessiond.services.ports import Change, Revocation
from sessiond.services.token_forms import REFRESH_FORMS, Form
from sessiond.services.tokens import WRONG_KIND, Presented
from sessiond.services.verifying import ROLLBACK, Verifying

SUPERSEDED_REFRESH = Unauthenticated(
    "refresh_token_superseded", "The refresh token had been replaced; the session was ended. Sign in again."
)
SESSION_UNKNOWN = NotFound("session_unknown", "There is no such session.")
CLOCK_UNSOUND = Unavailable("clock_unsound", "The server's clock went back; try again later.")
_SWAPS = 16
_RECENT = frozenset({Admission.CURRENT, Admission.PREVIOUS})
_ENDS_NOTHING = frozenset({Form.OPERATOR, Form.EXCHANGED})


class JudgedRefresh(msgspec.Struct, frozen=True, gc=False):
    """What a refresh token means at *now*; *why* says how the session ended, if it did."""

    presented: Presented
    standing: Standing
    verdict: Verdict
    why: Ending | None
    now: Instant


class Sessions(Verifying):
    """What can be asked of sessions and done to them."""

    # -- refresh ------------------------------------------------------------------------------------------------

    async def refresh(self, text: str, form: Form, *, address: str | None = None) -> Standing:
        """Return the session after a refresh token of *form* was presented: rotated, repeated or just renewed.

        The caller mints the tokens of the session's current generation: minting is a pure function of the row, so a
        repeated answer is the same text. Where the token ends the session, *address* is told: it came from there.
        Raises `Unauthenticated` and `Unavailable` (`clock_unsound`).
        """
        forms = frozenset({form})
        for _ in range(_SWAPS):
            judged = await self.judge_refresh(text, forms)
            try:
                return await self._carry_out(judged, address)
            except Conflict:
                continue
        raise CONTENDED

    async def judge_refresh(self, text: str, forms: frozenset[Form] = REFRESH_FORMS) -> JudgedRefresh:
        """Return what the refresh token *text* means, for whoever only wants to know; nothing is written.

        Raises `Unauthenticated` for what is no refresh token of *forms*, of a session that is known.
        """
        presented = await self.recognise(text)
        if presented.form not in forms:
            raise WRONG_KIND
        if self._clock.now() >= presented.expires_at:
            raise Unauthenticated("token_expired", "The refresh token has expired; sign in again.")
        standing, now = await self._find(presented), self._clock.now()
        if self._is_newer(standing):
            presented = await self._recognise_anew(text, standing)
        session = standing.session
        if recognise(session, self._claim(presented, standing)) is Admission.FOREIGN:
            raise NOT_THE_SESSIONS
        why = ending(standing, now)
        verdict = decide(
            session,
            presented.generation,
            ended=why is not None,
            now=now,
            policy=self.policy_of(standing),
            stepped=self._clock.stepped_since(session.rotated_at),
        )
        return JudgedRefresh(presented, standing, verdict, why, now)

    async def _carry_out(self, judged: JudgedRefresh, address: str | None) -> Standing:
        standing, now = judged.standing, judged.now
        session = standing.session
        match judged.verdict:
            case Verdict.ROTATED:
                successor = session.rotated(now=now, kid=self._keys.ring.active_root(session.project).kid)
                await self._store.apply(Change.replacing(session, successor))
                self._observer.count("refresh")
                return msgspec.structs.replace(standing, session=successor)
            case Verdict.REPEATED:
                self._observer.count("refresh_twin")
                return standing
            case Verdict.RENEWED:
                self._touches.note(session, now=now, grace=timedelta(0))
                self._observer.count("refresh")
                return standing
            case Verdict.ENDED:
                raise refuse_ended(standing, judged.why or Ending.REVOKED)
            case Verdict.UNSOUND_CLOCK:
                raise CLOCK_UNSOUND
            case Verdict.ROLLED_BACK:
                await self._confirm_rollback(judged.presented, now)
                raise Conflict("the row caught up")
            case Verdict.REUSED:
                await self._end_reused(session, EventType.REFRESH_REUSED, "reuse_detected", now, address)
                raise SUPERSEDED_REFRESH
            case Verdict.LOST:
                await self._end_reused(session, EventType.ROTATION_LOST, "rotation_lost", now, address)
                raise SUPERSEDED_REFRESH

    async def _end_reused(
        self, session: Session, what: EventType, reason: str, now: Instant, address: str | None
    ) -> None:
        place: Facts | None = None if address is None else {"address": address}
        await self._store.revoke([_revocation(session, what, reason, by=SESSIOND, now=now, data=place)])

    async def _confirm_rollback(self, presented: Presented, now: Instant) -> None:
        standing = await self._find(presented)
        if standing.session.generation < presented.generation:
            await self._alarm(presented, now)
            raise ROLLBACK

    # -- list and end -------------------------------------------------------------------------------------------

    async def get(self, project: ProjectId, session: SessionId) -> Standing:
        """Return the session with what its life depends on, or raise `NotFound` (`session_unknown`)."""
        standing = await self._store.find_session(project, session)
        if standing is None or standing.session.project != project:
            raise SESSION_UNKNOWN
        return standing

    async def managed(self, caller: Manager, session: SessionId) -> Standing:
        """Return the session as `get` does, if *caller* manages it; what it does not is as unknown as any other."""
        standing = await self.get(caller.project, session)
        if not manages(caller, standing.session.subject):
            raise SESSION_UNKNOWN
        return standing

    async def list_live(self, project: ProjectId, subject: SubjectId) -> Sequence[Session]:
        """Return all of the subject's live sessions, newest first."""
        now = self._clock.now()
        return await self._living(await self.rows(project, subject, live_at=now), now)

    async def list_page(
        self, project: ProjectId, subject: SubjectId, *, limit: int, before: SessionId | None = None
    ) -> tuple[Sequence[Session], SessionId | None]:
        """Return a page of the subject's live sessions, newest first, and the next page's *before*.

        A page holds at most *limit*, of ids below *before*; None for the next page's says that this was the last.
        """
        now = self._clock.now()
        rows = await self.rows(project, subject, live_at=now, limit=limit, before=before)
        return await self._living(rows, now), rows[-1].id if len(rows) == limit else None

    async def rows(
        self,
        project: ProjectId,
        subject: SubjectId,
        *,
        live_at: Instant | None = None,
        limit: int | None = None,
        before: SessionId | None = None,
    ) -> Sequence[Session]:
        """Return the subject's sessions as `Store.list_by_subject` does, which is told where they lie."""
        partition = self._keys.partition(project, subject)
        return await self._store.list_by_subject(
            project, subject, live_at=live_at, limit=limit, before=before, partition=partition
        )

    async def standings(self, rows: Sequence[Session]) -> Sequence[Standing]:
        """Return *rows*, all of one project, each with what its life depends on.

        What they share is read once, at one instant; an impersonation is read anew, with who acts.
        """
        if not rows:
            return ()
        one_of_each = {row.subject: row for row in rows}.values()
        keys = [subject_key(row.project, row.subject, row.key.partition) for row in one_of_each]
        found = await self._store.get_many([project_key(rows[0].project), deployment_key(), *keys])
        project = found[0] if isinstance(found[0], Project) else None
        deployment = found[1] if isinstance(found[1], Deployment) else None
        subjects = {record.id: record for record in found[2:] if isinstance(record, Subject)}
        standings = [Standing(row, subjects.get(row.subject), project, deployment) for row in rows]
        return [each if each.session.actor is None else await self._with_actor(each) for each in standings]

    async def _living(self, rows: Sequence[Session], now: Instant) -> Sequence[Session]:
        standings = await self.standings(rows)
        return [each.session for each in standings if ending(each, now) is None]

    async def _with_actor(self, standing: Standing) -> Standing:
        row = standing.session
        if row.actor is None or row.actor.subject is None:
            return standing
        return await self._store.find_session(row.project, row.id) or standing

    async def revoke(self, session: Session, *, reason: str, by: Initiator) -> Session | None:
        """End one session; ending twice keeps the first reason. Durable, and seen by every verify, on return."""
        now = self._clock.now()
        ended = await self._store.revoke(
            [_revocation(session, EventType.SESSION_REVOKED, reason, by=by, now=now)]
        )
        return ended[0]

    async def end_presented(
        self, text: str, *, project: ProjectId | None, address: str | None, by: Initiator | None = None
    ) -> None:
        """End the session that an access or refresh token is about; a text that means nothing here has no effect.

        *project* given: its own sessions only. *by* None: the token's holder, at *address*. A superseded token may
        still end its session, never use it; not so a JWT, whose `jti` can be checked for the latest generations only.
        """
        try:
            session = await self._presented_session(text, project)
        except Unauthenticated as refusal:
            refusal.forget_where()
            return
        if session is not None:
            reason = "signed_out" if by is None else "revoked"
            await self.revoke(session, reason=reason, by=by or holder_of(session, address))

    async def _presented_session(self, text: str, project: ProjectId | None) -> Session | None:
        presented, now = await self.recognise(text), self._clock.now()
        foreign = project is not None and presented.project != project
        if foreign or presented.form in _ENDS_NOTHING or now >= presented.expires_at:
            return None
        standing = await self._find(presented)
        if self._is_newer(standing):
            presented = await self._recognise_anew(text, standing)
        admission = recognise(standing.session, self._claim(presented, standing))
        genuine = admission in _RECENT or (admission is Admission.SUPERSEDED and presented.nonce is not None)
        return standing.session if genuine and ending(standing, now) is None else None


def _revocation(
    session: Session,
    what: EventType,
    reason: str,
    *,
    by: Initiator,
    now: Instant,
    data: Facts | None = None,
) -> Revocation:
    return Revocation(
        project=session.project,
        session=session.id,
        reason=reason,
        at=now,
        event=session_event(session, what, by=by, now=now, reason=reason, data=data),
    )
