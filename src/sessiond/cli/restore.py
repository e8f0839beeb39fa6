"""`sessiond restore`: a backup put in the place of an embedded database, while no server runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sessiond.bootstrap import backups
from sessiond.bootstrap.machine import SystemClock
from sessiond.cli.frame import Answer, Common, plain_verb, single
from sessiond.cli.options import YesOption
from sessiond.cli.questions import confirm
from sessiond.cli.show import harmless

app = single()


@plain_verb(app, "restore")
def restore(
    common: Common,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup, sealed or not.")],
    *,
    yes: YesOption = False,
) -> Answer:
    """Put a backup in the place of the database, while no server runs; the former one is kept beside it.

    The next start ends every session, so that none comes back that was ended since.
    """
    confirm("What was changed since the backup is lost, and every session ends. Go on?", yes=yes)
    done = backups.restore(common.load(), file.absolute(), aside=f"before-restore-{SystemClock().now()}")
    lines = [harmless(f"{done.database} is as it was in the backup. Start the server.")]
    if done.kept is not None:
        lines.append(harmless(f"What was there is kept in {done.kept}; remove it when all is well."))
    return Answer(msgspec.structs.asdict(done), tuple(lines))
