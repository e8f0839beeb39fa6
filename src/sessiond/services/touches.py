"""Last use, written behind: verifying never writes, what it saw is handed on here and written in batches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import SessionId
from sessiond.domain.instants import Instant, millis
from sessiond.domain.sessions import Session
from sessiond.services.ports import Store, Touch

_RARELY_MS = 60_000
_BOUND = 100_000
_PORTION = 500


class Touches:
    """Collects what verifies saw.

    A session is written at most once a minute (a tenth of its idle limit when that is shorter), and at the next
    flush when the sight confirms a rotation within its grace. A touch that is lost makes the reuse rule more
    lenient, never beyond the grace, and an idle limit up to a minute early.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[SessionId, Touch] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, session: Session, *, now: Instant, grace: timedelta) -> None:
        """Note that an access token of the session's current generation was verified *now*."""
        confirms = session.seen_generation < session.generation and now <= session.rotated_at + millis(grace)
        if not confirms and now - session.last_seen_at < _interval(session):
            return
        if len(self._waiting) < _BOUND or session.id in self._waiting:
            self._waiting[session.id] = Touch(
                project=session.project, session=session.id, seen_at=now, generation=session.generation
            )

    @staticmethod
    def quiet_until(session: Session) -> Instant:
        """Return the instant until which `note` has nothing to write for this session; 0 while it has now."""
        if session.seen_generation < session.generation:
            return 0
        return session.last_seen_at + _interval(session)

    async def flush(self) -> int:
        """Write what was noted and return how many; what the store refuses now is kept for the next flush."""
        if not self._waiting:
            return 0
        batch, self._waiting = self._waiting, {}
        written = 0
        try:
            for portion in _portions(list(batch.values())):
                await self._store.touch(portion)
                written += len(portion)
        except Unavailable:
            self._waiting = dict(list(batch.items())[written:]) | self._waiting
        return written


def _portions(touches: list[Touch]) -> Iterator[list[Touch]]:
    """Yield *touches* in portions, so that no write of requests waits long behind them."""
    for start in range(0, len(touches), _PORTION):
        yield touches[start : start + _PORTION]


def _interval(session: Session) -> int:
    idle = session.idle_timeout_ms
    return _RARELY_MS if idle is None else min(_RARELY_MS, idle // 10)
