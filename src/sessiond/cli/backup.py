"""`sessiond backup`: a copy of an embedded database, taken beside the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sessiond.bootstrap import backups
from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import Answer, single, verb
from sessiond.cli.show import harmless

app = single()


@verb(app, "backup")
async def backup(
    opened: Opened,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; it must not exist.")],
    *,
    sealed: Annotated[bool, typer.Option("--sealed", help="Seal it under the wrapping key.")] = False,
) -> Answer:
    """Copy the database, as it is at one instant, while the server runs. The secrets are not in it: keep them apart."""
    done = await backups.back_up(opened, file.absolute(), sealed=sealed)
    lines = (
        harmless(f"{done.file} holds the database as it was now ({done.size_bytes} bytes)."),
        harmless(f"It is of no use without the wrapping key {done.fingerprint}."),
    )
    return Answer(msgspec.structs.asdict(done), lines)
