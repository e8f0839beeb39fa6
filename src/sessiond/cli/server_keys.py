"""`sessiond server-keys`: what applications present."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import BY, Answer, group, verb
from sessiond.cli.options import ProjectOption
from sessiond.cli.show import harmless, table, when
from sessiond.domain.projects import ServerKey

app = group("Server keys: what applications present.")


@verb(app, "add", begins=True)
async def add(
    opened: Opened,
    name: Annotated[str, typer.Argument(help="What the key is for; events name it.")],
    project: ProjectOption = "default",
) -> Answer:
    """Make a server key and print it, this once: only its keyed hash is kept."""
    services = opened.services
    owner = await services.projects.find(project)
    record, secret = await services.server_keys.add(owner.id, name, by=BY)
    text = secret.reveal()
    lines = (harmless(text), harmless("Keep it now: it is not stored and will not be shown again."))
    return Answer({**_facts(record), "server_key": text}, lines)


@verb(app, "list")
async def list_keys(opened: Opened, project: ProjectOption = "default") -> Answer:
    """List a project's server keys, newest first, revoked ones included."""
    services = opened.services
    owner = await services.projects.find(project)
    keys = await services.server_keys.list_all(owner.id)
    shown = table(
        ("ID", "NAME", "CREATED", "REVOKED"),
        [(key.id, key.name, when(key.created_at), when(key.revoked_at)) for key in keys],
        empty="The project has no server key.",
    )
    return Answer({"items": [_facts(key) for key in keys]}, (shown,))


@verb(app, "revoke")
async def revoke(
    opened: Opened,
    key: Annotated[str, typer.Argument(help="The key's id, or a name that no other live key has.")],
    project: ProjectOption = "default",
) -> Answer:
    """Revoke a server key; whoever presents it is refused at once."""
    services = opened.services
    owner = await services.projects.find(project)
    record = await services.server_keys.revoke(owner.id, key, by=BY)
    return Answer(_facts(record), (harmless(f"Server key {record.name} ({record.id}) is revoked."),))


def _facts(key: ServerKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "project": key.project,
        "created_at": when(key.created_at),
        "revoked_at": when(key.revoked_at),
        "seeded": key.seeded,
    }
