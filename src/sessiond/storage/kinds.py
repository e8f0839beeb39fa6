"""Which struct a stored kind is decoded into: found among the records that the domain defines, never listed twice."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from sessiond import domain
from sessiond.domain.records import Kind, Record


@functools.cache
def record_types() -> Mapping[Kind, type[Record]]:
    """Return the struct of every kind that the domain defines."""
    for module in pkgutil.iter_modules(domain.__path__):
        importlib.import_module(f"{domain.__name__}.{module.name}")
    return {cls.kind: cls for cls in _descendants(Record) if hasattr(cls, "kind")}


def _descendants(cls: type[Record]) -> Iterator[type[Record]]:
    for child in cls.__subclasses__():
        if child.__module__.startswith(domain.__name__ + "."):
            yield child
        yield from _descendants(child)
