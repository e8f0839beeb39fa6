"""`sessiond projects`: tenants that never see each other."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import BY, Answer, group, verb
from sessiond.cli.show import harmless, table, when
from sessiond.domain.projects import Project

app = group("Projects: tenants that never see each other.")


@verb(app, "add", begins=True)
async def add(opened: Opened, name: Annotated[str, typer.Argument(help="The new project's name.")]) -> Answer:
    """Create a project with its own keys."""
    project = await opened.services.projects.add(name, by=BY)
    return Answer(_facts(project), (harmless(f"Project {project.name} is made. Its id: {project.id}"),))


@verb(app, "list")
async def list_projects(opened: Opened) -> Answer:
    """List the projects, newest first."""
    projects = await opened.services.projects.list_all()
    shown = table(
        ("ID", "NAME", "CREATED"),
        [(each.id, each.name, when(each.created_at)) for each in projects],
        empty="There is no project.",
    )
    return Answer({"items": [_facts(each) for each in projects]}, (shown,))


def _facts(project: Project) -> dict[str, Any]:
    return {"id": project.id, "name": project.name, "created_at": when(project.created_at)}
