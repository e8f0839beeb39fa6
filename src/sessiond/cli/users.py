"""`sessiond users`: people who sign in with a name and a PIN."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import BY, Answer, group, verb
from sessiond.cli.options import LimitOption, OffsetOption, ProjectOption, YesOption
from sessiond.cli.questions import confirm, read_pin
from sessiond.cli.show import harmless, table, when
from sessiond.crypto.secrets import Secret
from sessiond.domain.ids import ProjectId
from sessiond.services.pins import PinUser

app = group("People who sign in with a name and a PIN.")

NameArgument = Annotated[
    str, typer.Argument(help="The user's name; case and width of letters do not matter.")
]
PinOption = Annotated[bool, typer.Option("--pin-stdin", help="Read the PIN as one line of standard input.")]


@verb(app, "add", begins=True)
async def add(
    opened: Opened, name: NameArgument, *, pin_stdin: PinOption = False, project: ProjectOption = "default"
) -> Answer:
    """Add a user; the PIN (4 to 64 characters) is asked twice."""
    owner = await _project(opened, project)
    pin = Secret(read_pin(from_stdin=pin_stdin))
    user = await opened.services.pins.add_user(owner, name, pin, by=BY)
    return Answer(_facts(user), (harmless(f"User {name} is added."),))


@verb(app, "list")
async def list_users(
    opened: Opened, *, project: ProjectOption = "default", limit: LimitOption = 100, offset: OffsetOption = 0
) -> Answer:
    """List users, newest first."""
    owner = await _project(opened, project)
    users = [
        _facts(user) for user in await opened.services.pins.list_users(owner, limit=limit, offset=offset)
    ]
    shown = table(
        ("NAME", "ID", "CREATED", "DISABLED", "LOCKED"),
        [
            (
                user["name"],
                user["id"],
                user["created_at"],
                user["disabled_at"],
                "yes" if user["locked"] else "",
            )
            for user in users
        ],
        empty="There is no user. `sessiond users add NAME` adds one.",
    )
    return Answer({"items": users}, (shown,))


@verb(app, "set-pin")
async def set_pin(
    opened: Opened, name: NameArgument, *, pin_stdin: PinOption = False, project: ProjectOption = "default"
) -> Answer:
    """Give a user another PIN; the user's sessions end."""
    owner = await _project(opened, project)
    pin = Secret(read_pin(from_stdin=pin_stdin))
    user = await opened.services.pins.set_pin(owner, name, pin, by=BY)
    return Answer(
        _facts(user), (harmless(f"The PIN of {name} is set, and the sessions of {name} have ended."),)
    )


@verb(app, "disable")
async def disable(opened: Opened, name: NameArgument, *, project: ProjectOption = "default") -> Answer:
    """Disable a user: the user's sessions end, and no PIN opens a new one."""
    owner = await _project(opened, project)
    await opened.services.pins.disable(owner, name, by=BY)
    return await _told(
        opened, owner, name, f"User {name} is disabled, and the sessions of {name} have ended."
    )


@verb(app, "enable")
async def enable(opened: Opened, name: NameArgument, *, project: ProjectOption = "default") -> Answer:
    """Enable a disabled user again; sessions that ended stay ended."""
    owner = await _project(opened, project)
    await opened.services.pins.enable(owner, name, by=BY)
    return await _told(opened, owner, name, f"User {name} is enabled.")


@verb(app, "unlock")
async def unlock(opened: Opened, name: NameArgument, *, project: ProjectOption = "default") -> Answer:
    """Forget a user's failed attempts: no wait is left, and a closed account is open."""
    owner = await _project(opened, project)
    await opened.services.pins.unlock(owner, name, by=BY)
    return await _told(opened, owner, name, f"User {name} is unlocked.")


@verb(app, "delete")
async def delete(
    opened: Opened, name: NameArgument, *, yes: YesOption = False, project: ProjectOption = "default"
) -> Answer:
    """Delete a user with its PIN and what the vault keeps; the user's sessions end."""
    owner = await _project(opened, project)
    user = await opened.services.pins.get_user(owner, name)
    confirm(
        f"User {name} is deleted with what the vault keeps, and the sessions of {name} end. Go on?", yes=yes
    )
    await opened.services.pins.delete_user(owner, name, by=BY)
    return Answer({"id": user.subject.id, "deleted": True}, (harmless(f"User {name} is deleted."),))


async def _project(opened: Opened, name: str) -> ProjectId:
    return (await opened.services.projects.find(name)).id


async def _told(opened: Opened, owner: ProjectId, name: str, sentence: str) -> Answer:
    return Answer(_facts(await opened.services.pins.get_user(owner, name)), (harmless(sentence),))


def _facts(user: PinUser) -> dict[str, Any]:
    subject = user.subject
    return {
        "id": subject.id,
        "name": subject.name,
        "project": subject.project,
        "created_at": when(subject.created_at),
        "disabled_at": when(subject.disabled_at),
        "locked": user.closed,
    }
