"""`sessiond migrate`: everything moved to another database, any engine to any other."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer
from rich.console import RenderableType

from sessiond.bootstrap.moves import moving
from sessiond.bootstrap.opening import without_password
from sessiond.cli.frame import Answer, Common, Exit, plain_verb, single
from sessiond.cli.options import YesOption
from sessiond.cli.progress import shown_progress
from sessiond.cli.questions import confirm
from sessiond.cli.show import harmless, table
from sessiond.domain.checksums import Difference
from sessiond.domain.errors import Misconfigured

app = single()

_MOST_SHOWN = 50
_SWITCHING = (
    "Nodes on the former database refuse everything from now on, until they are started on the other. Go on?"
)


@plain_verb(app, "migrate")
def migrate(
    _common: Common,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="URL", envvar="SESSIOND_MIGRATE_FROM", help="The database that is in use."
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--to", metavar="URL", envvar="SESSIOND_MIGRATE_TO", help="An empty one, or one begun before."
        ),
    ],
    *,
    switch: Annotated[
        bool, typer.Option("--switch", help="Copy the rest while nobody writes, and move.")
    ] = False,
    stay: Annotated[
        bool, typer.Option("--stay", help="Serve the former one again, if the move was not done.")
    ] = False,
    yes: YesOption = False,
) -> Answer:
    """Copy everything to another database while nodes serve the first; with --switch, leave the first for it.

    May be interrupted and repeated at any time: it goes on where it was. Give URLs with passwords in the environment.
    """
    if switch and stay:
        raise Misconfigured("--switch and --stay contradict each other")
    if switch:
        confirm(_SWITCHING, yes=yes)
    os.umask(0o077)
    logging.basicConfig(level=logging.WARNING, format="sessiond: %(message)s", stream=sys.stderr)
    if stay:
        return asyncio.run(_stay(source, target))
    return asyncio.run(_switch(source, target) if switch else _copy(source, target))


async def _copy(source: str, target: str) -> Answer:
    with shown_progress() as tell:
        async with moving(source, target, tell) as mover:
            changed = await mover.copy()
    text = f"Everything is copied; {changed} changed meanwhile, and were copied again. Move with --switch."
    return Answer({"switched": False, "caught_up": changed}, (harmless(text),))


async def _switch(source: str, target: str) -> Answer:
    to = without_password(target)
    with shown_progress() as tell:
        async with moving(source, target, tell) as mover:
            differences = await mover.switch(to)
    data = {
        "switched": not differences,
        "differences": [msgspec.structs.asdict(each) for each in differences],
    }
    if differences:
        return Answer(data, _shown(differences), Exit.REFUSED)
    text = f"Everything was moved and compared. Start every node with --database {to} and its secrets as they are."
    return Answer(data, (harmless(text),))


async def _stay(source: str, target: str) -> Answer:
    with shown_progress() as tell:
        async with moving(source, target, tell) as mover:
            await mover.stay()
    return Answer({"switched": False}, (harmless(f"{without_password(source)} is served again."),))


def _shown(differences: Sequence[Difference]) -> tuple[RenderableType, ...]:
    rows = [(each.partition, each.kind, each.source, each.target) for each in differences[:_MOST_SHOWN]]
    text = f"The two differ in {len(differences)} places; the move is not done, and neither is served. "
    what = "Repeat --switch, which copies what is missing; or --stay, and begin anew with an empty database."
    return (harmless(text + what), table(("PARTITION", "KIND", "FROM", "TO"), rows, empty=""))
