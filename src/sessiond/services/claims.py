"""A project's claims template: read, changed, and filled in for each JWT access token that is minted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from sessiond.domain.claim_templates import Template, TemplateFault, template_faults
from sessiond.domain.claims import added_claims
from sessiond.domain.documents import same_json
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.events import EventType
from sessiond.domain.ids import ProjectId, partition_of
from sessiond.domain.initiators import Initiator
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.sessions import AccessFormat, Session
from sessiond.domain.subjects import Subject, subject_key
from sessiond.services.contention import Contention
from sessiond.services.ports import Change, Clock, Observer, Store
from sessiond.services.projects import Projects


class InvalidTemplate(InvalidRequest):
    """What was asked for is no template; *faults* lists why."""

    def __init__(self, faults: list[TemplateFault]) -> None:
        super().__init__("invalid_claims", "These claims cannot be added to tokens.")
        self.faults = faults


class Claims:
    """Reads, changes and fills in templates."""

    def __init__(
        self, store: Store, clock: Clock, observer: Observer, *, projects: Projects, contention: Contention
    ) -> None:
        self._store = store
        self._clock = clock
        self._observer = observer
        self._projects = projects
        self._contention = contention

    async def get(self, project: ProjectId) -> Template:
        """Return the project's template. Raises `NotFound` (`project_unknown`)."""
        return (await self._projects.require(project)).claims

    async def change(
        self, project: ProjectId, make: Callable[[Template], Template], *, by: Initiator
    ) -> Template:
        """Give the project the template that *make* makes of the present one; it may refuse, or be asked again.

        Raises `InvalidTemplate`.
        """

        async def attempt() -> Template:
            old = await self._projects.require(project)
            template = make(old.claims)
            faults = list(template_faults(template))
            if faults:
                raise InvalidTemplate(faults)
            if same_json(template, old.claims):
                return template
            event = by.did(
                EventType.CLAIMS_CHANGED,
                at=self._clock.now(),
                partition=CONTROL_PARTITION,
                project=project,
                data={"claims": ", ".join(template)},
            )
            await self._store.apply(
                Change.replacing(
                    old, msgspec.structs.replace(old, claims=template, version=old.version + 1), event
                )
            )
            return template

        return await self._contention.settle((project, "control"), attempt)

    async def of(self, session: Session) -> Mapping[str, object]:
        """Return the claims that the session's access token is to have besides its own; none for an opaque one."""
        if session.access_format is AccessFormat.OPAQUE:
            return {}
        project = await self._projects.get(session.project)
        if project is None or not project.claims:
            return {}
        key = subject_key(session.project, session.subject, partition_of(session.id))
        found = await self._store.get(key)
        added = added_claims(project.claims, session, found if isinstance(found, Subject) else None)
        for _ in range(added.left_out):
            self._observer.count("claim_left_out")
        return added.claims
