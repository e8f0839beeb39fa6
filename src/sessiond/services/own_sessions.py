"""A subject's own sessions, asked for with one of them: nobody reaches another subject's, nor learns that it exists."""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.domain.endings import ending, refuse_ended
from sessiond.domain.events import EventType
from sessiond.domain.ids import SessionId, id_text
from sessiond.domain.impersonation import check_own
from sessiond.domain.initiators import Initiator
from sessiond.domain.namesakes import is_formers
from sessiond.domain.projects import EPOCH_ENTROPY, draw_epoch
from sessiond.domain.sessions import INVALID, Session, Standing
from sessiond.services.changing import Changing
from sessiond.services.contention import Contention
from sessiond.services.ports import Change, Clock, Entropy, Store
from sessiond.services.sessions import SESSION_UNKNOWN, Sessions


class OwnSessions:
    """What the holder of a session may do with it and with the subject's other ones.

    Changes are `Forbidden` (`impersonated`) where it is not the subject who holds it.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        *,
        sessions: Sessions,
        changing: Changing,
        contention: Contention,
    ) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._sessions = sessions
        self._changing = changing
        self._contention = contention

    async def get(self, holder: Session, session: SessionId) -> Standing:
        """Return a session of the holder's subject, ended or not, or raise `NotFound` (`session_unknown`).

        Another subject's, a former namesake's, another project's and an unknown one are the same: one read, one answer.
        """
        standing = await self._sessions.get(holder.project, session)
        if standing.session.subject != holder.subject or is_formers(standing):
            raise SESSION_UNKNOWN
        return standing

    async def list_page(
        self, holder: Session, *, limit: int, before: SessionId | None = None
    ) -> tuple[Sequence[Session], SessionId | None]:
        """Return a page of the live sessions of the holder's subject, as `Sessions.list_page` does."""
        return await self._sessions.list_page(holder.project, holder.subject, limit=limit, before=before)

    async def rename(
        self, holder: Session, session: SessionId, name: str | None, *, by: Initiator
    ) -> Standing:
        """Call the client of one of the subject's sessions *name*, or nothing."""
        check_own(holder)
        standing = await self.get(holder, session)
        return await self._changing.rename(standing.session, name, by=by)

    async def end(self, holder: Session, session: SessionId, *, reason: str, by: Initiator) -> None:
        """End one of the subject's sessions; again is no error. Who acts in the subject's place ends the own only."""
        if session != holder.id:
            check_own(holder)
        standing = await self.get(holder, session)
        await self._sessions.revoke(standing.session, reason=reason, by=by)

    async def end_others(
        self, holder: Session, *, reason: str = "signed_out_elsewhere", by: Initiator
    ) -> None:
        """End all of the subject's sessions but the holder's, in one write.

        The subject gets a new epoch, and the holder's session is taken along: whatever is issued meanwhile under the
        old one is ended, too. Raises `Unauthenticated` if the holder's session ended meanwhile.
        """
        check_own(holder)
        epoch = draw_epoch(self._entropy.bytes(EPOCH_ENTROPY))

        async def attempt() -> None:
            now, standing = self._clock.now(), await self._held(holder)
            why, subject, kept = ending(standing, now), standing.subject, standing.session
            if why is not None or subject is None:
                raise INVALID if why is None else refuse_ended(standing, why)
            event = by.did(
                EventType.SUBJECT_SESSIONS_REVOKED,
                at=now,
                partition=subject.partition,
                project=subject.project,
                subject=subject.id,
                data={"kept": id_text(kept.id), "reason": reason},
            )
            await self._store.apply(
                Change(
                    partition=subject.partition,
                    expects={subject.key: subject.version, kept.key: kept.version},
                    puts=[subject.with_epoch(epoch, now=now, reason=reason, by=by.label), kept.under(epoch)],
                    events=[event],
                )
            )

        await self._contention.settle((holder.project, holder.subject), attempt)

    async def _held(self, holder: Session) -> Standing:
        standing = await self._store.find_session(holder.project, holder.id)
        if standing is None:
            raise INVALID
        return standing
