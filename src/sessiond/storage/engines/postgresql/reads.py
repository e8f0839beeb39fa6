"""Batched reads: everything that is asked while a batch is on its way is the next one, a statement of one instant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sessiond.domain.projects import Deployment, Project
from sessiond.domain.records import Kind, Record
from sessiond.domain.sessions import Standing
from sessiond.domain.subjects import Subject
from sessiond.storage.batching import Outcome
from sessiond.storage.engines.postgresql.connections import Connections
from sessiond.storage.engines.postgresql.operations import Fetch, Seek
from sessiond.storage.engines.postgresql.rows import (
    Row,
    key_row,
    record_from,
    session_from,
    wanted_session,
)

_MOST_CONTROL_RECORDS = 1000


class Reads:
    """Answers batches of questions. Knows the control records by their stamps, as their bodies are large."""

    def __init__(self, connections: Connections, schema: str) -> None:
        self._connections = connections
        self._find = f"SELECT * FROM {schema}.find_sessions($1, $2)"  # noqa: S608  the name of a schema, checked
        self._get = f"SELECT * FROM {schema}.find_records($1)"  # noqa: S608
        # No record has the stamp None.
        self._known: _Known = {None: None}

    async def standings(self, questions: Sequence[Seek]) -> Sequence[Outcome]:
        """Return each session with everything its life depends on, None where there is none."""
        if len(self._known) > _MOST_CONTROL_RECORDS:
            self._known = {None: None}
        known = self._known
        answers = await self._standings(questions, with_control=False)
        unknown = [
            n
            for n, row in enumerate(answers)
            if row is not None and not (row[5] in known and row[6] in known)
        ]
        if unknown:
            again = await self._standings([questions[n] for n in unknown], with_control=True)
            for n, row in zip(unknown, again, strict=True):
                _learn(known, row)
                answers[n] = row
        return [_assembled(known, row) if row is not None else None for row in answers]

    async def records(self, questions: Sequence[Fetch]) -> Sequence[Outcome]:
        """Return for each its records in their order, all of one instant, None where absent."""
        keys = [key for question in questions for key in question.wanted]
        found: list[Record | None] = [None] * len(keys)
        rows = await self._connections.fetch(
            self._get, [key_row(n, key) for n, key in enumerate(keys)], repeatable=True
        )
        for n, session, body in rows:
            if session is not None:
                found[n] = session_from(session)
            elif body is not None:
                found[n] = record_from(keys[n].kind, body)
        answers: list[Outcome] = []
        start = 0
        for question in questions:
            end = start + len(question.wanted)
            answers.append(found[start:end])
            start = end
        return answers

    async def _standings(self, questions: Sequence[Seek], *, with_control: bool) -> list[Row | None]:
        wanted = [wanted_session(n, each.project, each.session) for n, each in enumerate(questions)]
        answers: list[Row | None] = [None] * len(questions)
        for row in await self._connections.fetch(self._find, wanted, with_control, repeatable=True):
            answers[row[0]] = row
        return answers


_Known = dict[bytes | None, Record | None]


def _learn(known: _Known, row: Row | None) -> None:
    if row is None:
        return
    _, _, _, _, _, project_stamp, deployment_stamp, project, deployment = row
    if project_stamp is not None:
        known[project_stamp] = record_from(Kind.PROJECT, project)
    if deployment_stamp is not None:
        known[deployment_stamp] = record_from(Kind.DEPLOYMENT, deployment)


def _assembled(known: _Known, row: Row) -> Standing:
    _, session, acting, subject, actor, project_stamp, deployment_stamp, _, _ = row
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
