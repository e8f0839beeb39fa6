"""A store that crashes in the middle of what takes several writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sessiond.domain.errors import Unavailable
from sessiond.domain.sessions import Session
from sessiond.services.ports import Store


class Crashing:
    """A store that fails instead of the *crash_at*-th write that follows `arm`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._left = -1

    def arm(self, crash_at: int) -> None:
        """Let *crash_at* writes pass, and fail at the next."""
        self._left = crash_at

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the store has
        return getattr(self._store, name)

    async def apply(self, change: Any) -> None:  # noqa: ANN401
        self._count()
        await self._store.apply(change)

    async def revoke(self, revocations: Any) -> Sequence[Session | None]:  # noqa: ANN401
        self._count()
        return await self._store.revoke(revocations)

    async def rewrite_events(self, rewritten: Any) -> None:  # noqa: ANN401
        self._count()
        await self._store.rewrite_events(rewritten)

    def _count(self) -> None:
        if self._left == 0:
            self._left = -1
            raise Unavailable("store_unavailable", "crashed")
        self._left -= 1
