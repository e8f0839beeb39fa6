"""Opening a store by its URL: the scheme names the engine's module, so that adding an engine touches nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from sessiond.domain.errors import Misconfigured
from sessiond.services.ports import Store
from sessiond.storage import engines
from sessiond.storage.engine import EngineModule, Role


def known_engines() -> list[str]:
    """Return the schemes that can be opened, in alphabetical order."""
    return sorted(module.name.replace("_", "+") for module in pkgutil.iter_modules(engines.__path__))


async def open_store(url: str, *, role: Role, cache_records: int = 100_000) -> Store:
    """Open the store at *url* with the engine that its scheme names.

    Raises `Misconfigured` when no engine has this scheme, or when the engine cannot use what lies there.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in known_engines():
        known = ", ".join(f"{name}://" for name in known_engines())
        raise Misconfigured(f"the database URL names no known engine; it must begin with one of {known}")
    name = f"{engines.__name__}.{scheme.replace('+', '_')}"
    module = cast("EngineModule", importlib.import_module(name))
    return await module.open_store(url, role=role, cache_records=cache_records)
