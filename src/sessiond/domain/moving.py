"""Moving: what a deployment's record says while the whole of it is carried from one database to another.

A database is in one of three states: in use (no mark), *arriving* (being filled: nobody may serve it yet), or
*departed* (what lay here is in use elsewhere, or about to be: nobody may serve it any more).
"""

from __future__ import annotations

import msgspec

from sessiond.domain.errors import Unavailable
from sessiond.domain.instants import Instant


class Arriving(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The mark of a database that is being filled; at *at* the first pass had come to *place* (None: to the end)."""

    at: Instant
    place: str | None = ""


class Departed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The mark of a database that is left: where to (a URL without its password), and since when."""

    to: str
    at: Instant


DEPARTED = Unavailable(
    "store_unavailable",
    "The store cannot answer now: what lay here was moved to another database, on which this node must be started.",
)


def refuse_departed(departed: Departed | None) -> None:
    """Raise `Unavailable` where the database was left: what it still says may be overtaken at any time."""
    if departed is not None:
        raise DEPARTED
