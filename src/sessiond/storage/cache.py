"""Standings kept in memory, bounded. Whether they may still be trusted is the engine's knowledge, not the cache's."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

import msgspec

from sessiond.domain.endings import ended_alone
from sessiond.domain.ids import ProjectId, SessionId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Kind
from sessiond.domain.sessions import Session, Standing
from sessiond.domain.subjects import Subject
from sessiond.services.ports import Touch

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_NO_PROFILE: Mapping[str, object] = {}


class _Young(dict[K, V]):
    """The entries used last. One of the *old* that is asked for is used again: *put* puts it here."""

    def __init__(self, put: Callable[[K, V], None]) -> None:
        super().__init__()
        self.old: dict[K, V] = {}
        self._put = put

    def __missing__(self, key: K) -> V | None:
        value = self.old.pop(key, None) if self.old else None
        if value is not None:
            self._put(key, value)
        return value


class Recent(Generic[K, V]):
    """A dictionary of about the *limit* entries used last: a young half, and an old one that it replaces when full."""

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._young: _Young[K, V] = _Young(self.put)
        self.get: Callable[[K], V | None] = self._young.__getitem__
        """Return the value at *key*, which was thereby used."""

    def __len__(self) -> int:
        return len(self._young) + len(self._young.old)

    def __contains__(self, key: K) -> bool:
        return key in self._young or key in self._young.old

    def put(self, key: K, value: V) -> None:
        """Keep *value* at *key*."""
        if len(self._young) >= self._half:
            self._young.old = dict(self._young)
            self._young.clear()
        self._young[key] = value

    def drop(self, key: K) -> None:
        """Forget *key*."""
        self._young.pop(key, None)
        self._young.old.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._young.clear()
        self._young.old.clear()


class StandingCache:
    """Standings by session, each good only as long as its subject, actor and actor's session are those that are kept.

    Only complete standings are kept, so that nothing that is merely added can overtake one. A session that was just
    made, or listed, has none yet: *completed* tells what it stands on once it is asked for, or None where only a read
    can tell. Of those, which nobody may ever ask for, only the newest quarter of *limit* are kept.
    """

    def __init__(self, limit: int, completed: Callable[[Session], Standing | None] = lambda _: None) -> None:
        self._completed = completed
        self._standings: Recent[SessionId, Standing] = Recent(limit)
        self._newborn: Recent[SessionId, Session] = Recent(limit // 4)
        self._subjects: Recent[tuple[ProjectId, SubjectId], Subject] = Recent(limit)
        self.subject = self._subjects.get
        """Return what is known of a subject, by its project and id."""
        self._acting: Recent[SessionId, Session] = Recent(limit)

    def __len__(self) -> int:
        return len(self._standings)

    def get(self, project: ProjectId, session: SessionId) -> Standing | None:
        """Return the standing of *session*, or None."""
        standing = self._standings.get(session) or self._complete(session)
        if standing is None:
            return None
        found, actor = standing.session, standing.actor
        home = found.project
        if home != project or self._subjects.get((home, found.subject)) is not standing.subject:
            return None
        return standing if actor is None or self._still_acts(home, actor, standing.acting) else None

    def seen(self, session: SessionId) -> Session | None:
        """Return *session* as it was last seen, for those who find out themselves whether it still is so."""
        standing = self._standings.get(session)
        return self._newborn.get(session) if standing is None else standing.session

    def all_seen(
        self,
        sessions: Iterable[SessionId],
        *,
        live_at: Instant | None,
        limit: int | None,
        doubtful: Container[SessionId],
    ) -> list[Session] | None:
        """Return the first *limit* of *sessions* that have not ended alone by *live_at*, as they were last seen.

        None where one is unknown, or *doubtful*, before there are as many.
        """
        found: list[Session] = []
        left, standing_of, newborn_of = limit, self._standings.get, self._newborn.get
        for identifier in sessions:
            if left == 0:
                break
            standing = standing_of(identifier)
            session = newborn_of(identifier) if standing is None else standing.session
            if session is None or identifier in doubtful:
                return None
            if live_at is None or ended_alone(session, live_at) is None:
                found.append(session)
                left = None if left is None else left - 1
        return found

    def put(self, standing: Standing) -> Standing | None:
        """Keep *standing* if it is complete, and return it as it is kept."""
        found, subject, actor, acting = standing.session, standing.subject, standing.actor, standing.acting
        if subject is None or standing.project is None or standing.deployment is None:
            return None
        acts = found.actor is not None and found.actor.subject is not None
        if acts and (actor is None or acting is None):
            return None
        kept = Standing(
            session=found,
            subject=self.keep_subject(subject, found.project, found.subject),
            project=standing.project,
            deployment=standing.deployment,
            actor=self.keep_subject(actor, found.project, actor.id) if actor is not None else None,
            acting=self._shared_session(acting) if acting is not None else None,
        )
        self._standings.put(found.id, kept)
        self._newborn.drop(found.id)
        return kept

    def welcome(self, sessions: Iterable[Session]) -> None:
        """Keep sessions that were just made, or read by themselves, unless their standings are: each has one place."""
        for session in sessions:
            if session.id not in self._standings:
                self._newborn.put(session.id, session)

    def replace(self, successor: Session) -> None:
        """Take over a session that was written over the version that is kept, with all else as it stands; or forget it.

        A touch moves no version: where the row was seen later than *successor* says, only a read can tell.
        """
        identifier, standing = successor.id, self._standings.get(successor.id)
        former = self._newborn.get(identifier) if standing is None else standing.session
        if (
            former is None
            or successor.revoked_at is not None
            or former.version != successor.version - 1
            or former.last_seen_at > successor.last_seen_at
            or former.seen_generation > successor.seen_generation
        ):
            self.drop(Kind.SESSION, successor.project, identifier)
        else:
            self._acting.drop(identifier)
            self._know(successor, standing)

    def touch(self, touch: Touch) -> None:
        """Take over that a session was seen, as its row did; what it acts in stands on how it was, and is forgotten."""
        identifier, standing = touch.session, self._standings.get(touch.session)
        session = self._newborn.get(identifier) if standing is None else standing.session
        self._acting.drop(identifier)
        if session is None or session.project != touch.project:
            return
        self._know(session.touched(seen_at=touch.seen_at, generation=touch.generation), standing)

    def _know(self, session: Session, standing: Standing | None) -> None:
        """Keep *session* in the place of the same one, which is kept with its *standing*, or by itself."""
        if standing is None:
            self._newborn.put(session.id, session)
        else:
            self._standings.put(session.id, msgspec.structs.replace(standing, session=session))

    def keep_subject(self, subject: Subject, project: ProjectId, identifier: SubjectId) -> Subject:
        """Keep *subject* and return it as it is kept: one for all its sessions.

        Its names are kept as *project* and *identifier*: texts that others keep, too, as they do an empty profile.
        """
        known = self._subjects.get((project, identifier))
        if known == subject:
            return known
        kept = msgspec.structs.replace(
            subject, project=project, id=identifier, profile=subject.profile or _NO_PROFILE
        )
        self._subjects.put((project, identifier), kept)
        return kept

    def drop(self, kind: Kind, project: ProjectId, identifier: bytes) -> None:
        """Forget what depends on this record, which has changed or gone."""
        match kind:
            case Kind.SESSION:
                self._standings.drop(SessionId(identifier))
                self._newborn.drop(SessionId(identifier))
                self._acting.drop(SessionId(identifier))
            case Kind.SUBJECT:
                self._subjects.drop((project, SubjectId(identifier.decode())))
            case Kind.PROJECT | Kind.DEPLOYMENT:
                self._standings.clear()
                self._newborn.clear()
            case _:
                pass

    def drop_acting(self, session: SessionId) -> None:
        """Forget whatever *session* acts in."""
        self._acting.drop(session)

    def clear(self) -> None:
        """Forget everything."""
        self._standings.clear()
        self._newborn.clear()
        self._subjects.clear()
        self._acting.clear()

    def _complete(self, session: SessionId) -> Standing | None:
        newborn = self._newborn.get(session)
        standing = None if newborn is None else self._completed(newborn)
        return None if standing is None else self.put(standing)

    def _still_acts(self, project: ProjectId, actor: Subject, acting: Session | None) -> bool:
        known = self._subjects.get((project, actor.id))
        return known is actor and acting is not None and self._acting.get(acting.id) is acting

    def _shared_session(self, acting: Session) -> Session:
        """Return the kept session of an actor where it is equal, so that all that it acts in stand on the same one."""
        known = self._acting.get(acting.id)
        if known == acting:
            return known
        self._acting.put(acting.id, acting)
        return acting
