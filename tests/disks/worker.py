"""Does deeds on stores, each in a process of its own, above a disk that may fail; says on standard output what is done.

Each line is the URL of a store, and `open` before it where it is to be opened only. Its task ends with `end STATUS`,
whatever became of it.
"""

from __future__ import annotations

import asyncio
import os
import sys

from sessiond.domain.errors import Misconfigured
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite import database
from sessiond.storage.open import open_store
from tests.disks.deeds import SESSIONS, do_all

database.CHECKPOINT_PAGES = 6  # so that a small piece of work has checkpoints in it


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def run(line: str) -> None:
    *only_opened, url = line.split()
    try:
        store = await open_store(url, role=Role.SERVER)
    except Misconfigured as refusal:
        say(f"unopened {refusal}")
        return
    if not only_opened:
        await do_all(store, say)
        await do_all(store, say, first=SESSIONS)
    await store.close()
    say("closed")


def main() -> None:
    for line in iter(sys.stdin.readline, ""):
        if (child := os.fork()) == 0:
            asyncio.run(run(line.strip()))
            os._exit(0)
        say(f"end {os.waitpid(child, 0)[1]}")


if __name__ == "__main__":
    main()
