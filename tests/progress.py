"""Waiting for what clients come to do: no longer than they work, nor than is bearable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

MOST_SECONDS = 300


async def until(
    reached: Callable[[], bool],
    clients: Sequence[asyncio.Task[None]],
    moved: asyncio.Event,
    told: Callable[[], str],
) -> None:
    """Return once what *clients* did has *reached* something; raise what any of them failed with.

    They set *moved* with each thing that they do; *told* tells how far they came, where that is not far enough in time.
    """
    try:
        async with asyncio.timeout(MOST_SECONDS):
            while not reached():
                moved.clear()
                await moved.wait()
                for client in clients:
                    if client.done():
                        client.result()
    except TimeoutError:
        raise AssertionError(f"not reached within {MOST_SECONDS} s; {told()}") from None
