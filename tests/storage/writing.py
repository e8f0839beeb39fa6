"""A server's engine that writes until it is killed, and says on standard output what was acknowledged.

`issued ID` and `revoked ID`, each written only after the store has returned.
"""

# ruff: noqa: T201  it speaks to the test by printing

import asyncio
import itertools
import os
import sys

from sessiond.domain.ids import DEFAULT_PROJECT, Partition, mint_id
from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples


async def write(store: Store) -> None:
    for n in itertools.count():
        identifier = mint_id(now=samples.NOW, partition=Partition(n % 4096), entropy=os.urandom(8))
        session = samples.session(id=identifier)
        await store.apply(samples.put(session, events=(samples.event(),)))
        os.write(1, f"issued {identifier.hex()}\n".encode())
        if n % 3 == 0:
            await store.revoke([samples.revocation(session)])
            os.write(1, f"revoked {identifier.hex()}\n".encode())


async def main() -> None:
    store = await open_store(sys.argv[1], role=Role.SERVER)
    print("ready", DEFAULT_PROJECT, flush=True)
    await asyncio.gather(*(write(store) for _ in range(16)))


if __name__ == "__main__":
    asyncio.run(main())
