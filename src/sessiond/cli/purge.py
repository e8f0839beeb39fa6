"""`sessiond purge`: remove what ended long enough ago."""

from __future__ import annotations

from sessiond.bootstrap.background import purge_bite
from sessiond.bootstrap.opening import Opened
from sessiond.cli.frame import Answer, single, verb
from sessiond.cli.progress import bars
from sessiond.cli.show import harmless

app = single()

_BITE = 500


@verb(app, "purge")
async def purge(opened: Opened) -> Answer:
    """Remove what ended long enough ago, in small bites beside the server; a server purges by itself.

    Sessions, entries, events, and anonymous subjects that nobody uses any more. How long they stay is set by
    purge.ended_sessions, vault.retention, purge.events and purge.anonymous_subjects.
    """
    gone = 0
    with bars() as progress:
        task = progress.add_task("purging", total=None)
        while bite := await purge_bite(
            opened.store, opened.services.sealer, opened.settings.purge, opened.clock.now(), limit=_BITE
        ):
            gone += bite
            progress.update(task, advance=bite)
        finished = False
        while not finished:
            kept_for = opened.settings.purge.anonymous_subjects
            swept = await opened.services.stale_subjects.sweep(kept_for, limit=_BITE)
            gone, finished = gone + swept.removed, swept.finished
            progress.update(task, advance=swept.removed)
    return Answer({"removed": gone}, (harmless(f"{gone} records are removed."),))
