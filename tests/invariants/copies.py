"""Copies of a store, as a backup takes them and puts them back, on whichever engine."""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.domain.records import Record
from sessiond.services.movable import BEGINNING, MovableStore
from sessiond.services.ports import Change

_AT_ONCE = 500


async def all_records(store: MovableStore) -> Sequence[Record]:
    """Return every record in *store*."""
    records: list[Record] = []
    place: str | None = BEGINNING
    while place is not None:
        stretch = await store.walk(place, limit=_AT_ONCE)
        records += stretch.records
        place = stretch.place
    return records


async def put_back(records: Sequence[Record], store: MovableStore) -> None:
    """Write *records* as they are over what is in *store*."""
    present = await store.get_many([record.key for record in records])
    for record, former in zip(records, present, strict=True):
        known = 0 if former is None else former.version
        await store.apply(Change(partition=record.key.partition, expects={record.key: known}, puts=[record]))
