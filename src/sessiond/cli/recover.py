"""`sessiond recover`: what to do after a backup was restored."""

from __future__ import annotations

from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import BY, Answer, single, verb
from sessiond.cli.options import YesOption
from sessiond.cli.questions import confirm
from sessiond.cli.show import harmless, when

app = single()


@verb(app, "recover", recovers=True)
async def recover(opened: Opened, *, yes: YesOption = False) -> Answer:
    """End every session of every project: draw a new deployment epoch.

    Do this after a database was restored from a backup, so that no session comes back that was ended since.
    """
    confirm("Every session of every project ends, and everyone must sign in again. Go on?", yes=yes)
    deployment = await opened.services.recovery.recover(by=BY, reason="sessiond recover")
    witness = await opened.services.recovery.witness()
    if opened.witnessed:
        opened.files.write_witness(witness)
    data = {"install_id": deployment.install_id, "recovered_at": when(opened.clock.now())}
    return Answer(data, (harmless("Every session has ended."),))
