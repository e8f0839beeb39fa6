"""Subjects as an application manages them: create, show, list, change, disable, enable, erase."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from msgspec import UnsetType

from sessiond.domain.errors import InvalidRequest, NotFound, StateConflict
from sessiond.domain.ids import SubjectId, subject_id_fault
from sessiond.domain.profiles import name_fault, profile_fault
from sessiond.domain.subject_filters import SubjectFilter
from sessiond.domain.subjects import SUBJECT_RESERVED, Subject, SubjectKind, is_operator
from sessiond.domain.texts import text_fault
from sessiond.http.answer import NO_CONTENT, Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.listed import INVALID_CURSOR, require_sound
from sessiond.http.dialects.native.sessions import manager, subject_id
from sessiond.http.dialects.native.subject_shapes import (
    CreateSubject,
    PatchSubject,
    SubjectAnswer,
    SubjectPage,
    SubjectsQuery,
    parse_place,
    place_text,
    view_subject,
)
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services

_ALL = "/v1/subjects"
_ONE = "/v1/subjects/{id}"
_SAMPLE_SUBJECT = InvalidRequest(
    "invalid_subject", "A subject is 1 to 256 bytes of UTF-8 without control characters."
)
_SAMPLE_PROFILE = InvalidRequest(
    "invalid_profile", "A profile is at most 8192 bytes of JSON, nested at most 32 deep."
)
_EXISTS = StateConflict("subject_exists", "A subject of this id exists already.")
SUBJECT_UNKNOWN = NotFound("subject_unknown", "There is no such subject.")
"""Also for the operator, who is nobody's user."""
_NAMED = (_SAMPLE_SUBJECT, SUBJECT_UNKNOWN)


class ManagedSubjects:
    """The paths below `/v1/subjects` that are about subjects themselves."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._credentials = credentials

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        shared: dict[str, Any] = {"tags": ("subjects",), "credential": self._credentials.server_key}
        one = shared | {"params": {"id": "The subject's id, percent-encoded."}}
        shown = one | {"answers": {200: SubjectAnswer}}
        return (*self._of_all(shared), *self._describing(shown), *self._switching(shown), self._erasing(one))

    def _of_all(self, shared: dict[str, Any]) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                "POST",
                _ALL,
                self.create,
                summary="Create a user",
                description="Not needed before a session is created: that creates its subject at first sight.",
                request=CreateSubject,
                answers={201: SubjectAnswer},
                refusals=(_EXISTS,),
                **shared,
            ),
            Endpoint(
                "GET",
                _ALL,
                self.list_page,
                summary="List or search subjects",
                query=SubjectsQuery,
                answers={200: SubjectPage},
                refusals=(INVALID_CURSOR,),
                **shared,
            ),
        )

    def _describing(self, shared: dict[str, Any]) -> tuple[Endpoint, ...]:
        return (
            Endpoint("GET", _ONE, self.show, summary="Show a subject", refusals=_NAMED, **shared),
            Endpoint(
                "PATCH",
                _ONE,
                self.patch,
                summary="Change a subject's name and profile",
                request=PatchSubject,
                refusals=(_SAMPLE_SUBJECT, _SAMPLE_PROFILE, SUBJECT_UNKNOWN),
                **shared,
            ),
        )

    def _switching(self, shared: dict[str, Any]) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                "POST",
                f"{_ONE}/disable",
                self.disable,
                summary="Disable a subject: all its sessions end at once",
                refusals=_NAMED,
                **shared,
            ),
            Endpoint(
                "POST",
                f"{_ONE}/enable",
                self.enable,
                summary="Enable a subject; sessions that ended stay ended",
                refusals=_NAMED,
                **shared,
            ),
        )

    def _erasing(self, shared: dict[str, Any]) -> Endpoint:
        return Endpoint(
            "DELETE",
            _ONE,
            self.erase,
            summary="Erase a subject with all that is kept of it; the audit keeps a pseudonym",
            answers={204: None},
            refusals=(_SAMPLE_SUBJECT, SUBJECT_RESERVED),
            **shared,
        )

    async def create(self, request: Request) -> Answer:
        """Create a user, under an id of ours where none is given."""
        asked, caller, subjects = request.body_as(CreateSubject), manager(request), self._services.subjects
        require_sound(
            {
                "/id": None if asked.id is None else subject_id_fault(asked.id),
                "/name": None if asked.name is None else name_fault(asked.name),
                "/profile": profile_fault(asked.profile),
            }
        )
        identifier = subjects.mint_id() if asked.id is None else SubjectId(asked.id)
        if is_operator(caller.project, identifier):
            raise _EXISTS
        created = await subjects.create(
            caller.project,
            identifier,
            by=caller.initiator,
            name=asked.name,
            anonymous=asked.anonymous,
            profile=asked.profile,
        )
        location = ("Location", f"{_ALL}/{quote(created.id, safe='')}")
        return Answer(201, SubjectAnswer(subject=view_subject(created)), headers=(location,))

    async def list_page(self, request: Request) -> Answer:
        """List or search subjects, newest first; the operator is none."""
        query, caller = request.query_as(SubjectsQuery), manager(request)
        require_sound({"/q": text_fault(query.q)}, where="query")
        kind = None if query.kind is None else SubjectKind(query.kind)
        rows, following = await self._services.subjects.page(
            caller.project,
            SubjectFilter(kind=kind, text=query.q),
            limit=query.limit,
            after=parse_place(query.after),
        )
        page = SubjectPage(items=[view_subject(row) for row in rows], next=place_text(following))
        return Answer(200, page)

    async def show(self, request: Request) -> Answer:
        """Show one subject."""
        return _shown(await named_subject(self._services, request))

    async def patch(self, request: Request) -> Answer:
        """Change what is told about a subject."""
        asked, old = request.body_as(PatchSubject), await named_subject(self._services, request)
        require_sound(
            {
                "/name": name_fault(asked.name) if isinstance(asked.name, str) else None,
                "/profile": None if isinstance(asked.profile, UnsetType) else profile_fault(asked.profile),
            }
        )
        return _shown(
            await self._services.subjects.change(
                old.project,
                old.id,
                lambda subject: subject.described(name=asked.name, profile=asked.profile),
                by=manager(request).initiator,
            )
        )

    async def disable(self, request: Request) -> Answer:
        """Disable a subject; again is no error."""
        subject = await named_subject(self._services, request)
        by = manager(request).initiator
        return _shown(await self._services.subjects.disable(subject.project, subject.id, by=by))

    async def enable(self, request: Request) -> Answer:
        """Enable a subject; again is no error."""
        subject = await named_subject(self._services, request)
        by = manager(request).initiator
        return _shown(await self._services.subjects.enable(subject.project, subject.id, by=by))

    async def erase(self, request: Request) -> Answer:
        """Erase a subject; again, or one that is unknown, is no error."""
        caller, subject = manager(request), subject_id(request.params["id"])
        await self._services.erasing.erase(caller.project, subject, by=caller.initiator)
        return NO_CONTENT


async def named_subject(services: Services, request: Request) -> Subject:
    """Return the subject that the path names, or raise `SUBJECT_UNKNOWN`."""
    project, subject = manager(request).project, subject_id(request.params["id"])
    found = None if is_operator(project, subject) else await services.subjects.get(project, subject)
    if found is None:
        raise SUBJECT_UNKNOWN
    return found


def _shown(subject: Subject) -> Answer:
    return Answer(200, SubjectAnswer(subject=view_subject(subject)))
