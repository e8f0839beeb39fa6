from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Unavailable
from sessiond.domain.events import EventType
from sessiond.domain.instants import later
from sessiond.domain.records import Kind
from sessiond.domain.vault import VaultEntry
from sessiond.services.ports import Selection
from tests.deployment import ALICE
from tests.services.vault.storage import APP, BOB, HOUR, TOKEN, Storage


async def test_a_saved_token_is_handed_out_again(storage: Storage) -> None:
    saved = await storage.save()

    opened = await storage.vault.read(APP, saved.id)

    assert opened.token.reveal() == TOKEN
    assert (opened.id, opened.user, opened.valid) == (saved.id, ALICE, True)


async def test_no_record_and_no_event_holds_a_byte_of_the_token_or_its_preview(storage: Storage) -> None:
    saved = await storage.save(key="once")
    await storage.vault.read(APP, saved.id)
    await storage.vault.replace(APP, saved.id, Secret(TOKEN[::-1]), later(storage.clock.now(), HOUR))

    kept = [await storage.store.scan(Selection(kind=kind), limit=1000) for kind in Kind]
    everything = msgspec.msgpack.encode([kept, await storage.store.events(after=0, limit=1000)])

    for part in (TOKEN[:8], TOKEN[8:20], TOKEN[-11:], TOKEN[::-1][:8], "once"):
        assert part.encode() not in everything
        assert part.encode().hex().encode() not in everything


async def test_what_prints_an_opened_entry_prints_no_token(storage: Storage) -> None:
    saved = await storage.save()

    assert TOKEN not in repr(await storage.vault.read(APP, saved.id))
    assert TOKEN not in repr(storage.new())


def flipped(box: bytes) -> bytes:
    return box[:-1] + bytes([box[-1] ^ 1])


TAMPERINGS: dict[str, Callable[[VaultEntry, VaultEntry], VaultEntry]] = {
    "one bit flipped": lambda entry, _: with_token(entry, flipped(entry.boxes.token)),
    "another entry's box": lambda entry, other: with_token(entry, other.boxes.token),
    "the preview's box": lambda entry, _: with_token(entry, entry.boxes.preview),
    "no box": lambda entry, _: with_token(entry, b""),
    "a box of an unknown version": lambda entry, _: with_token(entry, b"\x02" + entry.boxes.token[1:]),
    "another user": lambda entry, _: msgspec.structs.replace(entry, user=BOB),
    "another version": lambda entry, _: msgspec.structs.replace(entry, version=entry.version + 7),
    "an unknown key": lambda entry, _: msgspec.structs.replace(
        entry, boxes=msgspec.structs.replace(entry.boxes, key_id="gone")
    ),
}


def with_token(entry: VaultEntry, box: bytes) -> VaultEntry:
    return msgspec.structs.replace(entry, boxes=msgspec.structs.replace(entry.boxes, token=box))


@pytest.mark.parametrize("how", TAMPERINGS)
async def test_a_tampered_or_swapped_box_is_a_refusal_and_an_event_and_never_a_value(
    storage: Storage, how: str
) -> None:
    saved, other = await storage.save(), await storage.save(token="x" * len(TOKEN))
    await storage.put(TAMPERINGS[how](await storage.entry(saved.id), await storage.entry(other.id)))

    with pytest.raises(Unavailable) as refused:
        await storage.vault.read(APP, saved.id)

    assert refused.value.code in {"vault_unreadable", "key_unavailable"}
    (event,) = await storage.events(EventType.VAULT_UNREADABLE)
    assert event.data == {"by_key": "key", "entry": saved.id, "reason": refused.value.code}
    assert not await storage.events(EventType.VAULT_READ)


async def test_an_older_box_of_the_same_entry_does_not_open(storage: Storage) -> None:
    saved = await storage.save()
    old = await storage.entry(saved.id)
    await storage.vault.replace(APP, saved.id, Secret("new"), later(storage.clock.now(), HOUR))
    new = await storage.entry(saved.id)

    await storage.put(msgspec.structs.replace(new, boxes=old.boxes))

    with pytest.raises(Unavailable):
        await storage.vault.read(APP, saved.id)


async def test_a_tampered_preview_is_a_refusal_and_an_event_and_never_an_empty_value(
    storage: Storage,
) -> None:
    entry = await storage.entry((await storage.save()).id)
    boxes = msgspec.structs.replace(entry.boxes, preview=flipped(entry.boxes.preview))
    await storage.put(msgspec.structs.replace(entry, boxes=boxes))

    with pytest.raises(Unavailable):
        await storage.ids()
    assert await storage.events(EventType.VAULT_UNREADABLE)
