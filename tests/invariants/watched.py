"""A store, and all that it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from sessiond.services.movable import MovableStore


class Call(NamedTuple):
    """What a store was asked, and with what arguments."""

    method: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]


class Watched:
    """Hands everything on to *store*, and keeps it."""

    def __init__(self, store: MovableStore) -> None:
        self._store = store
        self.calls: list[Call] = []

    @property
    def as_store(self) -> MovableStore:
        """This, as what it stands for."""
        return cast("MovableStore", self)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def called(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  whatever the method takes and returns
            self.calls.append(Call(name, arguments, named))
            return method(*arguments, **named)

        return called
