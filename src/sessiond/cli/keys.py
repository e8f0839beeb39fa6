"""`sessiond keys`: the keys that tokens are made with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import typer

from sessiond.bootstrap import rewrapping
from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import BY, Answer, group, verb
from sessiond.cli.options import ProjectOption, YesOption
from sessiond.cli.questions import confirm
from sessiond.cli.show import harmless, table, when
from sessiond.domain.errors import Misconfigured
from sessiond.domain.keys import HeldKey, KeyKind
from sessiond.services.rotating import Turned

app = group("The keys that tokens are made with.")

_DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Change nothing, and tell what would be.")]


@verb(app, "list")
async def list_keys(opened: Opened) -> Answer:
    """List every key of the ring with its state; never a secret."""
    keys = await opened.services.rotating.held()
    return Answer({"items": [_facts(key) for key in keys]}, (_shown(keys, "The ring is empty."),))


@verb(app, "rotate")
async def rotate(
    opened: Opened,
    kind: Annotated[
        KeyKind, typer.Argument(help="root: of MACs; signing: of JWTs; vault: of stored tokens.")
    ],
    *,
    project: ProjectOption = "default",
    dry_run: _DryRunOption = False,
) -> Answer:
    """Rotate a project's keys of one kind. Nothing that was made under the former keys is refused.

    A successor takes over as soon as everybody knows it: at once, or by the running server, or by this once more.
    """
    services = opened.services
    owner = await services.projects.find(project)
    turned = await services.rotating.rotate(owner.id, kind, by=BY, dry_run=dry_run)
    return _told(turned, dry_run=dry_run)


@verb(app, "compromised")
async def compromised(
    opened: Opened,
    key: Annotated[str | None, typer.Argument(help="The id of one key; without it, all of them.")] = None,
    *,
    project: ProjectOption = "default",
    dry_run: _DryRunOption = False,
    yes: YesOption = False,
) -> Answer:
    """Refuse a key that others may know. Without one: every key and the wrapping key; then every session ends."""
    if key is None:
        return await _all_compromised(opened, dry_run=dry_run, yes=yes)
    services = opened.services
    owner = await services.projects.find(project)
    foreseen = await services.rotating.compromise(owner.id, key, by=BY, dry_run=True)
    if dry_run:
        return _told(foreseen, dry_run=True)
    confirm(f"{_refused(foreseen)} Go on?", yes=yes)
    return _told(await services.rotating.compromise(owner.id, key, by=BY), dry_run=False)


async def _all_compromised(opened: Opened, *, dry_run: bool, yes: bool) -> Answer:
    if dry_run:
        raise Misconfigured("--dry-run is for one key: without one, every session of every project ends")
    confirm("Every session of every project ends, and every PIN must be set anew. Go on?", yes=yes)
    done = await rewrapping.start_over(opened, _say, by=BY)
    lines = (
        harmless("Every key is refused, and every session has ended."),
        harmless("Rotate the master token and the server keys, too, and set the PINs anew."),
    )
    return Answer(msgspec.structs.asdict(done), lines)


@verb(app, "rewrap")
async def rewrap(opened: Opened) -> Answer:
    """Move the key ring to another wrapping key. No session ends; after a crash, do it again."""
    done = await rewrapping.rewrap(opened, _say, by=BY)
    lines = [harmless(f"The wrapping key is now {done.present}, no longer {done.former}.")]
    if done.kept is not None:
        lines.append(harmless(f"Backups made until now need the former one: it is kept as {done.kept}."))
    return Answer(msgspec.structs.asdict(done), tuple(lines))


@verb(app, "reseal")
async def reseal(opened: Opened) -> Answer:
    """Seal what the vault holds under its present keys now; a running server does so by itself, in small bites."""
    done, unreadable = await opened.services.key_keeping.reseal(_progress)
    lines = [harmless(f"{done} vault entries were sealed anew.")]
    if unreadable:
        lines.append(harmless(f"{unreadable} do not open and were left as they are."))
    return Answer({"resealed": done, "unreadable": unreadable}, tuple(lines))


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _progress(done: int, unreadable: int) -> None:
    _say(f"{done} sealed anew" + (f", {unreadable} do not open" if unreadable else ""))


def _told(turned: Turned, *, dry_run: bool) -> Answer:
    refused = msgspec.structs.asdict(turned.refused)
    data = {"dry_run": dry_run, "keys": [_facts(key) for key in turned.keys], "refused": refused}
    return Answer(data, (_shown(turned.keys, "Nothing changes."), harmless(_refused(turned))))


def _refused(turned: Turned) -> str:
    refused, among = turned.refused, "" if turned.refused.complete else ", among the newest 10000 of each"
    return (
        f"Refused are {refused.sessions} sessions, {refused.access_tokens} access tokens of other sessions, "
        f"{refused.pins} PINs and {refused.vault_entries} vault entries{among}."
    )


def _shown(keys: Sequence[HeldKey], empty: str) -> Any:  # noqa: ANN401  rich keeps this type to itself
    columns = ("KIND", "KID", "PROJECT", "AUDIENCE", "STATE", "CREATED", "ACTIVATES", "ACTIVATED", "RETIRED")
    return table(columns, [tuple(_facts(key).values())[: len(columns)] for key in keys], empty=empty)


def _facts(key: HeldKey) -> dict[str, Any]:
    audience = key.line.audience
    return {
        "kind": key.line.kind.value,
        "kid": key.name,
        "project": key.project,
        "audience": None if audience is None else audience.value,
        "state": key.state.value,
        "created_at": when(key.created_at),
        "activates_at": when(key.activates_at),
        "activated_at": when(key.activated_at),
        "retired_at": when(key.retired_at),
        "compromised_at": when(key.compromised_at),
        "destroyed_at": when(key.destroyed_at),
    }
