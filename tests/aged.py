"""Installations that are older than the test that needs them: their keys' successors are known, and may take over."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from sessiond.bootstrap.machine import SystemEntropy
from sessiond.config.secrets import encode_key
from sessiond.crypto.secrets import Secret
from sessiond.services.recovery import Birth, make_deployment
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from tests.deployment import SetClock
from tests.server_process import MASTER_TOKEN, SERVER_KEY

_TWO_HOURS_MS = 7_200_000


async def make_aged(url: str, wrapping_key: bytes) -> None:
    """Make an installation at *url* as it would have been made two hours ago, with the seeds of `ServerProcess`."""
    store = await open_store(url, role=Role.TOOL)
    try:
        birth = Birth(
            wrapping_key=wrapping_key,
            server_key=Secret(SERVER_KEY),
            seeded=True,
            master_token=Secret(MASTER_TOKEN),
        )
        clock = SetClock(time.time_ns() // 1_000_000 - _TWO_HOURS_MS)
        await make_deployment(store, clock, SystemEntropy(), birth)
    finally:
        await store.close()


def make_aged_directory(data_dir: Path, wrapping_key: bytes) -> None:
    """Make a data directory with such an installation on SQLite."""
    secrets = data_dir / "secrets"
    secrets.mkdir(mode=0o700, parents=True)
    data_dir.chmod(0o700)
    (secrets / "key").touch(mode=0o600)
    (secrets / "key").write_text(encode_key(wrapping_key))
    asyncio.run(make_aged(f"sqlite:///{data_dir / 'sessiond.db'}", wrapping_key))
    for path in data_dir.glob("sessiond.db*"):
        path.chmod(0o600)
