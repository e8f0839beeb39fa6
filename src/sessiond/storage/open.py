"""Opening a store by its URL: the scheme names the engine's module, so that adding an engine touches nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import timedelta
from types import ModuleType
from typing import cast

from sessiond.domain.errors import Misconfigured
from sessiond.domain.freshness import STRICT
from sessiond.services.movable import MovableStore
from sessiond.storage import engines
from sessiond.storage.engine import CopyingEngine, EngineModule, Role


def known_engines() -> list[str]:
    """Return the schemes that can be opened, in alphabetical order."""
    return sorted(module.name.replace("_", "+") for module in pkgutil.iter_modules(engines.__path__))


async def open_store(
    url: str, *, role: Role, cache_records: int = 100_000, max_staleness: timedelta = STRICT
) -> MovableStore:
    """Open the store at *url* with the engine that its scheme names.

    Raises `Misconfigured` when no engine has this scheme, or when the engine cannot use what lies there.
    """
    module = cast("EngineModule", _module_of(url))
    return await module.open_store(url, role=role, cache_records=cache_records, max_staleness=max_staleness)


def is_shared(url: str) -> bool:
    """Tell whether several servers may serve the database at *url* at once."""
    return cast("EngineModule", _module_of(url)).SHARED


def copying_engine(url: str) -> CopyingEngine:
    """Return the engine of *url*, or raise `Misconfigured` where its database is no file of this machine."""
    module = _module_of(url)
    if not hasattr(module, "copy_store"):
        scheme = url.partition("://")[0]
        raise Misconfigured(
            f"a {scheme} database is backed up with its server's own tools: see docs/operations"
        )
    return cast("CopyingEngine", module)


def _module_of(url: str) -> ModuleType:
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in known_engines():
        known = ", ".join(f"{name}://" for name in known_engines())
        raise Misconfigured(f"the database URL names no known engine; it must begin with one of {known}")
    try:
        return importlib.import_module(f"{engines.__name__}.{scheme.replace('+', '_')}")
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"the database URL needs the Python package {error.name}, which an extra of sessiond installs: "
            "pip install 'sessiond[postgres]' or 'sessiond[redis]'"
        ) from error
