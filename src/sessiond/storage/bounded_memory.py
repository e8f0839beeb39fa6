"""Standings that memory may answer although others write: while a feed shows that they are at most so old.

An engine that nodes share drops what its feed tells to have changed, and reports each heartbeat that came back; when
memory may answer then is said by `sessiond.domain.freshness`. What was read while a change of it was told is not kept:
the answer may have been on its way before the change, and nobody would tell it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator

from sessiond.domain.freshness import Staleness, answers_until
from sessiond.domain.ids import ProjectId, SessionId
from sessiond.domain.records import Key, Kind
from sessiond.domain.sessions import Standing, session_key
from sessiond.domain.subjects import subject_key
from sessiond.storage.cache import Recent, StandingCache

Monotonic = Callable[[], float]
"""This machine's monotonic clock, in seconds."""

BEATS_IN_A_BOUND = 4
LONGEST_PAUSE_SECONDS = 1.0
SHORTEST_WAIT_SECONDS = 1.0
RECONNECT_SECONDS = 0.5

_LOG = logging.getLogger("sessiond.storage.feed")
_NEVER = float("-inf")
_Changed = tuple[Kind, ProjectId | None, bytes]


class Reading:
    """A read that is on its way since *sent_at*, and what was told to have changed meanwhile."""

    def __init__(self, sent_at: float, *, is_covered: bool) -> None:
        self.sent_at = sent_at
        self.is_covered = is_covered
        """Whether every change since it was sent has been told."""
        self.overtaken: set[_Changed] = set()


class BoundedMemory:
    """About *limit* standings, none of them older than *bound* seconds when it is answered.

    *tells_all* says of the feed that it loses no change while it lasts and tells them in the order of commits.
    """

    def __init__(
        self, limit: int, *, bound: float, tells_all: bool, monotonic: Monotonic = time.monotonic
    ) -> None:
        self.monotonic = monotonic
        self.bound = bound
        self._tells_all = tells_all
        self._cache = StandingCache(limit)
        self._read_at: Recent[SessionId, float] = Recent(limit)
        self._open: set[Reading] = set()
        self._heard_at = _NEVER
        self._until = _NEVER

    @property
    def sessions_known(self) -> int:
        """How many sessions it may answer for while the feed is heard."""
        return len(self._cache)

    @property
    def pause(self) -> float:
        """How many seconds lie between two heartbeats."""
        return min(self.bound / BEATS_IN_A_BOUND, LONGEST_PAUSE_SECONDS)

    @property
    def patience(self) -> float:
        """How many seconds a heartbeat may take: one that comes back later than the bound is of no use."""
        return max(self.bound, SHORTEST_WAIT_SECONDS)

    def get(self, project: ProjectId, session: SessionId) -> Standing | None:
        """Return the standing of *session* if it is known and fresh enough."""
        now = self.monotonic()
        if now > self._until:
            return None
        if not self._tells_all:
            read_at = self._read_at.get(session)
            if read_at is None or now > self._until_of(read_at):
                return None
        return self._cache.get(project, session)

    def staleness(self) -> Staleness:
        """Return how old an answer may be, and is at most."""
        age = None if self._heard_at == _NEVER else max(0.0, self.monotonic() - self._heard_at)
        return Staleness(bound_seconds=self.bound, measured_seconds=age)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Reading]:
        """Begin a read that may be kept; enter this before anything of it is sent."""
        reading = Reading(self.monotonic(), is_covered=self._heard_at != _NEVER)
        self._open.add(reading)
        try:
            yield reading
        finally:
            self._open.discard(reading)

    def keep(self, reading: Reading, standing: Standing) -> None:
        """Remember what *reading* found, unless a change of it was told meanwhile."""
        if not reading.is_covered or not reading.overtaken.isdisjoint(_stands_on(standing)):
            return
        self._cache.put(standing)
        if not self._tells_all:
            self._read_at.put(standing.session.id, reading.sent_at)

    def heard(self, sent_at: float) -> None:
        """Take note that the heartbeat of *sent_at* came back, after everything that was told before it."""
        if self._heard_at == _NEVER:
            _LOG.info("the change feed is heard: verifies may be answered from memory")
        self._heard_at = max(self._heard_at, sent_at)
        self._until = self._until_of(self._heard_at)

    def lose(self) -> None:
        """Forget everything: the feed was interrupted, and what changes now is told to nobody."""
        self._heard_at = self._until = _NEVER
        self._cache.clear()
        self._read_at.clear()
        for reading in self._open:
            reading.is_covered = False

    def drop(self, kind: Kind, project: ProjectId, identifier: bytes) -> None:
        """Forget what depends on this record, which has changed or gone."""
        self._cache.drop(kind, project, identifier)
        for reading in self._open:
            if kind in {Kind.PROJECT, Kind.DEPLOYMENT}:
                reading.is_covered = False
            reading.overtaken.add(_changed(kind, project, identifier))

    def drop_keys(self, keys: Iterable[Key]) -> None:
        """Forget what one of our own writes changed, or may have changed."""
        for key in keys:
            self.drop(key.kind, key.project, key.id)

    def _until_of(self, read_at: float) -> float:
        return answers_until(
            read_at=read_at, heard_at=self._heard_at, tells_all=self._tells_all, bound=self.bound
        )


async def follow_again_and_again(
    follow: Callable[[], Awaitable[None]], why: Callable[[Exception], str | None]
) -> None:
    """Follow a feed, and once it fails, anew; *why* says in words what was foreseen, None what was not.

    An outage is told once, however many attempts it takes.
    """
    told = None
    while True:
        started = time.monotonic()
        try:
            await follow()
        except Exception as error:  # noqa: BLE001  a feed that ended without a word would never be heard again
            words = why(error)
            if words is None:
                _LOG.exception("the change feed failed")
            elif words != told or time.monotonic() - started > LONGEST_PAUSE_SECONDS:
                _LOG.warning("the change feed is interrupted, every verify reads the database: %s", words)
            told = words
        await asyncio.sleep(RECONNECT_SECONDS)


def _stands_on(standing: Standing) -> Iterator[_Changed]:
    """Yield the records that change by themselves; project and deployment overtake every read."""
    found, actor = standing.session, standing.session.actor
    keys = [found.key, subject_key(found.project, found.subject, found.key.partition)]
    if actor is not None and actor.subject is not None and actor.partition is not None:
        keys.append(subject_key(found.project, actor.subject, actor.partition))
    if actor is not None and actor.session is not None:
        keys.append(session_key(found.project, actor.session))
    for key in keys:
        yield _changed(key.kind, key.project, key.id)


def _changed(kind: Kind, project: ProjectId, identifier: bytes) -> _Changed:
    """Return what names a changed record: a session's id is enough, and all that a feed tells of one."""
    return kind, None if kind is Kind.SESSION else project, identifier
