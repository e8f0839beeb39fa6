"""Batched reads: everything that is asked while a batch is on its way is the next one, a statement of one instant.

Every standing is read anew each time. What was made of a row is kept beside it, so that an equal row, read again, need
not be decoded again; decoding was two thirds of what a verify cost here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from sessiond.domain.ids import ProjectId, SessionId
from sessiond.domain.projects import Deployment, Project
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Standing
from sessiond.domain.subjects import Subject
from sessiond.storage.batching import Outcome
from sessiond.storage.cache import Recent
from sessiond.storage.engines.postgresql.connections import Connections
from sessiond.storage.engines.postgresql.operations import Fetch, Seek
from sessiond.storage.engines.postgresql.rows import (
    Row,
    key_row,
    project_bytes,
    record_from,
    session_from,
    wanted_session,
)

_MOST_CONTROL_RECORDS = 1000
_MOST_DECODED = 20_000

_ANSWER = "session, acting, subject, actor, project_stamp, deployment_stamp, project, deployment"
"""What is read for a session in which another acts, or of which a control record is not known yet."""

_ACTED, _SUBJECT, _PROJECT_STAMP, _DEPLOYMENT_STAMP = 12, 13, 14, 15
"""The places in a row of `find_standings_of` after those of the session itself."""


class _Decoded(NamedTuple):
    """A row of `find_standings_of`, and what was made of it."""

    row: Row
    standing: Standing


class Reads:
    """Answers batches of questions. Knows the control records by their stamps, as their bodies are large."""

    def __init__(self, connections: Connections, schema: str) -> None:
        self._connections = connections
        self._stand = f"SELECT * FROM {schema}.find_standings_of($1)"  # noqa: S608  a checked name
        self._find = f"SELECT {_ANSWER} FROM {schema}.find_sessions($1, true)"  # noqa: S608
        self._get = f"SELECT * FROM {schema}.find_records($1)"  # noqa: S608
        self._get_bodies = f"SELECT * FROM {schema}.find_bodies($1)"  # noqa: S608
        # No record has the stamp None.
        self._known: _Known = {None: None}
        self._decoded: Recent[SessionId, _Decoded] = Recent(_MOST_DECODED)

    async def standings(self, questions: Sequence[Seek]) -> Sequence[Outcome]:
        """Return each session with everything its life depends on, None where there is none."""
        if len(self._known) > _MOST_CONTROL_RECORDS:
            self._known = {None: None}
        known = self._known
        asked: dict[ProjectId, dict[SessionId, None]] = {}
        for each in questions:
            asked.setdefault(each.project, {})[each.session] = None
        found: dict[SessionId, Standing] = {}
        others: set[SessionId] = set()
        wanted = [(project_bytes(project), b"".join(sessions)) for project, sessions in asked.items()]
        for row in await self._connections.fetch(self._stand, wanted, repeatable=True):
            session = row[0]
            decoded = self._decoded.get(session)
            if decoded is not None and decoded.row == row:
                found[session] = decoded.standing
            elif not row[_ACTED] and row[_PROJECT_STAMP] in known and row[_DEPLOYMENT_STAMP] in known:
                standing = found[session] = _own_standing(known, row, decoded)
                self._decoded.put(session, _Decoded(row, standing))
            else:
                others.add(session)
        if others:
            rest = [
                wanted_session(project, session)
                for project, sessions in asked.items()
                for session in sessions.keys() & others
            ]
            for row in await self._connections.fetch(self._find, rest, repeatable=True):
                _learn(known, row)
                found[row[0][0]] = _assembled(known, row)
        return [_of_project(found.get(each.session), each.project) for each in questions]

    async def records(self, questions: Sequence[Fetch]) -> Sequence[Outcome]:
        """Return for each its records in their order, all of one instant, None where absent.

        What several ask for, as all who create do for the project, is read once.
        """
        keys = list(dict.fromkeys(key for question in questions for key in question.wanted))
        wanted = [key_row(n, key) for n, key in enumerate(keys)]
        found: dict[Key, Record] = {}
        if any(key.kind is Kind.SESSION for key in keys):
            for n, session, body in await self._connections.fetch(self._get, wanted, repeatable=True):
                if session is not None:
                    found[keys[n]] = session_from(session)
                elif body is not None:
                    found[keys[n]] = record_from(keys[n].kind, body)
        else:
            for n, body in await self._connections.fetch(self._get_bodies, wanted, repeatable=True):
                found[keys[n]] = record_from(keys[n].kind, body)
        return [[found.get(key) for key in question.wanted] for question in questions]


_Known = dict[bytes | None, Record | None]


def _of_project(standing: Standing | None, project: ProjectId) -> Standing | None:
    """Return the standing if it is of *project*: a session may have been asked for under another one, too."""
    return standing if standing is not None and standing.session.project == project else None


def _learn(known: _Known, row: Row) -> None:
    _, _, _, _, project_stamp, deployment_stamp, project, deployment = row
    if project_stamp is not None:
        known[project_stamp] = record_from(Kind.PROJECT, project)
    if deployment_stamp is not None:
        known[deployment_stamp] = record_from(Kind.DEPLOYMENT, deployment)


def _own_standing(known: _Known, row: Row, former: _Decoded | None) -> Standing:
    if former is not None and former.row[_SUBJECT] == row[_SUBJECT]:
        subject = former.standing.subject  # as after most refreshes
    else:
        subject = _subject(row[_SUBJECT])
    return Standing(
        session=session_from(row),
        subject=subject,
        project=cast("Project | None", known[row[_PROJECT_STAMP]]),
        deployment=cast("Deployment | None", known[row[_DEPLOYMENT_STAMP]]),
    )


def _assembled(known: _Known, row: Row) -> Standing:
    session, acting, subject, actor, project_stamp, deployment_stamp, _, _ = row
    return Standing(
        session=session_from(session),
        subject=_subject(subject),
        project=cast("Project | None", known[project_stamp]),
        deployment=cast("Deployment | None", known[deployment_stamp]),
        actor=_subject(actor),
        acting=session_from(acting) if acting is not None else None,
    )


def _subject(body: str | None) -> Subject | None:
    return cast("Subject", record_from(Kind.SUBJECT, body)) if body is not None else None
