"""The engine contract: each sentence of `services.ports.Store` as a test, for every engine.

A suite of an engine is a subclass with one fixture, `store`, that yields a new and empty store::

    class TestMine(StoreContract):
        @pytest.fixture
        async def store(self) -> AsyncIterator[Store]:
            store = await open_store("mine://…", role=Role.SERVER)
            yield store
            await store.close()

It needs pytest with pytest-asyncio in its auto mode. What only a real server can show (a crash, a second process,
a full disk) is not here: each engine tests that itself.
"""

from __future__ import annotations

from sessiond.testing.event_contract import EventContract
from sessiond.testing.listing_contract import ListingContract
from sessiond.testing.moving_contract import MovingContract
from sessiond.testing.purge_contract import PurgeContract
from sessiond.testing.record_contract import RecordContract
from sessiond.testing.session_contract import SessionContract


class StoreContract(
    RecordContract, SessionContract, ListingContract, EventContract, PurgeContract, MovingContract
):
    """Everything a store promises."""
