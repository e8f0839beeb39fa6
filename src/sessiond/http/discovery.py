"""Which dialects there are: every module in `http/dialects`, by being there."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any

from sessiond.http import dialects
from sessiond.http.dialect import Dialect
from sessiond.http.edge import Edge


def discover(services: Any, edge: Edge) -> Sequence[Dialect]:  # noqa: ANN401 - each dialect names the services it takes
    """Return every dialect, by the name of its module."""
    names = sorted(
        module.name for module in pkgutil.iter_modules(dialects.__path__) if not module.name.startswith("_")
    )
    return [importlib.import_module(f"{dialects.__name__}.{name}").dialect(services, edge) for name in names]
