"""A deployment on SQLite with as many sessions as are asked for, written into its file with the engine's own encoders.

A session is what a create by an application writes that tells its user's address and user agent, and every fourth
brings its subject. Events are left out: a long tail that nobody has read would keep their consumers busy. Indexes are
made at the end, so that a million sessions take some ten seconds.
"""

from __future__ import annotations

import random
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench.ours import SERVER_KEY
from sessiond.bootstrap.opening import Opened, open_deployment
from sessiond.config.loading import load
from sessiond.crypto.tokens import TokenKind
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SessionId, SubjectId, mint_id
from sessiond.domain.instants import Instant, unix_seconds
from sessiond.domain.projects import Deployment, Project, deployment_key, project_key
from sessiond.domain.sessions import Client, Epochs, Session, SessionKind
from sessiond.domain.subjects import Subject
from sessiond.services.keys import Keys
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite.rows import RECORD_COLUMNS, SESSION_COLUMNS, Row, record_row, session_row

CROWD_SESSIONS = 1000
"""How many sessions the subject `CROWD` has, where there are as many."""

CROWD = SubjectId("crowd")
_SESSIONS_PER_SUBJECT = 4
_DAY: Instant = 24 * 3_600_000
_LIFETIME = 30 * _DAY
_OLDEST = 25 * _DAY
_OLDEST_ENDED = 60 * _DAY
_SAMPLE = 120_000
_CLIENT = Client(
    address="203.0.113.77",
    user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
)
_VARYING = {
    "id": "?1",
    "subject": "?2",
    "nonce": "?3",
    "expires_at": f"?4 + {_LIFETIME}",
    **dict.fromkeys(("created_at", "authenticated_at", "last_seen_at", "rotated_at"), "?4"),
}
"""The columns in which sessions differ; `_Varying` has the values."""

_Varying = tuple[SessionId, SubjectId, bytes, Instant]


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that was filled: where it lies, and of its live sessions a random sample."""

    data: Path
    sessions: int
    subjects: Sequence[str]
    access_tokens: Sequence[str]
    refresh_tokens: Sequence[str]

    @property
    def database(self) -> Path:
        """The file."""
        return self.data / "sessiond.db"


async def open_at(data: Path) -> Opened:
    """Open the deployment in *data* as a server does, or make it."""
    environ = {"SESSIOND_SERVER_KEY": SERVER_KEY}
    return await open_deployment(load(flags={"data_dir": str(data)}, environ=environ), Role.SERVER)


async def fill(data: Path, sessions: int, *, ended: int = 0) -> Loaded:
    """Make a deployment in *data* with so many live *sessions*, and so many *ended* ones that a purge may remove."""
    opened = await open_at(data)
    try:
        found = await opened.store.get_many([project_key(DEFAULT_PROJECT), deployment_key()])
    finally:
        await opened.close()
    filling = Filling(opened.services.keys, sessions, _epochs(*found), now=opened.clock.now())
    database = sqlite3.connect(data / "sessiond.db", isolation_level=None)
    try:
        _write(database, filling, ended)
    finally:
        database.close()
    return filling.told(data)


class Filling:
    """The rows of one deployment: the same in every run, but for what its keys decide."""

    def __init__(self, keys: Keys, sessions: int, epochs: Epochs, *, now: Instant) -> None:
        self._keys = keys
        self._sessions = sessions
        self._now = now
        self._epochs = epochs
        self._kid = keys.ring.active_root(DEFAULT_PROJECT).kid
        self._subjects = max(1, sessions // _SESSIONS_PER_SUBJECT)
        self._partitions = array("H")
        self._draw = random.Random(sessions)  # noqa: S311  no secret
        self._sampled = set(self._draw.sample(range(sessions), min(_SAMPLE, sessions)))
        self._sample: list[_Varying] = []

    def subject_rows(self) -> Iterator[Row]:
        """Yield the subjects; they come first."""
        for number in range(self._subjects):
            partition = self._keys.partition(DEFAULT_PROJECT, self._name(number))
            self._partitions.append(partition)
            yield self._subject_row(self._name(number), partition)
        yield self._subject_row(CROWD, self._keys.partition(DEFAULT_PROJECT, CROWD))

    def template(self) -> Row:
        """Return the row of a session, with nothing of its own."""
        session = Session(
            id=SessionId(bytes(16)),
            project=DEFAULT_PROJECT,
            subject=CROWD,
            session_kind=SessionKind.TOKENS,
            created_at=0,
            authenticated_at=0,
            last_seen_at=0,
            expires_at=0,
            client=_CLIENT,
            nonce=bytes(16),
            kid=self._kid,
            rotated_at=0,
            epochs=self._epochs,
        )
        return session_row(session)

    def sessions(self, ended: int) -> Iterator[_Varying]:
        """Yield *ended* sessions, over for a month, then the live ones, in the order of their ids."""
        for number in range(ended):
            yield self._somebodys(self._now - _OLDEST_ENDED + number * _DAY // ended)
        every, crowded = max(1, self._sessions // CROWD_SESSIONS), 0
        partition = self._keys.partition(DEFAULT_PROJECT, CROWD)
        for number in range(self._sessions):
            born = self._now - _OLDEST + number * (_OLDEST - _DAY) // self._sessions
            if number % every == 0 and crowded < CROWD_SESSIONS:
                crowded += 1
                made = self._made(born, CROWD, partition)
            else:
                made = self._somebodys(born)
            if number in self._sampled:
                self._sample.append(made)
            yield made

    def told(self, data: Path) -> Loaded:
        """Return what was filled, after it was."""
        self._draw.shuffle(self._sample)
        return Loaded(
            data=data,
            sessions=self._sessions,
            subjects=[subject for _, subject, _, _ in self._sample],
            access_tokens=list(self._tokens(TokenKind.ACCESS)),
            refresh_tokens=list(self._tokens(TokenKind.REFRESH)),
        )

    def _name(self, number: int) -> SubjectId:
        """Names are spread over all that could be, in the order of their numbers."""
        return SubjectId(f"{number * (2**64 // self._subjects):016x}")

    def _subject_row(self, name: SubjectId, partition: Partition) -> Row:
        subject = Subject(
            project=DEFAULT_PROJECT,
            id=name,
            partition=partition,
            epoch=self._epochs.subject,
            created_at=self._now - _OLDEST_ENDED,
        )
        return record_row(subject, subject.key)

    def _somebodys(self, born: Instant) -> _Varying:
        number = int(self._draw.random() * self._subjects)
        return self._made(born, self._name(number), Partition(self._partitions[number]))

    def _made(self, born: Instant, name: SubjectId, partition: Partition) -> _Varying:
        entropy = self._draw.randbytes(24)
        return mint_id(now=born, partition=partition, entropy=entropy[:8]), name, entropy[8:], born

    def _tokens(self, kind: TokenKind) -> Iterator[str]:
        mint = self._keys.ring.mint(self._kid, kind)
        exp = unix_seconds(self._now + _DAY)
        for session, _, nonce, _ in self._sample:
            yield mint.token(session=session, nonce=nonce, generation=0, exp=exp)


def _epochs(project: object, deployment: object) -> Epochs:
    if not isinstance(project, Project) or not isinstance(deployment, Deployment):
        raise TypeError("the deployment has no control records")
    return Epochs(deployment.epoch, project.epoch, 0)


def _write(database: sqlite3.Connection, filling: Filling, ended: int) -> None:
    database.execute("PRAGMA journal_mode = OFF")  # an unfinished file is thrown away
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -1000000")
    database.execute("BEGIN")
    made_later = database.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in made_later:
        database.execute(f"DROP INDEX {name}")
    marks = ", ".join("?" * len(RECORD_COLUMNS))
    database.executemany(
        f"INSERT INTO records ({', '.join(RECORD_COLUMNS)}, stamp) VALUES ({marks}, random())",  # noqa: S608
        filling.subject_rows(),
    )
    database.executemany(_insert_session(database, filling.template()), filling.sessions(ended))
    for _, sql in made_later:
        database.execute(sql)
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode = WAL")


def _insert_session(database: sqlite3.Connection, template: Row) -> str:
    """Return the insert that takes what varies and has all else in itself: a third of the time of binding it."""
    values = [
        _VARYING.get(column) or database.execute("SELECT quote(?)", (value,)).fetchone()[0]
        for column, value in zip(SESSION_COLUMNS, template, strict=True)
    ]
    return f"INSERT INTO sessions ({', '.join(SESSION_COLUMNS)}) VALUES ({', '.join(values)})"  # noqa: S608
