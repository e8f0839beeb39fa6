"""`sessiond subjects`: list, search and erase subjects."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import BY, Answer, group, verb
from sessiond.cli.options import LimitOption, ProjectOption, YesOption
from sessiond.cli.questions import confirm
from sessiond.cli.show import harmless, table, when
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.ids import SubjectId, acceptable_subject_id
from sessiond.domain.subject_filters import SubjectFilter
from sessiond.domain.subjects import Subject
from sessiond.services.ports import Place

app = group("Subjects: list, search and erase them.")


@verb(app, "list")
async def list_subjects(
    opened: Opened,
    *,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only with this in the id, the name or the profile.")
    ] = None,
    project: ProjectOption = "default",
    limit: LimitOption = 100,
) -> Answer:
    """List subjects, newest first."""
    owner = (await opened.services.projects.find(project)).id
    wanted, found = SubjectFilter(text=search), list[Subject]()
    after: Place | None = None
    while len(found) < limit:
        page, after = await opened.services.subjects.page(
            owner, wanted, limit=limit - len(found), after=after
        )
        found += page
        if after is None:
            break
    shown = table(
        ("ID", "KIND", "NAME", "CREATED", "DISABLED"),
        [
            (each.id, each.subject_kind, each.name, when(each.created_at), when(each.disabled_at))
            for each in found
        ],
        empty="There is no such subject." if search else "There is no subject.",
    )
    return Answer({"items": [_facts(each) for each in found]}, (shown,))


@verb(app, "erase")
async def erase(
    opened: Opened,
    subject: Annotated[str, typer.Argument(help="The subject's id.")],
    *,
    project: ProjectOption = "default",
    yes: YesOption = False,
) -> Answer:
    """Erase a subject with all that is kept of it; the audit keeps a pseudonym. Erasing it again is no error."""
    if not acceptable_subject_id(subject):
        raise InvalidRequest(
            "invalid_subject", "A subject is 1 to 256 bytes of UTF-8 without control characters."
        )
    owner = (await opened.services.projects.find(project)).id
    confirm(
        f"All that is kept of {subject} is erased, and its sessions end. There is no way back. Go on?",
        yes=yes,
    )
    await opened.services.erasing.erase(owner, SubjectId(subject), by=BY)
    return Answer({"id": subject, "erased": True}, (harmless(f"Subject {subject} is erased."),))


def _facts(subject: Subject) -> dict[str, Any]:
    return {
        "id": subject.id,
        "project": subject.project,
        "kind": subject.subject_kind.value,
        "name": subject.name,
        "anonymous": subject.anonymous,
        "created_at": when(subject.created_at),
        "disabled_at": when(subject.disabled_at),
    }
